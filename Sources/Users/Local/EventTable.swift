// The events of all users in memory: 16 bytes per event, because items and actions are numbers of texts stored once.

/// The events of all users; a pure value.
struct EventTable {
    /// An event in a record; its texts are valid only while the file's bytes are.
    struct EventBytes {
        /// Empty: the same as the previous event's.
        var user: UnsafeBufferPointer<UInt8>
        var item: UnsafeBufferPointer<UInt8>
        var timestamp: Int64
        var action: UnsafeBufferPointer<UInt8>
    }

    /// The number of events of a record to number together.
    static let batch = 64

    /// User ids; their numbers are indices into `lists`.
    private var names = TextTable()
    private var lists: UserLists
    private var items = TextTable()
    private var actions = TextTable()
    /// Each catalogue's rows and fingerprints for the texts.
    private var readings = TextReadings()

    /// - Parameter maxEvents: the most events stored per user, keeping the newest; at least 1.
    init(maxEvents: Int) {
        lists = UserLists(maxEvents: maxEvents)
        lists.grow(to: names.endNumber)
    }

    /// The number of users.
    var userCount: Int { names.count }
    /// Their ids, in no order.
    var userIDs: [String] { (1..<names.endNumber).map { names[$0] }.filter { !$0.isEmpty } }
    /// Greater than the number of every user.
    var endNumber: UInt32 { names.endNumber }

    /// The id of the user with a number; nil: no user has it.
    func user(_ number: UInt32) -> String? { names[number].isEmpty ? nil : names[number] }

    /// Inserts an event in time order.
    ///
    /// - Parameter seen: its arrival, in seconds since the epoch.
    /// - Returns: false for a duplicate, which only updates the user's last-seen time.
    mutating func append(_ event: UserEvent, of user: String, seen: UInt32) -> Bool {
        var user = user
        let number = user.withUTF8 { names.number(of: $0) }
        lists.grow(to: names.endNumber)
        let item = items.number(of: event.item)
        let action = event.action.map { actions.number(of: $0) } ?? 0
        let stored = UserLists.Event(timestamp: event.timestamp, item: item, action: action)
        return lists.append(UserLists.UserEvent(user: number, seen: seen, event: stored))
    }

    /// Moves the lists out for a replay that extends them on another thread.
    mutating func takeLists() -> UserLists {
        defer { lists = UserLists(maxEvents: 1) }
        return lists
    }

    mutating func put(_ lists: consuming UserLists) { self.lists = lists }

    /// Assigns numbers to events of a record, ideally `batch` of them; does not use `lists`.
    ///
    /// - Parameters:
    ///   - user: the number of the previous event's user; set to that of the last one.
    ///   - numbered: receives the events.
    mutating func number(
        _ events: [EventBytes],
        seen: UInt32,
        after user: inout UInt32,
        _ numbered: inout [UserLists.UserEvent]
    ) {
        let count = events.count
        withUnsafeTemporaryAllocation(of: UnsafeBufferPointer<UInt8>.self, capacity: count) { texts in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 2 * count) { numbers in
                numbers.initialize(repeating: 0)
                let users = UnsafeMutableBufferPointer(rebasing: numbers[..<count])
                let itemNumbers = UnsafeMutableBufferPointer(rebasing: numbers[count...])
                for (index, event) in events.enumerated() { texts.initializeElement(at: index, to: event.user) }
                names.numbers(of: UnsafeBufferPointer(texts), users)
                for (index, event) in events.enumerated() { texts[index] = event.item }
                items.numbers(of: UnsafeBufferPointer(texts), itemNumbers)
                var action: UInt32 = 0
                for (index, event) in events.enumerated() {
                    if users[index] != 0 { user = users[index] }
                    // There are few actions, and most events have the same as the one before.
                    if index == 0 || !event.action.holds(events[index - 1].action) {
                        action = actions.number(of: event.action)
                    }
                    let stored = UserLists.Event(timestamp: event.timestamp, item: itemNumbers[index], action: action)
                    numbered.append(UserLists.UserEvent(user: user, seen: seen, event: stored))
                }
            }
        }
    }

    /// The newest events of a user, oldest first; nil if there is no such user or it was last seen before `oldest`.
    func events(of user: String, seenSince oldest: UInt32 = 0) -> [UserEvent]? {
        guard let number = number(ofUser: user, seenSince: oldest) else { return nil }
        return lists.events(number).map { stored in
            UserEvent(
                item: items[stored.item],
                timestamp: stored.timestamp,
                action: stored.action == 0 ? nil : actions[stored.action]
            )
        }
    }

    /// A user's events as a model reads them. Each text is looked up in a catalogue only once in the catalogue's
    /// lifetime.
    ///
    /// - Parameter texts: gives the texts of items later, by `itemTexts`.
    mutating func history(
        of user: String,
        seenSince oldest: UInt32,
        _ numbers: some EventNumbers,
        texts: any ItemTexts
    ) -> UserHistory? {
        guard let number = number(ofUser: user, seenSince: oldest) else { return nil }
        var reading = readings.take(numbers)
        reading.grow(items: Int(items.endNumber), actions: Int(actions.endNumber))
        let events = lists.events(number)
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

    /// The texts of items by number. Items are never deleted, so a number always means the same item.
    func itemTexts(_ numbers: [UInt32]) -> [String] { numbers.map { items[$0] } }

    private func number(ofUser name: String, seenSince oldest: UInt32) -> UInt32? {
        guard let number = names.find(name), number > 0, lists.lastSeen(number) >= oldest else { return nil }
        return number
    }

    /// When a user's newest event arrived, in seconds since the epoch.
    func lastSeen(_ user: String) -> UInt32? {
        names.find(user).flatMap { $0 == 0 ? nil : lists.lastSeen($0) }
    }

    /// Deletes a user.
    mutating func delete(_ user: String) {
        if let number = removeName(user) { lists.clear(number) }
    }

    /// Removes a user's id; does not touch `lists`.
    ///
    /// - Returns: the user's number, which may be reused for another user.
    mutating func removeName(_ user: String) -> UInt32? {
        guard let number = names.find(user), number > 0 else { return nil }
        names.remove(number)
        return number
    }
}
