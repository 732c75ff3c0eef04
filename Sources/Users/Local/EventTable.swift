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

    /// Texts that stand once, by number.
    private struct Texts {
        private(set) var texts: [String] = [""]
        private var numbers: [String: UInt32] = [:]

        mutating func number(of text: String) -> UInt32 {
            if let number = numbers[text] { return number }
            let number = UInt32(texts.count)
            texts.append(text)
            numbers[text] = number
            return number
        }
    }

    private let maxEvents: Int
    private var users: [String: User] = [:]
    private var items = Texts()
    private var actions = Texts()

    /// - Parameter maxEvents: the newest that are kept of each user, at least 1.
    init(maxEvents: Int) { self.maxEvents = maxEvents }

    /// How many users there are.
    var userCount: Int { users.count }
    /// Their ids, in no order.
    var userIDs: [String] { Array(users.keys) }

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
        return users[user, default: User()].append(stored, maxEvents, seen)
    }

    /// The newest events of a user, oldest first; nil if there is no such user.
    func events(of user: String) -> [UserEvent]? {
        guard let user = users[user] else { return nil }
        return user.events.map { stored in
            UserEvent(
                item: items.texts[Int(stored.item)],
                timestamp: stored.timestamp,
                action: stored.action == 0 ? nil : actions.texts[Int(stored.action)]
            )
        }
    }

    /// When a user's newest event came, in seconds since the epoch.
    func lastSeen(_ user: String) -> UInt32? { users[user]?.lastSeen }

    /// Forgets a user.
    mutating func delete(_ user: String) { users.removeValue(forKey: user) }
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
