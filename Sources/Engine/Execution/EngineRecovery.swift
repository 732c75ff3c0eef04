// Recovers an engine whose device fails: releases its resources, refuses callers or serves them on the fallback, and
// tries to make the device again until it works.

internal import Compute
internal import Locking
internal import Models

extension Engine {
    /// A lost device, and its unfinished jobs.
    struct Loss {
        let error: ComputeError
        let jobs: [UInt64]
    }

    // MARK: Making

    /// Makes the device and the fallback and loads the initial models on them.
    func makeExecutors(
        _ source: DeviceSource,
        _ models: [(lane: Int, hosted: HostedModel)]
    ) throws -> Executors {
        let begin = Instant.now()
        var executors = Executors()
        for (lane, hosted) in models { executors.hosted[lane] = hosted }
        let device = try source.make()
        executors.name = device.description.name
        executors.primary = try makePrimary(device, executors.hosted)
        executors.startNanoseconds = Instant.now().nanoseconds(since: begin)
        if let makeFallback = source.makeFallback {
            var fallback = try Workplace(try makeFallback())
            for (lane, hosted) in executors.hosted {
                try add(hosted, lane, on: fallback.device, to: &fallback, cacheBytes: 0)
            }
            executors.fallback = fallback
        }
        return executors
    }

    /// Loads all models on a device and gives the caches and admission the new device's facts.
    private func makePrimary(_ device: any Device, _ models: [Int: HostedModel]) throws -> Workplace {
        var place = try Workplace(device)
        for (lane, hosted) in models.sorted(by: { $0.key < $1.key }) {
            let device = try place.device(for: hosted.source)
            try add(hosted, lane, on: device, to: &place, cacheBytes: hosted.source.cacheBytes)
        }
        state.withLock { state in
            state.device = device.description
            state.degradation = nil
            state.expectedBack = nil
            state.scheduler.changeDevice(place.times)
            // Searches start again, because their rows are in the fallback's pages.
            for id in state.table.jobs.filter({ $0.value.strategy.reservedRows > 0 }).keys {
                state.table[id]?.loseRows()
                if let job = state.table[id] { state.scheduler.restart(id, job.demand(predicted: (0, true))) }
            }
            for (lane, executor) in place.executors { state.settle(executor, lane: lane) }
        }
        return place
    }

    /// Loads a model and warms it up.
    private func add(
        _ hosted: HostedModel,
        _ lane: Int,
        on device: any Device,
        to place: inout Workplace,
        cacheBytes: Int
    ) throws {
        let resident = try hosted.source.load(device)
        if case .loading = phase { change(to: .warming) }
        var trial = try trial(of: resident, hosted, on: place.stream(of: device), cacheBytes: cacheBytes)
        while try trial.next() {}
        place.add(trial.executor, trial.times, lane: lane)
    }

    // MARK: Losing

    /// Releases a failed device. The fallback computes its jobs and the waiting ones. Without a fallback they are
    /// refused, because callers can reach another server sooner than this one recovers.
    func lose(_ loss: Loss, _ executors: inout Executors, _ recovery: inout Recovery) {
        let reason = "\(executors.name): \(loss.error.message)"
        let now = Instant.now()
        recovery.postpone(now: now, servesMeanwhile: executors.fallback != nil)
        state.withLock { $0.expectedBack = recovery.expectedBack }
        if let fallback = executors.fallback {
            let (ended, counts) = state.withLock { state in
                let counts = loseCache(&state)
                state.degradation = reason
                state.scheduler.changeDevice(fallback.times)
                for (lane, executor) in fallback.executors where executor.searchesPaths {
                    state.settle(executor, lane: lane)
                }
                return (requeue(loss.jobs, &state), counts)
            }
            for job in ended { report(job) }
            report(counts)
            refuseUnfit()
            change(to: .ready(fallback.description))
        } else {
            let (failed, counts) = state.withLock { state in
                let counts = loseCache(&state)
                return (loss.jobs.compactMap { state.table.end($0, isTrusted: false) }, counts)
            }
            report(counts)
            reportVain(failed)
            // The phase changes first, because a caller informed of the failure must see it in the readiness.
            change(to: .recovering(reason))
            let retry = state.withLock { $0.retryAfterNanoseconds(now: now) }
            let failure = EngineError(loss.error, retryAfterNanoseconds: retry)
            for caller in failed.flatMap(\.callers) { caller.completion(.failure(failure)) }
            refuseWaiting(.recovering, "not ready: recovering: \(reason)", retryAfterNanoseconds: retry)
        }
        // Releasing a device can take longer than the pause. The pause starts afterwards, so that waiting jobs go to
        // the fallback before the next attempt.
        let begin = Instant.now()
        executors.primary = nil
        recovery.postpone(by: Instant.now().nanoseconds(since: begin))
    }

    /// Refuses the jobs that the fallback has no room for.
    private func refuseUnfit() {
        let unfit = state.withLock { state in
            state.table.jobs.compactMap { id, job -> Job? in
                let reserved = job.strategy.reservedRows
                guard reserved > 0, !state.table.fits(job.seen.count, reserving: reserved, lane: job.lane) else {
                    return nil
                }
                state.scheduler.remove(id)
                return state.table.end(id)
            }
        }
        for caller in unfit.flatMap(\.callers) {
            let refusal = "the device failed, and its fallback has no room for the request"
            caller.completion(.failure(EngineError(.unavailable, refusal)))
        }
    }

    /// Empties the caches, whose pages are lost.
    ///
    /// - Returns: the statistics to report.
    private func loseCache(_ state: inout State) -> [ModelID: UserCache.Statistics] {
        state.table.loseRows()
        for lane in state.places.indices {
            guard let place = state.places[lane], var counts = state.table.cache(lane: lane)?.statistics else {
                continue
            }
            counts.entries = 0
            counts.bytes = 0
            state.places[lane]?.lostCounts = place.lostCounts.map { $0 + counts } ?? counts
            state.table.setCache(nil, lane: lane)
            state.places[lane]?.prefixCache = .none(reason: "the device has failed")
        }
        return state.statistics
    }

    /// Requeues the jobs that the device did not finish, to be computed again from their first row.
    private func requeue(_ running: [UInt64], _ state: inout State) -> [Ended] {
        var given: [Ended] = []
        for id in running {
            guard let job = state.table[id] else { continue }
            state.table[id]?.isRunning = false
            if job.callers.isEmpty {
                given.append(giveUp(id, &state))
            } else {
                readmit(id, &state)
            }
        }
        // Waiting jobs relied on rows that are lost. The fallback has none of them.
        for (id, job) in state.table.jobs where !job.isRunning {
            state.scheduler.restart(id, job.demand(predicted: (0, false)))
        }
        return given
    }

    // MARK: Trying again

    /// Tries to make the device again. On failure, records the reason and the time of the next attempt.
    func recover(_ source: DeviceSource, _ executors: inout Executors, _ recovery: inout Recovery) {
        let isWanted = state.withLock { state in
            switch state.phase {
            case .ready, .recovering: true
            case .loading, .warming, .draining, .stopped, .failed: false
            }
        }
        let begin = Instant.now()
        guard isWanted else {
            recovery.postpone(now: begin, servesMeanwhile: true)
            return
        }
        // The attempt probably takes as long as the last one, and nothing is computed meanwhile, so requests that
        // cannot wait are refused immediately.
        state.withLock { $0.scheduler.hold(until: begin.advanced(by: recovery.attemptNanoseconds)) }
        defer { state.withLock { $0.scheduler.release() } }
        do {
            let primary = try makePrimary(try source.make(), executors.hosted)
            executors.primary = primary
            recovery.madeDevice()
            observer.deviceRecovered(primary.description.name)
            change(to: .ready(primary.description))
        } catch {
            let now = Instant.now()
            recovery.postpone(
                now: now,
                took: now.nanoseconds(since: begin),
                servesMeanwhile: executors.fallback != nil
            )
            let failure = error as? ComputeError ?? ComputeError(.deviceLost, String(describing: error))
            observer.deviceFailed(failure, device: executors.name)
            let reason = "\(executors.name): \(failure.message)"
            state.withLock { $0.expectedBack = recovery.expectedBack }
            if executors.fallback == nil {
                change(to: .recovering(reason))
            } else {
                state.withLock { $0.degradation = reason }
            }
        }
    }
}

extension Engine.State {
    /// Records the executor that serves a model, with an empty cache for it.
    mutating func settle(_ executor: BatchExecutor, lane: Int) {
        places[lane]?.prefixCache = executor.prefixCache
        places[lane]?.device = executor.device
        if case .exact(let pool) = executor.prefixCache {
            table.setCache(UserCache(pool), lane: lane)
        } else {
            table.setCache(nil, lane: lane)
        }
    }
}

extension EngineError {
    /// The error for callers after a device failure.
    init(_ error: ComputeError, retryAfterNanoseconds: UInt64 = 1_000_000_000) {
        self.init(.deviceFailed, "the device failed: \(error.message)", retryAfterNanoseconds: retryAfterNanoseconds)
    }
}
