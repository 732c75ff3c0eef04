// Whether a request is admitted, based on waiting and running work and its predicted time. Part of the pure scheduler.

extension Scheduler {
    package enum Admission: Sendable, Equatable {
        case admitted
        /// The queue is full. `retryAfter`: predicted nanoseconds until one of its requests starts.
        case queueFull(retryAfter: UInt64)
        /// The queue's predicted work would exceed its limit. `retryAfter`: predicted nanoseconds until there is room.
        case tooMuchWork(retryAfter: UInt64)
        /// `retryAfter`: predicted nanoseconds until the same deadline could be met.
        case deadlineUnreachable(retryAfter: UInt64)
    }

    /// Whether a request may be admitted: it must meet its own deadline, and so must the waiting requests that it would
    /// overtake. Changes nothing.
    ///
    /// - Parameters:
    ///   - demand: the demand of the request's job, new or joined.
    ///   - joined: the waiting job that it would join without adding work; nil: it gets its own job.
    package func admission(
        of request: Request,
        _ demand: Demand,
        joining joined: UInt64? = nil,
        now: Instant
    ) -> Admission {
        guard !isFull else { return .queueFull(retryAfter: timeUntilStart(now: now)) }
        if joined == nil, configuration.maxQueuedNanoseconds > 0, !jobs.isEmpty {
            var all = all
            all.add(demand)
            let predicted = time(of: all) + remainingNanoseconds(now: now)
            if predicted > configuration.maxQueuedNanoseconds {
                return .tooMuchWork(retryAfter: predicted - configuration.maxQueuedNanoseconds)
            }
        }
        guard let deadline = request.deadline else { return .admitted }
        var due = due(request, demand)
        let job = joined.flatMap { jobs[$0] }
        // The request is answered when the job that it joins is done.
        if let job { due = min(due, job.place.due) }
        var ahead = ahead(of: due)
        if let job, job.place.due == due { ahead.remove(job.demand) }
        let finish = finish(of: demand, behind: ahead, now: now)
        guard finish <= deadline else { return .deadlineUnreachable(retryAfter: finish.nanoseconds(since: deadline)) }
        let delay = joined != nil ? 0 : delay(of: request.priority, due, demand, ahead, now: now)
        return delay == 0 ? .admitted : .deadlineUnreachable(retryAfter: delay)
    }

    /// The demand of all waiting jobs, and what the running ones will have left.
    private var all: Backlogs {
        var all = queued
        for rest in running?.rest ?? [] { all.add(rest.demand) }
        return all
    }

    /// The work before a request that is due at this time: jobs that are due earlier, and every sequence in progress.
    func ahead(of due: UInt64) -> Backlogs {
        var ahead = queued
        for place in others.behind(due) {
            if let job = jobs[place.job] { ahead.remove(job.demand) }
        }
        for rest in running?.rest ?? [] where rest.due <= due || rest.demand.isStep { ahead.add(rest.demand) }
        return ahead
    }

    /// How late this request would make another one of the same or a higher priority that is now predicted to be in
    /// time; 0 if none.
    private func delay(
        of priority: Priority,
        _ due: UInt64,
        _ demand: Demand,
        _ ahead: Backlogs,
        now: Instant
    ) -> UInt64 {
        var without = ahead
        var with = ahead
        with.add(demand)
        for place in others.behind(due) {
            guard let job = jobs[place.job] else { continue }
            if let deadline = job.earliestDeadline, job.requests.contains(where: { $0.priority.isAtLeast(priority) }) {
                let finish = finish(of: job.demand, behind: with, now: now)
                if finish > deadline, self.finish(of: job.demand, behind: without, now: now) <= deadline {
                    return finish.nanoseconds(since: deadline)
                }
            }
            without.add(job.demand)
            with.add(job.demand)
        }
        return 0
    }

    /// Predicted nanoseconds until the running batch, or whatever else occupies the engine, is done.
    private func remainingNanoseconds(now: Instant) -> UInt64 {
        let held = heldUntil?.nanoseconds(since: now) ?? 0
        guard let running else { return held }
        let whole = serviceTimes[running.lane].nanoseconds(running.work)
        let elapsed = now.nanoseconds(since: running.since)
        return max(held, whole > elapsed ? whole - elapsed : 0)
    }

    /// The time until the next batch starts and shortens the queue.
    private func timeUntilStart(now: Instant) -> UInt64 { max(1, remainingNanoseconds(now: now)) }

    /// The likely latest completion of a request with this work before it.
    private func finish(of demand: Demand, behind ahead: Backlogs, now: Instant) -> Instant {
        let expected = expectation(of: demand, behind: ahead, now: now)
        let cautious = serviceTimes[demand.lane].cautious(expected)
        // With nothing before it, a request has no wait that could be mispredicted. If an idle engine refused requests
        // because of the margin, no observation would ever lower the margin.
        let isAlone = running == nil && heldUntil == nil && ahead.jobs == 0
        return now.advanced(by: isAlone ? cautious : max(cautious, margin.padded(expected)))
    }

    /// Predicted nanoseconds until a request with this work before it is done.
    ///
    /// While a batch has room for one more sequence, the steps of other sequences run together with the request, not
    /// before it: each of its batches contains one step of each of them. Without room, the request waits for a slot.
    /// The number of batches then follows Graham's bound for list scheduling ("Bounds for certain multiprocessing
    /// anomalies", 1966): all passes before it divided by the slots, plus its own. Batches of other models count in
    /// full, and their steps alternate with its own.
    func expectation(of demand: Demand, behind ahead: Backlogs, now: Instant) -> UInt64 {
        let own = ahead[demand.lane]
        let limit = chunkEvents(lane: demand.lane)
        let places = configuration.maxBatchSequences
        let waits = own.jobs + own.sequences >= places
        let before = max(batches(of: own, events: limit), waits ? passes(of: own) / places : 0)
        let batches = before + max(1, (demand.work.rows + limit - 1) / limit) + demand.steps
        let times = serviceTimes[demand.lane]
        var finish = Instant(nanoseconds: remainingNanoseconds(now: now))
            .advanced(by: times.nanoseconds(own.work + demand.total, batches: batches))
            .advanced(by: steps(of: own, lane: demand.lane, in: batches))
        for (lane, other) in ahead.lanes.enumerated() where lane != demand.lane && other.jobs + other.sequences > 0 {
            let turns = min(batches, other.sequences + other.steps)
            let others = self.batches(of: other, events: chunkEvents(lane: lane))
            finish = finish.advanced(by: serviceTimes[lane].nanoseconds(other.work, batches: others + turns))
                .advanced(by: steps(of: other, lane: lane, in: turns))
        }
        return finish.nanoseconds
    }

    /// Predicted nanoseconds of a model's steps in this many batches, limited to the existing steps.
    private func steps(of backlog: Backlog, lane: Int, in batches: Int) -> UInt64 {
        let steps = backlog.sequences + backlog.steps
        guard steps > 0 else { return 0 }
        let sequences = backlog.sequences + backlog.laterSequences
        let all = serviceTimes[lane].nanoseconds(backlog.sequenceWork + backlog.stepWork, batches: 0)
        let share = Double(min(steps, batches * min(configuration.maxBatchSequences, sequences))) / Double(steps)
        return UInt64((Double(all) * share).rounded())
    }

    /// Events per batch for histories that can be computed in parts, from the predicted time of the lane's waiting
    /// events.
    func chunkEvents(lane: Int) -> Int {
        let most = configuration.eventLimit(isDivisible: true)
        let least = SchedulerConfiguration.shortChunkEvents
        var work = queued[lane].work
        guard most > least, work.rows > 0 else { return most }
        work.queries = 0
        let time = Double(serviceTimes[lane].nanoseconds(work, batches: 0))
        let events = Double(SchedulerConfiguration.chunkNanoseconds) * Double(work.rows) / max(1, time)
        return events < Double(most) ? max(least, Int(events)) : most
    }

    /// Predicted nanoseconds of all the work, steps included.
    private func time(of backlogs: Backlogs) -> UInt64 {
        var time: UInt64 = 0
        for (lane, backlog) in backlogs.lanes.enumerated() where backlog.jobs + backlog.sequences > 0 {
            var work = backlog.work
            work += backlog.sequenceWork
            work += backlog.stepWork
            let sequences = configuration.maxBatchSequences
            let steps = (backlog.sequences + backlog.steps + sequences - 1) / sequences
            let batches = max(batches(of: backlog, events: chunkEvents(lane: lane)), steps)
            time += serviceTimes[lane].nanoseconds(work, batches: batches)
        }
        return time
    }

    /// The batch slots that the jobs take if each history is encoded in one pass.
    private func passes(of backlog: Backlog) -> Int { backlog.jobs + backlog.sequences + backlog.steps }

    /// The number of batches of this many events that the jobs need until their selections.
    private func batches(of backlog: Backlog, events: Int) -> Int {
        let sequences = configuration.maxBatchSequences
        return max((backlog.work.rows + events - 1) / events, (backlog.jobs + sequences - 1) / sequences)
    }
}

extension Priority {
    /// 0 for the highest priority. Each level is due one advantage later.
    var level: Int {
        switch self {
        case .high: 0
        case .normal: 1
        case .low: 2
        }
    }

    fileprivate func isAtLeast(_ other: Priority) -> Bool { level <= other.level }
}
