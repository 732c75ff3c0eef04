// What the engine's thread does: load the model, warm it up, then take batches out of the queue and run them until the
// engine is drained. The device, its weights and its streams live and die on this thread.

internal import Compute
internal import Dispatch
package import Models
internal import Synchronization

extension Engine {
    /// Starts the engine's thread.
    ///
    /// - Parameters:
    ///   - load: makes the device and hands it the model; runs on the new thread. Its error's text becomes the reason of
    ///     the `failed` phase.
    ///   - ended: called on the thread when it has nothing more to do and everything it held is gone.
    /// - Throws: `.unavailable` if the system has no thread to give.
    package func start(
        load: @escaping @Sendable () throws -> LoadedModel,
        ended: @escaping @Sendable () -> Void
    ) throws(EngineError) {
        let started = EngineThread.start(name: "genrec-engine") {
            self.runThread(load)
            ended()
        }
        guard started else { throw EngineError(.unavailable, "the system could not start the engine's thread") }
    }

    private func runThread(_ load: () throws -> LoadedModel) {
        let executor: BatchExecutor
        do {
            let loaded = try load()
            change(to: .warming)
            executor = try BatchExecutor(loaded, catalogue: catalogue)
            try warmUp(executor)
        } catch {
            change(to: .failed(String(describing: error)))
            return
        }
        change(to: .ready(executor.device))
        serve(with: executor)
        change(to: .stopped)
    }

    /// Runs batches at the window's length, so that memory is there, pages are touched and admission has a first
    /// estimate before the first caller comes. The first run pays for first use; the second is the estimate.
    private func warmUp(_ executor: BatchExecutor) throws(ComputeError) {
        guard let row = catalogue.popularityOrder.first else { return }
        let request = RecommendationRequest(
            history: Array(repeating: row, count: executor.window),
            timestamps: Array(repeating: 0, count: executor.window),
            requestTime: 0,
            count: 1,
            arrival: .now()
        )
        _ = try executor.run([request])
        let (_, durations) = try executor.run([request])
        state.withLock {
            $0.scheduler.finished(events: executor.window, nanoseconds: durations.prefill + durations.topK)
        }
    }

    private enum Step {
        case run([(id: UInt64, pending: Pending)], depth: Int)
        case sleep(until: Instant?)
        case end
    }

    private func serve(with executor: BatchExecutor) {
        while true {
            switch nextStep() {
            case .run(let batch, let depth):
                observer.queueDepthChanged(to: depth)
                run(batch, with: executor)
            case .sleep(until: nil):
                wakeUp.wait()
            case .sleep(until: .some(let instant)):
                if wakeUp.wait(timeout: DispatchTime(uptimeNanoseconds: instant.nanoseconds)) == .timedOut {
                    // A signal may have been sent since; then `isThreadAsleep` is clear and the signal is consumed by
                    // the next wait, which returns at once. That costs one turn of this loop and loses nothing.
                    state.withLock { $0.isThreadAsleep = false }
                }
            case .end:
                return
            }
        }
    }

    private func nextStep() -> Step {
        expireOverdue()
        return state.withLock { state in
            if state.phase == .stopped { return .end }
            switch state.scheduler.next(now: .now(), waitsToFill: state.phase != .draining) {
            case .run(let ids):
                let batch = ids.compactMap { id in state.waiting.removeValue(forKey: id).map { (id, $0) } }
                for (id, _) in batch { state.running[id] = false }
                return .run(batch, depth: state.scheduler.depth)
            case .wait(let instant):
                state.isThreadAsleep = true
                return .sleep(until: instant)
            case .idle:
                if state.phase == .draining { return .end }
                state.isThreadAsleep = true
                return .sleep(until: nil)
            }
        }
    }

    /// Answers requests without a history by popularity and computes the others as one batch.
    private func run(_ batch: [(id: UInt64, pending: Pending)], with executor: BatchExecutor) {
        let start = Instant.now()
        let cold = batch.filter { $0.pending.request.history.isEmpty }
        let warm = batch.filter { !$0.pending.request.history.isEmpty }
        for (id, pending) in cold {
            let timing = Recommendation.Timing(queue: start.nanoseconds(since: pending.request.arrival))
            complete(id, pending, .success(catalogue.coldStart(pending.request, timing: timing)))
        }
        guard !warm.isEmpty else { return }

        let requests = warm.map(\.pending.request)
        let lengths = requests.map(executor.events(of:))
        do throws(ComputeError) {
            let (selections, durations) = try executor.run(requests)
            let waits = requests.map { start.nanoseconds(since: $0.arrival) }
            state.withLock {
                $0.scheduler.finished(
                    events: lengths.reduce(0, +),
                    nanoseconds: durations.prefill + durations.topK
                )
            }
            // Counted before anybody is answered: who has a reply finds it in the metrics.
            observer.batchFinished(
                BatchReport(
                    queueWaits: waits,
                    lengths: lengths,
                    durations: durations,
                    memory: executor.memory
                )
            )
            for (index, (id, pending)) in warm.enumerated() {
                let timing = Recommendation.Timing(
                    queue: waits[index],
                    prefill: durations.prefill,
                    decode: durations.topK
                )
                complete(id, pending, recommendation(selections[index], requests[index], lengths[index], timing))
            }
        } catch {
            observer.deviceFailed(error)
            let failure = EngineError(
                .deviceFailed,
                "the device failed: \(error.message)",
                retryAfterNanoseconds: 1_000_000_000
            )
            for (id, pending) in warm { complete(id, pending, .failure(failure)) }
        }
    }

    private func recommendation(
        _ selection: [ScoredRow],
        _ request: RecommendationRequest,
        _ length: Int,
        _ timing: Recommendation.Timing
    ) -> Result<Recommendation, EngineError> {
        guard selection.allSatisfy({ $0.score.isFinite }) else {
            return .failure(EngineError(.computationFailed, "the model's scores are not finite numbers"))
        }
        return .success(
            Recommendation(
                items: selection,
                source: .model,
                historyUsed: length,
                exhausted: selection.count < request.count,
                timing: timing
            )
        )
    }

    /// Calls the completion, unless the caller has gone away meanwhile.
    private func complete(_ id: UInt64, _ pending: Pending, _ result: Result<Recommendation, EngineError>) {
        let isCancelled = state.withLock { $0.running.removeValue(forKey: id) } ?? false
        if !isCancelled { pending.completion(result) }
    }
}

extension Catalogue {
    /// The answer to a request without a known event.
    package func coldStart(_ request: RecommendationRequest, timing: Recommendation.Timing) -> Recommendation {
        let items = mostPopular(request.count, request.eligibility)
        return Recommendation(
            items: items,
            source: .popularity,
            historyUsed: 0,
            exhausted: items.count < request.count,
            timing: timing
        )
    }
}
