// The events of all users in memory: 16 bytes an event, because items and actions are numbers of texts that stand once.

/// The events of all users; a pure value.
struct EventTable {
    /// An event; its texts are numbers.
    fileprivate struct Stored: Equatable {
        var timestamp: Int64
        var item: UInt32
        /// 0: none.
        var action: UInt32
    }

    fileprivate struct User {
        /// Ordered by timestamp; those of the same second in the order in which they came.
        var events: [Stored] = []
        /// Seconds since the epoch when the newest came, not when it happened.
        var lastSeen: UInt32 = 0
    }

    /// An event as it lies in a record; its texts are gone with the file's bytes.
    struct EventBytes {
        /// Empty: that of the event before it.
        var user: UnsafeBufferPointer<UInt8>
        var item: UnsafeBufferPointer<UInt8>
        var timestamp: Int64
        var action: UnsafeBufferPointer<UInt8>
    }

    /// Events of a record that are best appended together.
    static let batch = 64

    private let maxEvents: Int
    /// Users' ids; their numbers are places in `people`.
    private var names = TextTable()
    private var people: [User] = [User()]
    private var items = TextTable()
    private var actions = TextTable()
    /// What catalogues have for the texts.
    private var readings = TextReadings()
    /// Of no meaning; it makes `reach` read.
    private var reached: Int64 = 0

    /// - Parameter maxEvents: the newest that are kept of each user, at least 1.
    init(maxEvents: Int) { self.maxEvents = maxEvents }

    /// How many users there are.
    var userCount: Int { names.count }
    /// Their ids, in no order.
    var userIDs: [String] { (1..<names.endNumber).map { names[$0] }.filter { !$0.isEmpty } }
    /// Above the number of every user.
    var endNumber: UInt32 { names.endNumber }

    /// The id of the user of a number; nil: it is nobody's.
    func user(_ number: UInt32) -> String? { names[number].isEmpty ? nil : names[number] }

    /// Puts an event where its time belongs.
    ///
    /// - Parameter seen: seconds since the epoch when it came.
    /// - Returns: false for one that is there already, which changes nothing but when the user was seen.
    mutating func append(_ event: UserEvent, of user: String, seen: UInt32) -> Bool {
        let stored = Stored(
            timestamp: event.timestamp,
            item: items.number(of: event.item),
            action: event.action.map { actions.number(of: $0) } ?? 0
        )
        var user = user
        let place = Int(user.withUTF8 { number(ofUser: $0) })
        return people[place].append(stored, maxEvents, seen)
    }

    /// The number of a user, who gets one now if there is none.
    private mutating func number(ofUser name: UnsafeBufferPointer<UInt8>) -> UInt32 {
        let number = names.number(of: name)
        makePlaces()
        return number
    }

    private mutating func makePlaces() {
        while people.count < names.endNumber { people.append(User()) }
    }

    /// The same as `append` of several events of a record, best of `batch`.
    ///
    /// - Parameter user: the number of the user of the event before them; becomes that of the last one.
    mutating func append(_ events: [EventBytes], seen: UInt32, after user: inout UInt32) {
        let (count, maxEvents) = (events.count, maxEvents)
        withUnsafeTemporaryAllocation(of: UnsafeBufferPointer<UInt8>.self, capacity: count) { texts in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 3 * count) { numbers in
                numbers.initialize(repeating: 0)
                let users = UnsafeMutableBufferPointer(rebasing: numbers[..<count])
                let itemNumbers = UnsafeMutableBufferPointer(rebasing: numbers[count..<2 * count])
                let actionNumbers = UnsafeMutableBufferPointer(rebasing: numbers[(2 * count)...])
                for (index, event) in events.enumerated() { texts.initializeElement(at: index, to: event.user) }
                names.numbers(of: UnsafeBufferPointer(texts), users)
                makePlaces()
                for index in events.indices {
                    if users[index] == 0 { users[index] = user }
                    user = users[index]
                }
                for (index, event) in events.enumerated() { texts[index] = event.item }
                items.numbers(of: UnsafeBufferPointer(texts), itemNumbers)
                for (index, event) in events.enumerated() {
                    // There are few, and most events have that of the one before.
                    actionNumbers[index] =
                        index > 0 && event.action.elementsEqual(events[index - 1].action)
                        ? actionNumbers[index - 1] : actions.number(of: event.action)
                }
                // Their lists lie anywhere; see `TextTable.numbers`.
                reach(users)
                people.withUnsafeMutableBufferPointer { people in
                    for (index, event) in events.enumerated() {
                        let stored = Stored(
                            timestamp: event.timestamp,
                            item: itemNumbers[index],
                            action: actionNumbers[index]
                        )
                        _ = people[Int(users[index])].append(stored, maxEvents, seen)
                    }
                }
            }
        }
    }

    /// Reads where users' lists end, so that they are in the processor's caches.
    private mutating func reach(_ users: UnsafeMutableBufferPointer<UInt32>) {
        var sum = reached
        people.withUnsafeBufferPointer { people in
            for user in users { sum &+= Int64(people[Int(user)].lastSeen) }
            for user in users { sum &+= Int64(people[Int(user)].events.count) }
            for user in users { sum &+= people[Int(user)].events.last?.timestamp ?? 0 }
        }
        reached = sum
    }

    /// The newest events of a user, oldest first; nil if there is no such user, or was last seen before `oldest`.
    func events(of user: String, seenSince oldest: UInt32 = 0) -> [UserEvent]? {
        guard let number = number(ofUser: user, seenSince: oldest) else { return nil }
        return people[number].events.map { stored in
            UserEvent(
                item: items[stored.item],
                timestamp: stored.timestamp,
                action: stored.action == 0 ? nil : actions[stored.action]
            )
        }
    }

    /// The same as a model reads them. What a catalogue's numbers are is asked once for each text, while the catalogue lives.
    ///
    /// - Parameter texts: hands on `itemTexts`.
    mutating func history(
        of user: String,
        seenSince oldest: UInt32,
        _ numbers: some EventNumbers,
        texts: any ItemTexts
    ) -> UserHistory? {
        guard let number = number(ofUser: user, seenSince: oldest) else { return nil }
        var reading = readings.take(numbers)
        reading.grow(items: Int(items.endNumber), actions: Int(actions.endNumber))
        let events = people[number].events
        var history = UserHistory(capacity: events.count, texts: texts)
        for event in events {
            history.append(
                row: reading.row(event.item) { items[event.item].withContiguousUTF8(numbers.row) },
                timestamp: event.timestamp,
                action: reading.fingerprint(event.action) {
                    actions[event.action].withContiguousUTF8(numbers.fingerprint)
                }
            )
        }
        readings.put(reading)
        return history
    }

    /// The texts of items by number. An item stays, whoever goes, so a number is always the same item's.
    func itemTexts(_ numbers: [UInt32]) -> [String] { numbers.map { items[$0] } }

    private func number(ofUser name: String, seenSince oldest: UInt32) -> Int? {
        guard let number = names.find(name), number > 0, people[Int(number)].lastSeen >= oldest else { return nil }
        return Int(number)
    }

    /// When a user's newest event came, in seconds since the epoch.
    func lastSeen(_ user: String) -> UInt32? {
        names.find(user).flatMap { $0 == 0 ? nil : people[Int($0)].lastSeen }
    }

    /// Forgets a user.
    mutating func delete(_ user: String) {
        guard let number = names.find(user), number > 0 else { return }
        people[Int(number)] = User()
        names.remove(number)
    }
}

extension EventTable.User {
    fileprivate mutating func append(_ event: EventTable.Stored, _ maxEvents: Int, _ seen: UInt32) -> Bool {
        lastSeen = max(lastSeen, seen)
        var place = events.count
        // Most events are the newest, so the search goes from the end; among many it halves.
        if let last = events.last, last.timestamp > event.timestamp {
            var low = 0
            while low < place {
                let middle = (low + place) / 2
                if events[middle].timestamp <= event.timestamp { low = middle + 1 } else { place = middle }
            }
        }
        var before = place
        while before > 0, events[before - 1].timestamp == event.timestamp {
            if events[before - 1] == event { return false }
            before -= 1
        }
        if events.count == events.capacity {
            // A quarter more and not twice as much: most of the memory is here.
            events.reserveCapacity(events.count + max(events.count / 4, 2))
        }
        events.insert(event, at: place)
        if events.count > maxEvents { events.removeFirst(events.count - maxEvents) }
        return true
    }
}
