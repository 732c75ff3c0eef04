// Decides what runs next and what is dropped. A pure value: it sees sizes, times and ids, never a tensor, a socket or a
// clock. `Engine` protects it with its lock; tests drive it on a virtual clock. Scheduler+Admission decides whether a
// request is admitted.

/// The queue and its policy.
///
/// Jobs wait in the queue. A job answers one request, or several identical ones. It is computed in one or more passes;
/// after each pass but the last it returns to the queue.
///
/// Each job is due when the earliest of its requests is. A request is due at its arrival + one priority advantage +
/// twice its remaining work, the latter at most one advantage, or at its deadline if that is earlier. Each level of
/// priority below high adds another advantage. Therefore:
/// - within a level, the earliest deadline goes first;
/// - among requests that arrive together, the higher level goes first;
/// - a shorter request goes before a longer one that arrived slightly earlier, in proportion to the difference in
///   length;
/// - no request starves: it goes before everything that arrives more than four advantages later. A long request of low
///   priority is due last: one advantage without a deadline, one for its length, two for its level.
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

    /// The remaining work of a job, as far as is known.
    package struct Demand: Sendable, Equatable {
        /// The number of the model that computes it.
        package var lane: Int
        /// The work up to its next selection.
        package var work: ComputeWork
        /// Whether `work` can be done in parts.
        package var isDivisible: Bool
        /// The number of selections after the next one, each in a separate pass, and the work of one of them.
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
        /// Rows to compute; fewer than the job has if it is computed in parts. 0: it needs no computing.
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
        /// It was the last request, so the job was removed too.
        case nobody
        /// The request is not waiting.
        case unknown
    }

    struct Job: Sendable {
        var requests: [Request]
        var demand: Demand
        var place: DueOrder.Place
        /// nil if it has no deadline.
        var expiry: DueOrder.Place?
        /// Whether it has never run, or has lost all its computed rows.
        var isFresh: Bool
        /// The prediction for its first request at admission; nil if that has no deadline.
        var promise: AdmissionMargin.Promise?

        /// The earliest deadline of its requests.
        var earliestDeadline: Instant? { requests.lazy.compactMap(\.deadline).min() }
        /// The time after which no request needs it; nil if a request has no deadline.
        var latestDeadline: Instant? {
            requests.contains { $0.deadline == nil } ? nil : requests.lazy.compactMap(\.deadline).max()
        }
    }

    /// The batch that runs now.
    struct Running: Sendable {
        var lane: Int
        var work: ComputeWork
        var since: Instant
        /// The work that its jobs will have left, and when they are due.
        var rest: [(job: UInt64, due: UInt64, demand: Demand)] = []
        /// The promises of the jobs whose last pass it is.
        var ending: [AdmissionMargin.Promise] = []
    }

    /// How much later a job is due per unit of its work. Short jobs first reduces the average wait. With a factor of
    /// two, even the longest jobs wait less; with a much larger factor they would wait longer.
    private static let yielding: UInt64 = 2
    private static let firstMargin = 1.5

    let configuration: SchedulerConfiguration
    private(set) var jobs: [UInt64: Job] = [:]
    /// Jobs whose next pass is a step, and all other jobs.
    var steps = DueOrder()
    private(set) var others = DueOrder()
    /// The jobs with a deadline, by their earliest one.
    private var deadlines = DueOrder()
    private var numbers: UInt64 = 0
    /// Requests of jobs that have never run, or must restart.
    private(set) var queuedRequests = 0
    /// Demand of all waiting jobs.
    private(set) var queued = Backlogs()
    /// The batch of the latest `run` decision; nil while the engine is idle.
    var running: Running?
    /// The expected end of an attempt to recover the device; nil if the engine's thread can compute.
    private(set) var heldUntil: Instant?
    /// Promises of jobs that are running and will run again.
    var promises: [UInt64: AdmissionMargin.Promise] = [:]
    /// The service times of each model's batches, by lane.
    var serviceTimes = [ServiceTimeModel()]
    /// The lane of the last batch, if a sequence's step led it. The next batch is then another model's, because a
    /// started sequence is due before all later requests and would block other models until its end.
    var steppedLane: Int?
    /// Starts at 1.5, until overload has been observed.
    var margin = AdmissionMargin(factor: Self.firstMargin)
    var arrivals = ArrivalRate()

    package init(_ configuration: SchedulerConfiguration) {
        self.configuration = configuration
    }

    /// Requests that wait for their first pass, including those whose computed rows were lost with a device.
    package var depth: Int { queuedRequests }
    /// Whether the next request would be refused because the queue is full.
    package var isFull: Bool { queuedRequests >= configuration.maxQueuedRequests }

    /// The earliest deadline of all waiting requests.
    package var earliestDeadline: Instant? { deadlines.places.first.map { Instant(nanoseconds: $0.due) } }

    /// Sets the service times of a model's batches.
    package mutating func expect(_ times: ServiceTimeModel, lane: Int) {
        while serviceTimes.count <= lane { serviceTimes.append(ServiceTimeModel()) }
        serviceTimes[lane] = times
    }

    /// Sets new service times, by lane, and discards what was learnt from the previous device's prediction errors.
    package mutating func changeDevice(_ times: [Int: ServiceTimeModel]) {
        for (lane, times) in times { expect(times, lane: lane) }
        margin = AdmissionMargin(factor: Self.firstMargin)
        // Work that the previous device started is done, or lost with it.
        running = nil
        forgetPromises()
    }

    /// Tells the scheduler that probably nothing is computed until `instant`, because the engine's thread tries to
    /// recover its device.
    package mutating func hold(until instant: Instant) { heldUntil = instant }

    /// The engine computes again. Forgets all promises: those from before and during the outage say nothing about the
    /// time of batches.
    package mutating func release() {
        heldUntil = nil
        forgetPromises()
    }

    private mutating func forgetPromises() {
        promises.removeAll()
        for id in jobs.keys { jobs[id]?.promise = nil }
    }

    /// Makes a waiting job start from its first row, because its rows are lost. It counts as one that has never run.
    package mutating func restart(_ id: UInt64, _ demand: Demand) {
        guard var job = jobs[id] else { return }
        if !job.isFresh { queuedRequests += job.requests.count }
        job.isFresh = true
        leave(job)
        queued.remove(job.demand)
        job.demand = demand
        // The number stays the same, so that jobs that are due together keep their order.
        let due = job.requests.map { self.due($0, demand) }.min() ?? job.place.due
        job.place = DueOrder.Place(due: due, number: job.place.number, job: id)
        jobs[id] = job
        queued.add(demand)
        enter(job)
    }

    // MARK: - In

    /// Adds a job that `admission` has admitted.
    package mutating func enqueue(_ request: Request, job: UInt64, _ demand: Demand, now: Instant) {
        arrivals.note(request.arrival)
        let due = due(request, demand)
        var promise: AdmissionMargin.Promise?
        if request.deadline != nil {
            promise = .init(from: now, nanoseconds: expectation(of: demand, behind: ahead(of: due), now: now))
        }
        // Overtaken jobs end later than promised.
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

    /// Adds a job again for its next pass. It has been admitted once and is never refused.
    package mutating func readmit(_ requests: [Request], job: UInt64, _ demand: Demand) {
        let promise = promises.removeValue(forKey: job)
        // If the batch is computed in parts, other jobs are still running.
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

    /// Updates a job's expiry after a change of its requests.
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

    /// Removes a waiting request.
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

    /// Removes every request whose deadline has passed, in no particular order. Such a request is never computed.
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

    /// Removes all waiting jobs.
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
