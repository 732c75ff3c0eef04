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

    private let maxEvents: Int
    /// Users' ids; their numbers are places in `people`.
    private var names = TextTable()
    private var people: [User] = [User()]
    private var items = TextTable()
    private var actions = TextTable()

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
    mutating func number(ofUser name: UnsafeBufferPointer<UInt8>) -> UInt32 {
        let number = names.number(of: name)
        if number == people.count { people.append(User()) }
        return number
    }

    /// The same as `append`, with texts as their UTF-8 and the user by number.
    mutating func append(
        item: UnsafeBufferPointer<UInt8>,
        timestamp: Int64,
        action: UnsafeBufferPointer<UInt8>,
        ofUser number: UInt32,
        seen: UInt32
    ) {
        let stored = Stored(timestamp: timestamp, item: items.number(of: item), action: actions.number(of: action))
        _ = people[Int(number)].append(stored, maxEvents, seen)
    }

    /// The newest events of a user, oldest first; nil if there is no such user.
    func events(of user: String) -> [UserEvent]? {
        guard let number = names.find(user), number > 0 else { return nil }
        return people[Int(number)].events.withUnsafeBufferPointer { stored in
            items.withTexts { items in
                actions.withTexts { actions in
                    [UserEvent](unsafeUninitializedCapacity: stored.count) { events, count in
                        // The numbers are those of texts that are there: the tables gave them.
                        for (index, event) in stored.enumerated() {
                            events.initializeElement(
                                at: index,
                                to: UserEvent(
                                    item: items[Int(event.item)],
                                    timestamp: event.timestamp,
                                    action: event.action == 0 ? nil : actions[Int(event.action)]
                                )
                            )
                        }
                        count = stored.count
                    }
                }
            }
        }
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
