// Decides what runs next and what is given up. A pure value: it sees sizes, times and ids, never a tensor, a socket or a
// clock. `Engine` holds it behind its lock; tests drive it on a virtual clock. Whether a request is let in at all is in
// Scheduler+Admission.

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
        var place: DueOrder.Place
        /// Nil where it has no deadline.
        var expiry: DueOrder.Place?
        /// Whether it has never run.
        let isFresh: Bool
        /// What was said of its first request when that was admitted; nil where it has no deadline.
        var promise: AdmissionMargin.Promise?

        /// Of its requests'.
        var earliestDeadline: Instant? { requests.lazy.compactMap(\.deadline).min() }
        /// After which nobody waits for it; nil: somebody has all the time in the world.
        var latestDeadline: Instant? {
            requests.contains { $0.deadline == nil } ? nil : requests.lazy.compactMap(\.deadline).max()
        }
    }

    /// What runs now.
    struct Running: Sendable {
        var work: ComputeWork
        var since: Instant
        /// What its jobs will have left to compute, and when that is due.
        var rest: [(due: UInt64, demand: Demand)] = []
        /// Of those whose last pass it is.
        var ending: [AdmissionMargin.Promise] = []
    }

    let configuration: SchedulerConfiguration
    private(set) var jobs: [UInt64: Job] = [:]
    /// Jobs whose next pass is a step, and the others.
    private var steps = DueOrder()
    private(set) var others = DueOrder()
    /// Those with a deadline by their earliest one.
    private var deadlines = DueOrder()
    private var numbers: UInt64 = 0
    /// Requests of jobs that have never run.
    private(set) var queuedRequests = 0
    /// Demand of all that waits.
    private(set) var queued = Backlog()
    /// By the latest `run` decision; nil while the engine is idle.
    private(set) var running: Running?
    /// Of jobs that have run and are to come back.
    private var promises: [UInt64: AdmissionMargin.Promise] = [:]
    var serviceTime = ServiceTimeModel()
    /// Until it has seen a flood it expects half as much again.
    var margin = AdmissionMargin(factor: 1.5)
    private var arrivals = ArrivalRate()

    package init(_ configuration: SchedulerConfiguration) {
        self.configuration = configuration
    }

    /// Requests that wait for their first pass.
    package var depth: Int { queuedRequests }
    /// Whether the next request would be refused for want of room.
    package var isFull: Bool { queuedRequests >= configuration.maxQueuedRequests }

    /// The earliest deadline of all that wait.
    package var earliestDeadline: Instant? { deadlines.places.first.map { Instant(nanoseconds: $0.due) } }

    // MARK: - In

    /// Takes a job in that `admission` has let in.
    package mutating func enqueue(_ request: Request, job: UInt64, _ demand: Demand, now: Instant) {
        arrivals.note(request.arrival)
        var promise: AdmissionMargin.Promise?
        if request.deadline != nil {
            let due = due(request)
            promise = .init(from: now, nanoseconds: expectation(of: demand, behind: ahead(of: due), now: now))
            // Whoever is overtaken was promised to be done earlier.
            let own = serviceTime.nanoseconds(demand.total, batches: 0)
            for place in others.behind(due) { jobs[place.job]?.promise?.nanoseconds += own }
        }
        insert(job, [request], demand, due: due(request), isFresh: true, promise)
    }

    /// Adds a request to a job that waits and has never run. False if there is no such job.
    package mutating func join(_ request: Request, job id: UInt64) -> Bool {
        guard let job = jobs[id], job.isFresh else { return false }
        arrivals.note(request.arrival)
        jobs[id]?.requests.append(request)
        queuedRequests += 1
        changeExpiry(id)
        if due(request) < job.place.due { move(id, to: due(request)) }
        return true
    }

    /// Takes a job back in for its next pass. It has been admitted once and is never refused.
    package mutating func readmit(_ requests: [Request], job: UInt64, _ demand: Demand) {
        let promise = promises.removeValue(forKey: job)
        insert(job, requests, demand, due: requests.map(due).min() ?? 0, isFresh: false, promise)
    }

    private mutating func insert(
        _ id: UInt64,
        _ requests: [Request],
        _ demand: Demand,
        due: UInt64,
        isFresh: Bool,
        _ promise: AdmissionMargin.Promise?
    ) {
        let place = makePlace(id, due: due)
        jobs[id] = Job(requests: requests, demand: demand, place: place, isFresh: isFresh, promise: promise)
        changeExpiry(id)
        queued.add(demand)
        if isFresh { queuedRequests += requests.count }
        if demand.isStep { steps.insert(place) } else { others.insert(place) }
    }

    private mutating func makePlace(_ id: UInt64, due: UInt64) -> DueOrder.Place {
        numbers += 1
        return DueOrder.Place(due: due, number: numbers, job: id)
    }

    private mutating func move(_ id: UInt64, to due: UInt64) {
        guard let job = jobs[id] else { return }
        leave(job)
        let place = makePlace(id, due: due)
        jobs[id]?.place = place
        if job.demand.isStep { steps.insert(place) } else { others.insert(place) }
    }

    /// After a change of its requests.
    private mutating func changeExpiry(_ id: UInt64) {
        guard let job = jobs[id], job.expiry?.due != job.earliestDeadline?.nanoseconds else { return }
        if let old = job.expiry { deadlines.remove(old) }
        let new = job.earliestDeadline.map { makePlace(id, due: $0.nanoseconds) }
        jobs[id]?.expiry = new
        if let new { deadlines.insert(new) }
    }

    private mutating func leave(_ job: Job) {
        if job.demand.isStep { steps.remove(job.place) } else { others.remove(job.place) }
    }

    // MARK: - Out

    /// Takes a waiting request out.
    package mutating func cancel(_ request: UInt64, job id: UInt64) -> Remainder {
        guard let index = jobs[id]?.requests.firstIndex(where: { $0.id == request }) else { return .unknown }
        jobs[id]?.requests.remove(at: index)
        changeExpiry(id)
        guard let job = jobs[id] else { return .unknown }
        if job.isFresh { queuedRequests -= 1 }
        guard let due = job.requests.map(due).min() else {
            remove(id)
            return .nobody
        }
        if due != job.place.due { move(id, to: due) }
        return .othersWait
    }

    /// Takes out every request whose deadline has passed, in no particular order. It is never computed.
    package mutating func expire(now: Instant) -> [(request: UInt64, job: UInt64, remainder: Remainder)] {
        var overdue: [(request: UInt64, job: UInt64, remainder: Remainder)] = []
        while let place = deadlines.places.first, place.due <= now.nanoseconds, let job = jobs[place.job] {
            margin.observe(job.promise, at: now)
            for request in job.requests where request.deadline.map({ $0 <= now }) ?? false {
                overdue.append((request.id, place.job, cancel(request.id, job: place.job)))
            }
        }
        return overdue
    }

    /// Takes out everything that waits.
    ///
    /// - Returns: the jobs.
    package mutating func removeAll() -> [UInt64] {
        defer {
            jobs.removeAll()
            steps = DueOrder()
            others = DueOrder()
            deadlines = DueOrder()
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
        leave(job)
        if let expiry = job.expiry { deadlines.remove(expiry) }
        return job
    }

    // MARK: - Next

    /// What an idle engine does now. The caller has taken the expired ones out.
    ///
    /// Every sequence that has a step to take takes part, as long as there is room for another sequence; beside them what
    /// waits goes in by order, without looking for a smaller one behind one that does not fit, because a long history must
    /// not be overtaken for ever. The last one in may be cut. A batch ends for all its members at once: nobody is added who is
    /// predicted to make one of them late. Whoever is predicted to be done only after its deadline is passed over, as long as
    /// there is anybody else: to compute it would make others late as well. It expires where it is.
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
        promises.removeAll(keepingCapacity: true)
        guard !jobs.isEmpty else { return .idle }
        if waitsToFill, let start = startingTime(now: now), start > now { return .wait(until: start) }
        var portions = batch(now: now, passingOver: true, &context, size)
        if portions.isEmpty { portions = batch(now: now, passingOver: false, &context, size) }
        return portions.isEmpty ? .idle : .run(portions)
    }

    private mutating func batch<Context>(
        now: Instant,
        passingOver: Bool,
        _ context: inout Context,
        _ size: (UInt64, inout Context) -> (rows: Int, isDivisible: Bool)
    ) -> [Portion] {
        let chunk = chunkEvents
        var portions: [Portion] = []
        var run = Running(work: ComputeWork(), since: now)
        var rows = 0
        var isOpen = true
        // When the batch must be done for the sake of those that are in it.
        var deadline: Instant?
        // How many of each were passed over.
        var passed = (steps: 0, others: 0)
        while portions.count < configuration.maxBatchSequences {
            let step = passed.steps < steps.places.count ? steps.places[passed.steps] : nil
            let other = isOpen && passed.others < others.places.count ? others.places[passed.others] : nil
            guard let place = [step, other].compactMap(\.self).min(), let job = jobs[place.job] else { break }
            let isStep = place.job == step?.job
            if passingOver, isHopeless(job, beside: run.work, now: now) {
                if isStep { passed.steps += 1 } else { passed.others += 1 }
                continue
            }
            let (needed, isDivisible) = size(place.job, &context)
            var taken = needed
            if !isStep {
                let limit = isDivisible ? chunk : configuration.maxBatchEvents
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
            let share = job.demand.work.share(taken, of: needed)
            if !isStep, let deadline, isLate(deadline, now: now, run.work, adding: share) {
                isOpen = false
                continue
            }
            if !isStep { rows += taken }
            remove(place.job)
            run.work += share
            if taken == needed, let own = job.earliestDeadline {
                // Its steps come after this batch.
                let steps = serviceTime.nanoseconds(
                    job.demand.stepWork.times(job.demand.steps),
                    batches: job.demand.steps
                )
                let own = Instant(nanoseconds: own.nanoseconds - min(own.nanoseconds, steps))
                deadline = min(deadline ?? own, own)
            }
            if let rest = job.demand.rest(after: taken, of: needed) {
                run.rest.append((place.due, rest))
                promises[place.job] = job.promise
            } else if let promise = job.promise {
                run.ending.append(promise)
            }
            portions.append(Portion(job: place.job, rows: taken))
        }
        if !portions.isEmpty { running = run }
        return portions
    }

    /// Whether everybody who waits for a job is predicted to have gone before it is done, should it go on beside such work.
    private func isHopeless(_ job: Job, beside work: ComputeWork, now: Instant) -> Bool {
        guard let deadline = job.latestDeadline else { return false }
        let time = serviceTime.nanoseconds(work + job.demand.total, batches: 1 + job.demand.steps)
        return now.advanced(by: time) > deadline
    }

    /// Whether a batch is predicted to meet a deadline, and no longer so with something added to it.
    private func isLate(_ deadline: Instant, now: Instant, _ work: ComputeWork, adding more: ComputeWork) -> Bool {
        now.advanced(by: serviceTime.cautious(serviceTime.nanoseconds(work + more))) > deadline
            && now.advanced(by: serviceTime.nanoseconds(work)) <= deadline
    }

    /// Takes note of how long a batch took.
    package mutating func finished(_ work: ComputeWork, nanoseconds: UInt64) {
        serviceTime.observe(work, nanoseconds: nanoseconds)
        guard let running else { return }
        margin.forget()
        let end = running.since.advanced(by: nanoseconds)
        for promise in running.ending { margin.observe(promise, at: end) }
        self.running = nil
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
            || queued.work.rows >= chunkEvents
    }

    // MARK: - Order

    func due(_ request: Request) -> UInt64 {
        let advantage = configuration.priorityAdvantageNanoseconds
        let patience = request.arrival.advanced(by: advantage)
        var due = min(patience, request.deadline ?? patience)
        for _ in 0..<request.priority.level { due = due.advanced(by: advantage) }
        return due.nanoseconds
    }
}
