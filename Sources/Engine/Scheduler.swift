// Decides what is admitted, what runs next and what is given up. A pure value: it sees sizes, times and ids, never a
// tensor, a socket or a clock. `Engine` holds it behind its lock; tests drive it on a virtual clock.

internal import HeapModule

/// Limits of the queue and of a batch.
package struct SchedulerConfiguration: Sendable, Equatable {
    /// Requests that may wait; one more is refused.
    package var maxQueuedRequests = 1_024
    /// Sequences in one batch.
    package var maxBatchSequences = 32
    /// Events of all sequences in one batch. A single longer history still runs, alone.
    package var maxBatchEvents = 8_192
    /// How long an idle engine waits for a batch to fill, counted from the oldest request's arrival. 0: it starts at
    /// once, and batches form only from what arrives while a batch runs.
    package var maxWaitNanoseconds: UInt64 = 0
    /// How much earlier than its arrival a request of high priority counts, and how much later one of low priority:
    /// nobody starves, for a request that has waited this much longer goes first whatever its level.
    package var priorityAdvantageNanoseconds: UInt64 = 500_000_000

    package init() {}
}

/// The queue and its policy.
///
/// Order: each request gets a due time when it is admitted: its arrival, shifted by its priority, or its deadline if that
/// is earlier. The smallest due time runs first, equal ones in the order of admission.
package struct Scheduler: Sendable {
    /// What the scheduler knows of a request.
    package struct Entry: Sendable, Equatable {
        package var id: UInt64
        /// Events that the model will compute, at least 1.
        package var events: Int
        package var arrival: Instant
        package var deadline: Instant?
        package var priority: Priority

        package init(id: UInt64, events: Int, arrival: Instant, deadline: Instant? = nil, priority: Priority = .normal)
        {
            self.id = id
            self.events = events
            self.arrival = arrival
            self.deadline = deadline
            self.priority = priority
        }
    }

    package enum Admission: Sendable, Equatable {
        case admitted
        /// The queue is full; predicted nanoseconds until there is room.
        case queueFull(retryAfter: UInt64)
        /// Predicted nanoseconds until the work that is already there is done.
        case deadlineUnreachable(retryAfter: UInt64)
    }

    package enum Decision: Sendable, Equatable {
        /// Compute these together, in this order. Never empty.
        case run([UInt64])
        /// Nothing to start before this point; ask again then, or when something was admitted.
        case wait(until: Instant)
        /// The queue is empty.
        case idle
    }

    /// A place in the order; entries that were cancelled or expired leave their places behind until they surface.
    private struct Place: Comparable {
        let due: UInt64
        let number: UInt64
        let id: UInt64

        static func < (left: Place, right: Place) -> Bool {
            (left.due, left.number) < (right.due, right.number)
        }
    }

    private let configuration: SchedulerConfiguration
    private var entries: [UInt64: Entry] = [:]
    private var order = Heap<Place>()
    private var admissions: UInt64 = 0
    private var queuedEvents = 0
    /// What runs now, by the latest `run` decision, and since when; nil while the engine is idle.
    private var running: (events: Int, since: Instant)?
    private var serviceTime = ServiceTimeModel()

    package init(_ configuration: SchedulerConfiguration) {
        self.configuration = configuration
    }

    /// Requests that wait.
    package var depth: Int { entries.count }
    /// Whether the next request would be refused for want of room.
    package var isFull: Bool { entries.count >= configuration.maxQueuedRequests }

    /// The earliest deadline of all that wait.
    package var earliestDeadline: Instant? { entries.values.lazy.compactMap(\.deadline).min() }

    /// Takes a request in, or refuses it before any work. Its id is new.
    package mutating func admit(_ entry: Entry, now: Instant) -> Admission {
        let wait = predictedWait(now: now)
        guard !isFull else { return .queueFull(retryAfter: wait) }
        if let deadline = entry.deadline {
            let work = serviceTime.nanoseconds(forEvents: entry.events)
            guard now.advanced(by: wait).advanced(by: work) <= deadline else {
                return .deadlineUnreachable(retryAfter: wait)
            }
        }
        insert(entry)
        return .admitted
    }

    /// Takes a request back in for its next pass. It has been admitted once and is never refused.
    package mutating func readmit(_ entry: Entry) { insert(entry) }

    private mutating func insert(_ entry: Entry) {
        entries[entry.id] = entry
        queuedEvents += entry.events
        admissions += 1
        order.insert(Place(due: due(entry), number: admissions, id: entry.id))
    }

    /// Takes a waiting request out. False if it does not wait (any more).
    package mutating func cancel(_ id: UInt64) -> Bool {
        guard let entry = entries.removeValue(forKey: id) else { return false }
        queuedEvents -= entry.events
        // Places of the departed are dropped when they surface; a queue that is cancelled faster than it is served must
        // not grow without bound in the meantime.
        if order.count > 2 * entries.count + 64 {
            order = Heap(order.unordered.filter { entries[$0.id] != nil })
        }
        return true
    }

    /// Takes out everything whose deadline has passed, in no particular order. It is never computed.
    package mutating func expire(now: Instant) -> [UInt64] {
        let expired = entries.values.filter { entry in entry.deadline.map { $0 <= now } ?? false }.map(\.id)
        for id in expired { _ = cancel(id) }
        return expired
    }

    /// Takes out everything that waits.
    package mutating func removeAll() -> [UInt64] {
        let ids = Array(entries.keys)
        entries.removeAll()
        order = Heap()
        queuedEvents = 0
        return ids
    }

    /// What an idle engine does now. The caller has taken the expired ones out.
    ///
    /// - Parameter waitsToFill: false while draining, when there is nothing to wait for.
    package mutating func next(now: Instant, waitsToFill: Bool = true) -> Decision {
        running = nil
        guard let oldest = entries.values.lazy.map(\.arrival).min() else {
            order = Heap()
            return .idle
        }
        let startBy = oldest.advanced(by: configuration.maxWaitNanoseconds)
        let isFull =
            entries.count >= configuration.maxBatchSequences || queuedEvents >= configuration.maxBatchEvents
        guard isFull || !waitsToFill || startBy <= now else { return .wait(until: startBy) }

        var batch: [UInt64] = []
        var events = 0
        while batch.count < configuration.maxBatchSequences, let place = order.min {
            guard let entry = entries[place.id] else {
                _ = order.popMin()
                continue
            }
            // In order, without looking for a smaller one behind: a long history must not be overtaken for ever.
            guard batch.isEmpty || events + entry.events <= configuration.maxBatchEvents else { break }
            _ = order.popMin()
            entries[place.id] = nil
            queuedEvents -= entry.events
            events += entry.events
            batch.append(place.id)
        }
        running = (events, now)
        return .run(batch)
    }

    /// Takes note of how long a batch of so many events took.
    package mutating func finished(events: Int, nanoseconds: UInt64) {
        running = nil
        serviceTime.observe(events: events, nanoseconds: nanoseconds)
    }

    /// Predicted nanoseconds until everything that runs and waits now is done.
    package func predictedWait(now: Instant) -> UInt64 {
        var remaining: UInt64 = 0
        if let running {
            let whole = serviceTime.nanoseconds(forEvents: running.events)
            let elapsed = now.nanoseconds(since: running.since)
            remaining = whole > elapsed ? whole - elapsed : 0
        }
        return remaining + serviceTime.nanoseconds(forEvents: queuedEvents)
    }

    private func due(_ entry: Entry) -> UInt64 {
        // Arrivals are shifted by up to one advantage to either side; the offset keeps the smallest above zero.
        let arrival = entry.arrival
        let shifted: UInt64 =
            switch entry.priority {
            case .high: arrival.nanoseconds
            case .normal: arrival.advanced(by: configuration.priorityAdvantageNanoseconds).nanoseconds
            case .low:
                arrival.advanced(by: configuration.priorityAdvantageNanoseconds)
                    .advanced(by: configuration.priorityAdvantageNanoseconds).nanoseconds
            }
        return min(shifted, entry.deadline?.nanoseconds ?? .max)
    }
}
