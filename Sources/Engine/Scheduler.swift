// Decides what runs next and what is given up. A pure value: it sees sizes, times and ids, never a tensor, a socket or a
// clock. `Engine` holds it behind its lock; tests drive it on a virtual clock. Whether a request is let in at all is in
// Scheduler+Admission.

internal import HeapModule

/// The queue and its policy.
///
/// What waits is jobs, and behind each job the requests that it answers: several where the same was asked more than once.
/// A job is computed in one pass or in several; after a pass that was not its last it comes back.
///
/// Order: each job has a due time, the earliest of its requests'. A request's is its deadline, or one priority advantage
/// after its arrival if that is earlier or there is none, and later by another advantage for each level of priority below
/// high. So the earliest deadline goes first within a level, a higher level goes first among those that came together, and
/// nobody starves: of all that comes later than two advantages after it nothing is before a request.
package struct Scheduler: Sendable {
    /// One caller's request.
    package struct Request: Sendable, Equatable {
        package var id: UInt64
        package var arrival: Instant
        package var deadline: Instant?
        package var priority: Priority

        package init(id: UInt64, arrival: Instant, deadline: Instant? = nil, priority: Priority = .normal) {
            self.id = id
            self.arrival = arrival
            self.deadline = deadline
            self.priority = priority
        }
    }

    /// What a job has still to compute, as far as is known.
    package struct Demand: Sendable, Equatable {
        /// Up to its next selection.
        package var work: ComputeWork
        /// Whether `work` can be done in parts.
        package var isDivisible: Bool
        /// Selections after the next one, each a pass of its own, and the work of one.
        package var steps: Int
        package var stepWork: ComputeWork
        /// Whether the job is a sequence whose next pass is one row: it goes into every batch.
        package var isStep: Bool

        package init(
            work: ComputeWork,
            isDivisible: Bool = true,
            steps: Int = 0,
            stepWork: ComputeWork = ComputeWork(),
            isStep: Bool = false
        ) {
            self.work = work
            self.isDivisible = isDivisible
            self.steps = steps
            self.stepWork = stepWork
            self.isStep = isStep
        }
    }

    /// What of a job goes into a batch.
    package struct Portion: Sendable, Equatable {
        package var job: UInt64
        /// Rows to compute; fewer than the job has where it is computed in parts. 0: it needs no computing.
        package var rows: Int

        package init(job: UInt64, rows: Int) {
            self.job = job
            self.rows = rows
        }
    }

    package enum Decision: Sendable, Equatable {
        /// Compute these together, in this order. Never empty.
        case run([Portion])
        /// Nothing to start before this point; ask again then, or when something was admitted.
        case wait(until: Instant)
        /// The queue is empty.
        case idle
    }

    /// What is left of a job when a request of it has been taken out.
    package enum Remainder: Sendable, Equatable {
        case othersWait
        /// It was the last one: the job is out of the queue too.
        case nobody
        /// The request does not wait (any more).
        case unknown
    }

    struct Job: Sendable {
        var requests: [Request]
        var demand: Demand
        var due: UInt64
        /// Of its valid place.
        var number: UInt64
        /// Whether it has never run.
        let isFresh: Bool
    }

    /// A place in the order; jobs that left or moved leave their places behind until they surface.
    private struct Place: Comparable {
        let due: UInt64
        let number: UInt64
        let job: UInt64

        static func < (left: Place, right: Place) -> Bool { (left.due, left.number) < (right.due, right.number) }
    }

    let configuration: SchedulerConfiguration
    private(set) var jobs: [UInt64: Job] = [:]
    /// Jobs whose next pass is a step, and the others.
    private var steps = Heap<Place>()
    private var others = Heap<Place>()
    private var numbers: UInt64 = 0
    /// Requests of jobs that have never run.
    private(set) var queuedRequests = 0
    /// Demand of all that waits.
    private(set) var queued = Backlog()
    /// What runs now, by the latest `run` decision, and since when; nil while the engine is idle.
    private(set) var running: (work: ComputeWork, since: Instant)?
    var serviceTime = ServiceTimeModel()
    private var arrivals = ArrivalRate()

    package init(_ configuration: SchedulerConfiguration) {
        self.configuration = configuration
    }

    /// Requests that wait for their first pass.
    package var depth: Int { queuedRequests }
    /// Whether the next request would be refused for want of room.
    package var isFull: Bool { queuedRequests >= configuration.maxQueuedRequests }

    /// The earliest deadline of all that wait.
    package var earliestDeadline: Instant? {
        jobs.values.lazy.flatMap(\.requests).compactMap(\.deadline).min()
    }

    // MARK: - In

    /// Takes a job in that `admission` has let in.
    package mutating func enqueue(_ request: Request, job: UInt64, _ demand: Demand) {
        arrivals.note(request.arrival)
        insert(job, Job(requests: [request], demand: demand, due: due(request), number: 0, isFresh: true))
    }

    /// Adds a request to a job that waits and has never run. False if there is no such job.
    package mutating func join(_ request: Request, job id: UInt64) -> Bool {
        guard let job = jobs[id], job.isFresh else { return false }
        arrivals.note(request.arrival)
        jobs[id]?.requests.append(request)
        queuedRequests += 1
        if due(request) < job.due { move(id, to: due(request)) }
        return true
    }

    /// Takes a job back in for its next pass. It has been admitted once and is never refused.
    package mutating func readmit(_ requests: [Request], job: UInt64, _ demand: Demand) {
        insert(
            job,
            Job(requests: requests, demand: demand, due: requests.map(due).min() ?? 0, number: 0, isFresh: false)
        )
    }

    private mutating func insert(_ id: UInt64, _ job: Job) {
        jobs[id] = job
        queued.add(job.demand)
        if job.isFresh { queuedRequests += job.requests.count }
        move(id, to: job.due)
    }

    private mutating func move(_ id: UInt64, to due: UInt64) {
        numbers += 1
        jobs[id]?.due = due
        jobs[id]?.number = numbers
        let place = Place(due: due, number: numbers, job: id)
        if jobs[id]?.demand.isStep == true { steps.insert(place) } else { others.insert(place) }
    }

    // MARK: - Out

    /// Takes a waiting request out.
    package mutating func cancel(_ request: UInt64, job id: UInt64) -> Remainder {
        guard let index = jobs[id]?.requests.firstIndex(where: { $0.id == request }) else { return .unknown }
        jobs[id]?.requests.remove(at: index)
        guard let job = jobs[id] else { return .unknown }
        if job.isFresh { queuedRequests -= 1 }
        guard let due = job.requests.map(due).min() else {
            remove(id)
            return .nobody
        }
        if due != job.due { move(id, to: due) }
        return .othersWait
    }

    /// Takes out every request whose deadline has passed, in no particular order. It is never computed.
    package mutating func expire(now: Instant) -> [(request: UInt64, job: UInt64, remainder: Remainder)] {
        let overdue = jobs.flatMap { id, job in
            job.requests.filter { $0.deadline.map { $0 <= now } ?? false }.map { (id, $0.id) }
        }
        return overdue.map { job, request in (request, job, cancel(request, job: job)) }
    }

    /// Takes out everything that waits.
    ///
    /// - Returns: the jobs.
    package mutating func removeAll() -> [UInt64] {
        defer {
            jobs.removeAll()
            steps = Heap()
            others = Heap()
            queuedRequests = 0
            queued = Backlog()
        }
        return Array(jobs.keys)
    }

    @discardableResult
    private mutating func remove(_ id: UInt64) -> Job? {
        guard let job = jobs.removeValue(forKey: id) else { return nil }
        queued.remove(job.demand)
        if job.isFresh { queuedRequests -= job.requests.count }
        // Places of the departed are dropped when they surface; a queue that is cancelled faster than it is served must
        // not grow without bound in the meantime.
        if steps.count + others.count > 2 * jobs.count + 64 {
            steps = Heap(steps.unordered.filter(isValid))
            others = Heap(others.unordered.filter(isValid))
        }
        return job
    }

    private func isValid(_ place: Place) -> Bool { jobs[place.job]?.number == place.number }

    // MARK: - Next

    /// What an idle engine does now. The caller has taken the expired ones out.
    ///
    /// Every sequence that has a step to take takes part, as long as there is room for another sequence; beside them what
    /// waits goes in by order, without looking for a smaller one behind one that does not fit, because a long history must
    /// not be overtaken for ever. The last one in may be cut. A batch ends for all its members at once: nobody is added who is
    /// predicted to make one of them late.
    ///
    /// - Parameters:
    ///   - waitsToFill: false while draining, when there is nothing to wait for.
    ///   - context: handed to `size`.
    ///   - size: what a job really has to compute now, asked once for each that is about to run. What was predicted when it
    ///     came may no longer hold: cached rows come and go.
    package mutating func next<Context>(
        now: Instant,
        waitsToFill: Bool = true,
        in context: inout Context,
        size: (UInt64, inout Context) -> (rows: Int, isDivisible: Bool)
    ) -> Decision {
        running = nil
        guard !jobs.isEmpty else { return .idle }
        if waitsToFill, let start = startingTime(now: now), start > now { return .wait(until: start) }

        var portions: [Portion] = []
        var work = ComputeWork()
        var rows = 0
        var isOpen = true
        // Of what will be done with this batch.
        var deadline: Instant?
        while portions.count < configuration.maxBatchSequences {
            let step = surface(\.steps)
            let other = isOpen ? surface(\.others) : nil
            guard let place = [step, other].compactMap(\.self).min() else { break }
            let isStep = place.job == step?.job
            let (needed, isDivisible) = size(place.job, &context)
            var taken = needed
            if !isStep {
                let limit = configuration.eventLimit(isDivisible: isDivisible)
                let room = rows == 0 ? (isDivisible ? limit : max(limit, needed)) : limit - rows
                if needed > room {
                    // A small piece is not worth a pass.
                    guard isDivisible, room >= max(1, limit / 8) else {
                        isOpen = false
                        continue
                    }
                    taken = room
                }
            }
            guard let job = jobs[place.job] else { break }
            let share = job.demand.work.share(taken, of: needed)
            if !isStep, let deadline, isLate(deadline, now: now, work, adding: share) {
                isOpen = false
                continue
            }
            if isStep {
                _ = steps.popMin()
            } else {
                _ = others.popMin()
                rows += taken
            }
            _ = remove(place.job)
            work += share
            if taken == needed, let own = job.requests.compactMap(\.deadline).min() {
                deadline = min(deadline ?? own, own)
            }
            portions.append(Portion(job: place.job, rows: taken))
        }
        guard !portions.isEmpty else { return .idle }
        running = (work, now)
        return .run(portions)
    }

    /// Whether a batch is predicted to meet a deadline, and no longer so with something added to it.
    private func isLate(_ deadline: Instant, now: Instant, _ work: ComputeWork, adding more: ComputeWork) -> Bool {
        now.advanced(by: serviceTime.cautious(serviceTime.nanoseconds(work + more))) > deadline
            && now.advanced(by: serviceTime.nanoseconds(work)) <= deadline
    }

    /// Takes note of how long a batch took.
    package mutating func finished(_ work: ComputeWork, nanoseconds: UInt64) {
        running = nil
        serviceTime.observe(work, nanoseconds: nanoseconds)
    }

    /// The first valid place.
    private mutating func surface(_ heap: WritableKeyPath<Scheduler, Heap<Place>>) -> Place? {
        while let place = self[keyPath: heap].min {
            if isValid(place) { return place }
            _ = self[keyPath: heap].popMin()
        }
        return nil
    }

    /// When an idle engine should start; nil: at once.
    ///
    /// Waiting is for what has never run. Two requests computed together share what a batch costs whatever is in it, c; the
    /// first of them pays with the time until the second comes, τ, and both with each other's work, v each. One after the
    /// other they are done at c + v and 2(c + v), together both at τ + c + 2v: waiting wins on average while
    /// 2τ < c − v. So the engine waits no longer than (c − v) / 2, and only if requests have been coming that fast.
    private func startingTime(now: Instant) -> Instant? {
        guard configuration.maxWaitNanoseconds > 0 || configuration.minWaitNanoseconds > 0, !isBatchFull else {
            return nil
        }
        var oldest: Instant?
        for job in jobs.values {
            guard job.isFresh else { return nil }
            for request in job.requests { oldest = min(oldest ?? request.arrival, request.arrival) }
        }
        let fixed = serviceTime.fixedNanoseconds
        let variable = serviceTime.nanoseconds(queued.work, batches: 0)
        let gain = fixed > variable ? (fixed - variable) / 2 : 0
        let chosen = arrivals.gap(now: now) <= gain ? gain : 0
        return oldest?.advanced(
            by: max(configuration.minWaitNanoseconds, min(configuration.maxWaitNanoseconds, chosen))
        )
    }

    private var isBatchFull: Bool {
        jobs.count >= configuration.maxBatchSequences
            || queued.work.rows >= configuration.eventLimit(isDivisible: true)
    }

    // MARK: - Order

    func due(_ request: Request) -> UInt64 {
        let advantage = configuration.priorityAdvantageNanoseconds
        let patience = request.arrival.advanced(by: advantage)
        var due = min(patience, request.deadline ?? patience)
        let level =
            switch request.priority {
            case .high: 0
            case .normal: 1
            case .low: 2
            }
        for _ in 0..<level { due = due.advanced(by: advantage) }
        return due.nanoseconds
    }
}
