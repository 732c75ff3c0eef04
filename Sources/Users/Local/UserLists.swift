// The events of each user as numbers, most of a store's memory.

/// Lists of events by number of the user; a pure value.
struct UserLists {
    /// An event; its texts are numbers.
    struct Event: Equatable {
        var timestamp: Int64
        var item: UInt32
        /// 0: none.
        var action: UInt32
    }

    /// An event with the number of its user.
    struct UserEvent {
        var user: UInt32
        /// Seconds since the epoch when it came.
        var seen: UInt32
        var event: Event
    }

    fileprivate struct User {
        /// Ordered by timestamp; those of the same second in order of arrival.
        var events: [Event] = []
        /// Seconds since the epoch when the newest came, not when it happened.
        var lastSeen: UInt32 = 0
    }

    /// Events that are appended together; see `TextTable.numbers`.
    private static let batch = 64

    private let maxEvents: Int
    private var users: [User] = []
    /// Of no meaning; it makes `reach` read.
    private var reached: Int64 = 0

    /// - Parameter maxEvents: the most events stored per user, the newest, at least 1.
    init(maxEvents: Int) { self.maxEvents = maxEvents }

    /// Makes lists for all numbers below this.
    mutating func grow(to endNumber: UInt32) {
        while users.count < endNumber { users.append(User()) }
    }

    func events(_ user: UInt32) -> [Event] { users[Int(user)].events }

    func lastSeen(_ user: UInt32) -> UInt32 { users[Int(user)].lastSeen }

    mutating func clear(_ user: UInt32) { users[Int(user)] = User() }

    /// Inserts an event by its time.
    ///
    /// - Returns: false for a duplicate, which only updates when the user was seen.
    mutating func append(_ event: UserEvent) -> Bool {
        users[Int(event.user)].append(event.event, maxEvents, event.seen)
    }

    /// The same of several events.
    mutating func append(_ events: [UserEvent]) {
        for start in stride(from: 0, to: events.count, by: Self.batch) {
            let batch = events[start..<min(start + Self.batch, events.count)]
            reach(batch)
            for event in batch { _ = append(event) }
        }
    }

    /// Reads the ends of users' lists, which are scattered in memory, so that they are in the processor's caches.
    private mutating func reach(_ events: ArraySlice<UserEvent>) {
        var sum = reached
        users.withUnsafeBufferPointer { users in
            for event in events { sum &+= Int64(users[Int(event.user)].lastSeen) }
            for event in events { sum &+= Int64(users[Int(event.user)].events.count) }
            for event in events { sum &+= users[Int(event.user)].events.last?.timestamp ?? 0 }
        }
        reached = sum
    }
}

extension UserLists.User {
    fileprivate mutating func append(_ event: UserLists.Event, _ maxEvents: Int, _ seen: UInt32) -> Bool {
        lastSeen = max(lastSeen, seen)
        var place = events.count
        // Most events are the newest, so the search starts at the end; in long lists it is binary.
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
