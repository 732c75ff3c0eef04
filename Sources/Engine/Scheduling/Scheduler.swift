// Decides what runs next and what is dropped. A pure value: it sees sizes, times and ids, never a tensor, a socket or a
// clock. `Engine` protects it with its lock; tests drive it on a virtual clock. Scheduler+Admission decides whether a
// request is admitted.

/// The queue and its policy.
///
/// Jobs wait in the queue. A job answers one request, or several identical ones. It is computed in one or more passes;
/// after each pass but the last it returns to the queue.
///
/// Each job has a due time, the earliest of its requests'. A request is due at its deadline or at its arrival + one
/// priority advantage + twice its remaining work, whichever is earlier; without a deadline, at the latter. Each level of
/// priority below high adds another advantage. Therefore:
/// - within a level, the earliest deadline goes first;
/// - among requests that arrive together, the higher level goes first;
/// - a shorter request goes before a longer one that arrived slightly earlier, in proportion to the difference in
///   length;
/// - no request starves: it goes before everything that arrives more than four advantages later. The latest is a long
///   one of low priority: one advantage for having no deadline, one for its length, two for its level.
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

    /// The work that a job still has, as far as is known.
    package struct Demand: Sendable, Equatable {
        /// The number of the model that computes it.
        package var lane: Int
        /// Up to its next selection.
        package var work: ComputeWork
        /// Whether `work` can be done in parts.
        package var isDivisible: Bool
        /// The selections after the next one, each in a separate pass, and the work of one.
        package var steps: Int
        package var stepWork: ComputeWork
        /// Whether the job is a sequence whose next pass is one row: it goes into every batch.
        package var isStep: Bool

        package init(
            lane: Int = 0,
            work: ComputeWork,
            isDivisible: Bool = true,
            steps: Int = 0,
            stepWork: ComputeWork = ComputeWork(),
            isStep: Bool = false
        ) {
            self.lane = lane
            self.work = work
            self.isDivisible = isDivisible
            self.steps = steps
            self.stepWork = stepWork
            self.isStep = isStep
        }
    }

    /// The part of a job in a batch.
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
        /// Compute these together, in this order. Never empty, and all of one model.
        case run([Portion])
        /// Nothing can start before this point. Ask again then, or after an admission.
        case wait(until: Instant)
        /// The queue is empty.
        case idle
    }

    /// The state of a job after one of its requests was removed.
    package enum Remainder: Sendable, Equatable {
        case othersWait
        /// It was the last one: the job is out of the queue too.
        case nobody
        /// The request is not waiting.
        case unknown
    }

    struct Job: Sendable {
        var requests: [Request]
        var demand: Demand
        var place: DueOrder.Place
        /// Nil where it has no deadline.
        var expiry: DueOrder.Place?
        /// Whether it has never run, or has lost all that it had computed.
        var isFresh: Bool
        /// The prediction for its first request at admission; nil if that has no deadline.
        var promise: AdmissionMargin.Promise?

        /// The earliest deadline of its requests.
        var earliestDeadline: Instant? { requests.lazy.compactMap(\.deadline).min() }
        /// The time after which no request needs it; nil: a request has no deadline.
        var latestDeadline: Instant? {
            requests.contains { $0.deadline == nil } ? nil : requests.lazy.compactMap(\.deadline).max()
        }
    }

    /// The job that runs now.
    struct Running: Sendable {
        var lane: Int
        var work: ComputeWork
        var since: Instant
        /// The work that its jobs will have left, and when that is due.
        var rest: [(job: UInt64, due: UInt64, demand: Demand)] = []
        /// The promises of the jobs that have their last pass in it.
        var ending: [AdmissionMargin.Promise] = []
    }

    /// Short jobs go first, and everybody waits less. With twice the difference the longest jobs wait less too; with much
    /// more they would pay for it.
    private static let yielding: UInt64 = 2
    private static let firstMargin = 1.5

    let configuration: SchedulerConfiguration
    private(set) var jobs: [UInt64: Job] = [:]
    /// Jobs whose next pass is a step, and the others.
    var steps = DueOrder()
    private(set) var others = DueOrder()
    /// The jobs with a deadline, by their earliest one.
    private var deadlines = DueOrder()
    private var numbers: UInt64 = 0
    /// Requests of jobs that have never run, or must restart.
    private(set) var queuedRequests = 0
    /// Demand of all that waits.
    private(set) var queued = Backlogs()
    /// The duration by the latest `run` decision; nil while the engine is idle.
    var running: Running?
    /// nil: the engine's thread computes, or could.
    private(set) var heldUntil: Instant?
    /// Jobs that have run and will run again.
    var promises: [UInt64: AdmissionMargin.Promise] = [:]
    /// The service times of each model's batches, by lane.
    var serviceTimes = [ServiceTimeModel()]
    /// The lane of the last batch, if a sequence's step led it: then another model's is next. A started sequence is due
    /// before all later requests, and would block other models until its end.
    var steppedLane: Int?
    /// Until it has seen a flood it expects half as much again.
    var margin = AdmissionMargin(factor: Self.firstMargin)
    var arrivals = ArrivalRate()

    package init(_ configuration: SchedulerConfiguration) {
        self.configuration = configuration
    }

    /// Requests that wait for their first pass, also after a device that took what it had computed along.
    package var depth: Int { queuedRequests }
    /// Whether the next request would be refused because the queue is full.
    package var isFull: Bool { queuedRequests >= configuration.maxQueuedRequests }

    /// The earliest deadline of all that wait.
    package var earliestDeadline: Instant? { deadlines.places.first.map { Instant(nanoseconds: $0.due) } }

    /// Sets the service times of a model's batches.
    package mutating func expect(_ times: ServiceTimeModel, lane: Int) {
        while serviceTimes.count <= lane { serviceTimes.append(ServiceTimeModel()) }
        serviceTimes[lane] = times
    }

    /// Sets new service times, by lane, and discards what was learnt from the other device's errors.
    package mutating func changeDevice(_ times: [Int: ServiceTimeModel]) {
        for (lane, times) in times { expect(times, lane: lane) }
        margin = AdmissionMargin(factor: Self.firstMargin)
        // Work started by the other device is done, or lost with it.
        running = nil
        forgetPromises()
    }

    /// Until then, in all likelihood, nothing is computed, because the engine's thread tries to make its device again.
    package mutating func hold(until instant: Instant) { heldUntil = instant }

    /// The engine computes again. Earlier predictions, and guesses during the outage, say nothing about the time of
    /// batches.
    package mutating func release() {
        heldUntil = nil
        forgetPromises()
    }

    private mutating func forgetPromises() {
        promises.removeAll()
        for id in jobs.keys { jobs[id]?.promise = nil }
    }

    /// A waiting job must be computed from its first row, because its rows are lost. It counts as one that has never
    /// run.
    package mutating func restart(_ id: UInt64, _ demand: Demand) {
        guard var job = jobs[id] else { return }
        if !job.isFresh { queuedRequests += job.requests.count }
        job.isFresh = true
        leave(job)
        queued.remove(job.demand)
        job.demand = demand
        // Includes its number: jobs that are due together keep their order.
        let due = job.requests.map { self.due($0, demand) }.min() ?? job.place.due
        job.place = DueOrder.Place(due: due, number: job.place.number, job: id)
        jobs[id] = job
        queued.add(demand)
        enter(job)
    }

    // MARK: - In

    /// Takes a job in that `admission` has let in.
    package mutating func enqueue(_ request: Request, job: UInt64, _ demand: Demand, now: Instant) {
        arrivals.note(request.arrival)
        let due = due(request, demand)
        var promise: AdmissionMargin.Promise?
        if request.deadline != nil {
            promise = .init(from: now, nanoseconds: expectation(of: demand, behind: ahead(of: due), now: now))
        }
        // The jobs that are overtaken were promised an earlier end.
        let own = serviceTimes[demand.lane].nanoseconds(demand.total, batches: 0)
        for place in others.behind(due) { jobs[place.job]?.promise?.nanoseconds += own }
        insert(job, [request], demand, due: due, isFresh: true, promise)
    }

    /// Adds a request to a waiting job that has not started. False if there is no such job.
    package mutating func join(_ request: Request, job id: UInt64) -> Bool {
        guard let job = jobs[id], job.isFresh else { return false }
        arrivals.note(request.arrival)
        jobs[id]?.requests.append(request)
        queuedRequests += 1
        changeExpiry(id)
        let due = due(request, job.demand)
        if due < job.place.due { move(id, to: due) }
        return true
    }

    /// Takes a job back in for its next pass. It has been admitted once and is never refused.
    package mutating func readmit(_ requests: [Request], job: UInt64, _ demand: Demand) {
        let promise = promises.removeValue(forKey: job)
        // If the batch is computed in parts, others are still running.
        running?.rest.removeAll { $0.job == job }
        insert(job, requests, demand, due: requests.map { due($0, demand) }.min() ?? 0, isFresh: false, promise)
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
        let job = Job(requests: requests, demand: demand, place: place, isFresh: isFresh, promise: promise)
        jobs[id] = job
        changeExpiry(id)
        queued.add(demand)
        if isFresh { queuedRequests += requests.count }
        enter(job)
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
        if let job = jobs[id] { enter(job) }
    }

    /// After a change of its requests.
    private mutating func changeExpiry(_ id: UInt64) {
        guard let job = jobs[id], job.expiry?.due != job.earliestDeadline?.nanoseconds else { return }
        if let old = job.expiry { deadlines.remove(old) }
        let new = job.earliestDeadline.map { makePlace(id, due: $0.nanoseconds) }
        jobs[id]?.expiry = new
        if let new { deadlines.insert(new) }
    }

    private mutating func enter(_ job: Job) {
        if job.demand.isStep { steps.insert(job.place) } else { others.insert(job.place) }
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
        guard let due = job.requests.map({ due($0, job.demand) }).min() else {
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
            // A request that expires because nothing is computed was not mispredicted.
            if heldUntil == nil { margin.observe(job.promise, at: now) }
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
            queued = Backlogs()
        }
        return Array(jobs.keys)
    }

    @discardableResult
    mutating func remove(_ id: UInt64) -> Job? {
        guard let job = jobs.removeValue(forKey: id) else { return nil }
        queued.remove(job.demand)
        if job.isFresh { queuedRequests -= job.requests.count }
        leave(job)
        if let expiry = job.expiry { deadlines.remove(expiry) }
        return job
    }

    // MARK: - Order

    func due(_ request: Request, _ demand: Demand) -> UInt64 {
        let advantage = configuration.priorityAdvantageNanoseconds
        let left = serviceTimes[demand.lane].nanoseconds(demand.total, batches: 0)
        let patience = request.arrival.advanced(by: advantage)
            .advanced(by: min(advantage, Self.yielding * left))
        var due = min(patience, request.deadline ?? patience)
        for _ in 0..<request.priority.level { due = due.advanced(by: advantage) }
        return due.nanoseconds
    }
}
