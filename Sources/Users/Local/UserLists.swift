// The events of each user as numbers: most of a store's memory.

/// Lists of events by user number; a pure value.
struct UserLists {
    /// An event whose texts are numbers.
    struct Event: Equatable {
        var timestamp: Int64
        var item: UInt32
        /// 0: none.
        var action: UInt32
    }

    /// An event with the number of its user.
    struct UserEvent {
        var user: UInt32
        /// When it arrived, in seconds since the epoch.
        var seen: UInt32
        var event: Event
    }

    fileprivate struct User {
        /// Ordered by timestamp, equal timestamps by arrival.
        var events: [Event] = []
        /// When the newest event arrived (not happened), in seconds since the epoch.
        var lastSeen: UInt32 = 0
    }

    /// The number of events appended together; see `TextTable.numbers`.
    private static let batch = 64

    private let maxEvents: Int
    private var users: [User] = []
    /// Meaningless; forces the compiler to keep the reads in `reach`.
    private var reached: Int64 = 0

    /// - Parameter maxEvents: the most events stored per user, keeping the newest; at least 1.
    init(maxEvents: Int) { self.maxEvents = maxEvents }

    /// Creates lists for all numbers below this.
    mutating func grow(to endNumber: UInt32) {
        while users.count < endNumber { users.append(User()) }
    }

    func events(_ user: UInt32) -> [Event] { users[Int(user)].events }

    func lastSeen(_ user: UInt32) -> UInt32 { users[Int(user)].lastSeen }

    mutating func clear(_ user: UInt32) { users[Int(user)] = User() }

    /// Inserts an event in time order.
    ///
    /// - Returns: false for a duplicate, which only updates the user's last-seen time.
    mutating func append(_ event: UserEvent) -> Bool {
        users[Int(event.user)].append(event.event, maxEvents, event.seen)
    }

    /// Inserts several events.
    mutating func append(_ events: [UserEvent]) {
        for start in stride(from: 0, to: events.count, by: Self.batch) {
            let batch = events[start..<min(start + Self.batch, events.count)]
            reach(batch)
            for event in batch { _ = append(event) }
        }
    }

    /// Reads the ends of users' lists, which are scattered in memory, to bring them into the processor's caches.
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
        // Most events are the newest, so they go to the end; otherwise the place is found by binary search.
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
            // Grows by a quarter instead of doubling, because most of the memory is here.
            events.reserveCapacity(events.count + max(events.count / 4, 2))
        }
        events.insert(event, at: place)
        if events.count > maxEvents { events.removeFirst(events.count - maxEvents) }
        return true
    }
}
