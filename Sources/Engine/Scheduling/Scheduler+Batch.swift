// The choice of the next batch, and what the scheduler learns from it. Part of the pure scheduler.

extension Scheduler {
    /// What an idle engine does now. The caller has removed expired jobs.
    ///
    /// Every sequence with a pending step takes part, as long as there is room for another sequence. Then waiting jobs
    /// of the same model are added in order. A job that does not fit is never skipped for a smaller one, because a long
    /// history must not be overtaken forever; the last job may be cut. A batch ends for all its members at the same
    /// time, so a job is not added if it is predicted to make another one late. A job predicted to miss its own
    /// deadline is skipped while there are others, because computing it would make them late as well. It expires in the
    /// queue.
    ///
    /// - Parameters:
    ///   - waitsToFill: false while draining, when no requests can arrive.
    ///   - context: passed to `size`.
    ///   - size: a job's actual work now, called once for each job about to run. The prediction at its arrival may be
    ///     outdated, because cached rows come and go. nil: there is no room to start the job; then no later one starts
    ///     either, because a large job must not be overtaken forever.
    package mutating func next<Context>(
        now: Instant,
        waitsToFill: Bool = true,
        in context: inout Context,
        size: (UInt64, inout Context) -> (rows: Int, isDivisible: Bool)?
    ) -> Decision {
        running = nil
        promises.removeAll(keepingCapacity: true)
        guard !jobs.isEmpty else { return .idle }
        if waitsToFill, let start = startingTime(now: now), start > now { return .wait(until: start) }
        var portions: [Portion] = []
        if let stepped = steppedLane, queued.jobs > queued[stepped].jobs + queued[stepped].sequences {
            portions = batch(now: now, passingOver: true, besides: stepped, &context, size)
        }
        if portions.isEmpty { portions = batch(now: now, passingOver: true, &context, size) }
        if portions.isEmpty { portions = batch(now: now, passingOver: false, &context, size) }
        return portions.isEmpty ? .idle : .run(portions)
    }

    /// - Parameter besides: the lane of a model that must not provide the batch.
    private mutating func batch<Context>(
        now: Instant,
        passingOver: Bool,
        besides excluded: Int? = nil,
        _ context: inout Context,
        _ size: (UInt64, inout Context) -> (rows: Int, isDivisible: Bool)?
    ) -> [Portion] {
        var portions: [Portion] = []
        // The lane of the first job added; all others must be of the same model.
        var lane: Int?
        var isLedByStep = false
        var chunk = 0
        var run = Running(lane: 0, work: ComputeWork(), since: now)
        var rows = 0
        var isOpen = true
        // Whether there is room to start a new job.
        var hasRoom = true
        // When the batch must end so that its members meet their deadlines.
        var deadline: Instant?
        // How many steps and other jobs were skipped.
        var passed = (steps: 0, others: 0)
        while portions.count < configuration.maxBatchSequences {
            let step = passed.steps < steps.places.count ? steps.places[passed.steps] : nil
            let other = isOpen && passed.others < others.places.count ? others.places[passed.others] : nil
            guard let place = [step, other].compactMap(\.self).min(), let job = jobs[place.job] else { break }
            let isStep = place.job == step?.job
            func passOver() { if isStep { passed.steps += 1 } else { passed.others += 1 } }
            let isOfAnother = lane.map { $0 != job.demand.lane } ?? (job.demand.lane == excluded)
            if isOfAnother || job.isFresh && !hasRoom || passingOver && isHopeless(job, beside: run.work, now: now) {
                passOver()
                continue
            }
            if lane == nil { chunk = chunkEvents(lane: job.demand.lane) }
            let times = serviceTimes[job.demand.lane]
            guard let (needed, isDivisible) = size(place.job, &context) else {
                hasRoom = false
                passOver()
                continue
            }
            var taken = needed
            if isStep {
                // Beams of one request are computed together.
                if needed > 1, rows > 0, rows + needed > configuration.maxBatchEvents {
                    passOver()
                    continue
                }
            } else {
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
            if !isStep, let deadline, isLate(deadline, now: now, times, run.work, adding: share) {
                isOpen = false
                continue
            }
            if lane == nil {
                lane = job.demand.lane
                isLedByStep = isStep
                run.lane = job.demand.lane
            }
            if !isStep || needed > 1 { rows += taken }
            remove(place.job)
            run.work += share
            if taken == needed, let own = job.earliestDeadline {
                // The job's later steps must also fit before its deadline.
                let steps = times.nanoseconds(
                    job.demand.stepWork.times(job.demand.steps),
                    batches: job.demand.steps
                )
                let own = Instant(nanoseconds: own.nanoseconds - min(own.nanoseconds, steps))
                deadline = min(deadline ?? own, own)
            }
            if let rest = job.demand.rest(after: taken, of: needed) {
                run.rest.append((place.job, place.due, rest))
                promises[place.job] = job.promise
            } else if let promise = job.promise {
                run.ending.append(promise)
            }
            portions.append(Portion(job: place.job, rows: taken))
        }
        if !portions.isEmpty {
            running = run
            steppedLane = isLedByStep ? lane : nil
        }
        return portions
    }

    /// Whether all requests of a job are predicted to expire before it is done, if it runs together with this work.
    private func isHopeless(_ job: Job, beside work: ComputeWork, now: Instant) -> Bool {
        guard let deadline = job.latestDeadline else { return false }
        let time = serviceTimes[job.demand.lane].nanoseconds(work + job.demand.total, batches: 1 + job.demand.steps)
        return now.advanced(by: time) > deadline
    }

    /// Whether a batch is predicted to meet a deadline as it is, but not with more work.
    private func isLate(
        _ deadline: Instant,
        now: Instant,
        _ times: ServiceTimeModel,
        _ work: ComputeWork,
        adding more: ComputeWork
    ) -> Bool {
        now.advanced(by: times.cautious(times.nanoseconds(work + more))) > deadline
            && now.advanced(by: times.nanoseconds(work)) <= deadline
    }

    /// Records that a batch has been computed, or a part of a batch that did not fit the device's memory as a whole.
    ///
    /// - Parameters:
    ///   - lane: the model's lane.
    ///   - nanoseconds: its time; nil if another device than usual computed it, whose times predict nothing.
    ///   - isLast: whether this was the last part of the batch.
    package mutating func finished(
        _ work: ComputeWork,
        lane: Int = 0,
        nanoseconds: UInt64?,
        now: Instant,
        isLast: Bool = true
    ) {
        if let nanoseconds { serviceTimes[lane].observe(work, nanoseconds: nanoseconds) }
        guard isLast else {
            // New work still waits for the other parts.
            running?.work.add(work, times: -1)
            running?.since = now
            return
        }
        guard let running else { return }
        margin.forget()
        for promise in running.ending { margin.observe(promise, at: now) }
        self.running = nil
    }

    /// When an idle engine should start; nil: now.
    ///
    /// Only jobs that have never run wait. Two requests computed together share c, the fixed cost of a batch. The first
    /// pays with the time τ until the second arrives, and both with each other's work v. One after the other they
    /// finish at c + v and 2(c + v); together, both finish at τ + c + 2v. Waiting wins on average if 2τ < c − v, so the
    /// engine waits at most (c − v) / 2, and only if requests have been arriving that fast.
    private func startingTime(now: Instant) -> Instant? {
        guard configuration.maxWaitNanoseconds > 0 || configuration.minWaitNanoseconds > 0, !isBatchFull else {
            return nil
        }
        var oldest: Instant?
        var lane = 0
        for job in jobs.values {
            guard job.isFresh else { return nil }
            for request in job.requests where oldest.map({ request.arrival < $0 }) ?? true {
                oldest = request.arrival
                lane = job.demand.lane
            }
        }
        let fixed = serviceTimes[lane].fixedNanoseconds
        let variable = serviceTimes[lane].nanoseconds(queued[lane].work, batches: 0)
        let gain = fixed > variable ? (fixed - variable) / 2 : 0
        let chosen = arrivals.gap(now: now) <= gain ? gain : 0
        return oldest?.advanced(
            by: max(configuration.minWaitNanoseconds, min(configuration.maxWaitNanoseconds, chosen))
        )
    }

    private var isBatchFull: Bool {
        queued.lanes.contains { lane in
            lane.jobs + lane.sequences >= configuration.maxBatchSequences
                || lane.work.rows >= configuration.eventLimit(isDivisible: true)
        }
    }
}
