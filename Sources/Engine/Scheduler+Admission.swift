// Whether a request is let in, judging by what waits, what runs, and how long such work takes. Part of the pure scheduler.

extension Scheduler {
    package enum Admission: Sendable, Equatable {
        case admitted
        /// As many requests wait as may; predicted nanoseconds until one of them starts.
        case queueFull(retryAfter: UInt64)
        /// What waits is predicted to take as long as may be; predicted nanoseconds until there is room.
        case tooMuchWork(retryAfter: UInt64)
        /// Predicted nanoseconds until the same deadline could be met.
        case deadlineUnreachable(retryAfter: UInt64)
    }

    /// Demand of several jobs.
    struct Backlog: Sendable, Equatable {
        /// Jobs that have more to compute than steps.
        var jobs = 0
        /// Their work up to their next selections.
        var work = ComputeWork()
        /// Sequences whose next pass is a step, and the work of one step of each.
        var sequences = 0
        var sequenceWork = ComputeWork()
        /// Steps after the next selection, and the work of all of them.
        var steps = 0
        var stepWork = ComputeWork()

        mutating func add(_ demand: Demand) { change(demand, by: 1) }
        mutating func remove(_ demand: Demand) { change(demand, by: -1) }

        private mutating func change(_ demand: Demand, by sign: Int) {
            if demand.isStep {
                sequences += sign
                sequenceWork.add(demand.work, times: sign)
            } else {
                jobs += sign
                work.add(demand.work, times: sign)
            }
            steps += sign * demand.steps
            stepWork.add(demand.stepWork, times: sign * demand.steps)
        }
    }

    /// Whether a request may come in. Nothing is changed.
    ///
    /// - Parameters:
    ///   - demand: of the job that it would be, or join.
    ///   - joins: whether that job waits already, so that the request adds no work.
    package func admission(of request: Request, _ demand: Demand, joins: Bool, now: Instant) -> Admission {
        guard !isFull else { return .queueFull(retryAfter: timeUntilStart(now: now)) }
        if !joins, configuration.maxQueuedNanoseconds > 0, !jobs.isEmpty {
            var all = queued
            all.add(demand)
            let predicted = time(of: all) + remainingNanoseconds(now: now)
            if predicted > configuration.maxQueuedNanoseconds {
                return .tooMuchWork(retryAfter: predicted - configuration.maxQueuedNanoseconds)
            }
        }
        guard let deadline = request.deadline else { return .admitted }
        // Most often there is time for everything that waits, and then nobody need ask who is before whom.
        let own = ownTime(of: demand)
        if finish(behind: queued, own, now: now) <= deadline { return .admitted }
        let last = due(request)
        var ahead = Backlog()
        for job in jobs.values where job.due <= last || job.demand.isStep { ahead.add(job.demand) }
        let finish = finish(behind: ahead, own, now: now)
        guard finish <= deadline else { return .deadlineUnreachable(retryAfter: finish.nanoseconds(since: deadline)) }
        return .admitted
    }

    /// Predicted nanoseconds until everything that runs and waits now is done.
    package func predictedWait(now: Instant) -> UInt64 { remainingNanoseconds(now: now) + time(of: queued) }

    /// Predicted nanoseconds until what runs now is done.
    private func remainingNanoseconds(now: Instant) -> UInt64 {
        guard let running else { return 0 }
        let whole = serviceTime.nanoseconds(running.work)
        let elapsed = now.nanoseconds(since: running.since)
        return whole > elapsed ? whole - elapsed : 0
    }

    /// Until the next batch starts, and with it somebody leaves the queue.
    private func timeUntilStart(now: Instant) -> UInt64 { max(1, remainingNanoseconds(now: now)) }

    /// When a request is done at the latest, in all likelihood, that has these before it. Generated sequences are not before it but beside it: each of its
    /// batches has a step of theirs.
    private func finish(behind ahead: Backlog, _ own: (nanoseconds: UInt64, batches: Int), now: Instant) -> Instant {
        let batches = batches(of: ahead)
        let steps = serviceTime.nanoseconds(ahead.sequenceWork, batches: 0)
        let expected = Instant(nanoseconds: remainingNanoseconds(now: now))
            .advanced(by: serviceTime.nanoseconds(ahead.work, batches: batches))
            .advanced(by: own.nanoseconds)
            .advanced(by: steps.multiplied(by: batches + own.batches))
        return now.advanced(by: serviceTime.cautious(expected.nanoseconds))
    }

    /// What a job takes by itself, and in how many batches.
    private func ownTime(of demand: Demand) -> (nanoseconds: UInt64, batches: Int) {
        var own = Backlog()
        own.add(demand)
        let batches = max(1, self.batches(of: own)) + demand.steps
        var work = demand.work
        work += own.stepWork
        return (serviceTime.nanoseconds(work, batches: batches), batches)
    }

    /// Everything, steps included.
    private func time(of backlog: Backlog) -> UInt64 {
        var work = backlog.work
        work += backlog.sequenceWork
        work += backlog.stepWork
        let sequences = configuration.maxBatchSequences
        let steps = (backlog.sequences + backlog.steps + sequences - 1) / sequences
        return serviceTime.nanoseconds(work, batches: max(batches(of: backlog), steps))
    }

    /// Batches that jobs take up to their selections.
    private func batches(of backlog: Backlog) -> Int {
        let events = configuration.eventLimit(isDivisible: true)
        let sequences = configuration.maxBatchSequences
        return max((backlog.work.rows + events - 1) / events, (backlog.jobs + sequences - 1) / sequences)
    }
}

extension UInt64 {
    fileprivate func multiplied(by factor: Int) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: UInt64(Swift.max(0, factor)))
        return overflow ? .max : product
    }
}

extension ComputeWork {
    fileprivate mutating func add(_ other: ComputeWork, times factor: Int) {
        rows += factor * other.rows
        pairs += factor * other.pairs
        queries += factor * other.queries
    }
}
