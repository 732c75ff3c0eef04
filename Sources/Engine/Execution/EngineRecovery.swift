// What becomes of an engine whose device fails for good: what computed is let go, callers are told or served by the
// fallback, and the device is tried again until it is there.

internal import Compute
internal import Locking
internal import Models

extension Engine {
    /// A device that is gone, and the jobs that it had been given.
    struct Loss {
        let error: ComputeError
        let jobs: [UInt64]
    }

    // MARK: Making

    /// Makes what the thread computes on, the first time.
    func makeExecutors(_ source: ModelSource) throws -> Executors {
        let begin = Instant.now()
        let loaded = try source.load()
        change(to: .warming)
        var executors = Executors()
        executors.name = loaded.device.description.name
        executors.primary = try makePrimary(loaded)
        executors.startNanoseconds = Instant.now().nanoseconds(since: begin)
        if let makeFallback = source.fallback {
            let fallback = try BatchExecutor(try makeFallback(), catalogue: catalogue)
            executors.fallbackTimes = try warmUp(fallback)
            executors.fallback = fallback
        }
        return executors
    }

    /// Warms the device up and lets the cache and admission know of it.
    private func makePrimary(_ loaded: LoadedModel) throws(ComputeError) -> BatchExecutor {
        let executor = try BatchExecutor(loaded, catalogue: catalogue, cacheBytes: cacheBytes)
        let times = try warmUp(executor)
        state.withLock { state in
            state.device = executor.device
            state.degradation = nil
            state.expectedBack = nil
            state.scheduler.changeDevice(times)
            state.prefixCache = executor.prefixCache
            guard case .exact(let pool) = executor.prefixCache else { return }
            state.table.cache = UserCache(pool, continuing: state.lostCounts)
        }
        return executor
    }

    // MARK: Losing

    /// Lets go of a device that has failed. Its jobs, and all that wait, are computed by the fallback, or refused where there
    /// is none: whoever asked can ask another server sooner than this one is back.
    func lose(_ loss: Loss, _ executors: inout Executors, _ recovery: inout Recovery) {
        let reason = "\(executors.name): \(loss.error.message)"
        let now = Instant.now()
        recovery.postpone(now: now, servesMeanwhile: executors.fallback != nil)
        state.withLock { $0.expectedBack = recovery.expectedBack }
        if let fallback = executors.fallback {
            let (ended, counts) = state.withLock { state in
                let counts = loseCache(&state)
                state.degradation = reason
                state.scheduler.changeDevice(executors.fallbackTimes)
                return (requeue(loss.jobs, &state), counts)
            }
            for job in ended { report(job) }
            if let counts { observer.cacheChanged(to: counts) }
            change(to: .ready(fallback.device))
        } else {
            let (failed, counts) = state.withLock { state in
                let counts = loseCache(&state)
                return (loss.jobs.compactMap { state.table.end($0, isTrusted: false) }, counts)
            }
            if let counts { observer.cacheChanged(to: counts) }
            reportVain(failed)
            // The phase first: whoever is told of the failure finds it in the readiness.
            change(to: .recovering(reason))
            let retry = state.withLock { $0.retryAfterNanoseconds(now: now) }
            let failure = EngineError(loss.error, retryAfterNanoseconds: retry)
            for caller in failed.flatMap(\.callers) { caller.completion(.failure(failure)) }
            refuseWaiting("not ready: recovering: \(reason)", retryAfterNanoseconds: retry)
        }
        executors.primary = nil
    }

    /// Empties the cache, whose pages are gone.
    ///
    /// - Returns: what there is to report of it; nil: nothing was kept anyway.
    private func loseCache(_ state: inout State) -> UserCache.Statistics? {
        state.table.loseRows()
        guard var counts = state.table.cache?.statistics else { return nil }
        counts.entries = 0
        counts.bytes = 0
        state.lostCounts = counts
        state.table.cache = nil
        state.prefixCache = .none(reason: "the device has failed")
        return counts
    }

    /// Lets jobs that the device did not finish be computed again, from their first row.
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
        // What waits was to continue on rows that are gone, or to be spared those that the cache held. The fallback has neither.
        for (id, job) in state.table.jobs where !job.isRunning {
            state.scheduler.restart(id, job.demand(window, predicted: (0, false)))
        }
        return given
    }

    // MARK: Trying again

    /// Makes the device again, if it can be made; else says why not, and when it is tried next.
    func recover(_ source: ModelSource, _ executors: inout Executors, _ recovery: inout Recovery) {
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
        // It takes as long as the last one, in all likelihood, and nothing is computed meanwhile: whoever has no time for that
        // is refused at once.
        state.withLock { $0.scheduler.hold(until: begin.advanced(by: recovery.attemptNanoseconds)) }
        defer { state.withLock { $0.scheduler.release() } }
        do {
            let primary = try makePrimary(try source.load())
            executors.primary = primary
            recovery.madeDevice()
            observer.deviceRecovered(primary.device.name)
            change(to: .ready(primary.device))
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

extension EngineError {
    /// What callers are told of a failure of the device.
    init(_ error: ComputeError, retryAfterNanoseconds: UInt64 = 1_000_000_000) {
        self.init(.deviceFailed, "the device failed: \(error.message)", retryAfterNanoseconds: retryAfterNanoseconds)
    }
}
