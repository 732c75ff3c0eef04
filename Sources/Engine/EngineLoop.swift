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
        // A sequence whose pass ran while the engine was stopped has gone back to waiting.
        refuseWaiting()
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
        var computed = batch
        computed.removeAll { id, pending in
            guard pending.generation.next.history.isEmpty else { return false }
            let timing = Recommendation.Timing(queue: start.nanoseconds(since: pending.request.arrival))
            finish(id, pending, .success(catalogue.coldStart(pending.request, timing: timing)))
            return true
        }
        guard !computed.isEmpty else { return }

        let requests = computed.map(\.pending.generation.next)
        let lengths = requests.map(executor.events(of:))
        do throws(ComputeError) {
            let (selections, durations) = try executor.run(requests)
            let events = lengths.reduce(0, +)
            state.withLock { $0.scheduler.finished(events: events, nanoseconds: durations.prefill + durations.topK) }
            var waits: [UInt64] = []
            for index in computed.indices {
                let isFirstPass = computed[index].pending.generation.items.isEmpty
                if isFirstPass {
                    let wait = start.nanoseconds(since: requests[index].arrival)
                    waits.append(wait)
                    computed[index].pending.historyUsed = lengths[index]
                    computed[index].pending.timing.queue = wait
                    computed[index].pending.timing.prefill = durations.prefill
                }
                computed[index].pending.timing.decode += durations.topK + (isFirstPass ? 0 : durations.prefill)
            }
            // Counted before anybody is answered: who has a reply finds it in the metrics.
            observer.batchFinished(
                BatchReport(queueWaits: waits, lengths: lengths, durations: durations, memory: executor.memory)
            )
            for (index, (id, pending)) in computed.enumerated() { advance(id, pending, selections[index]) }
        } catch {
            observer.deviceFailed(error)
            let failure = EngineError(
                .deviceFailed,
                "the device failed: \(error.message)",
                retryAfterNanoseconds: 1_000_000_000
            )
            for (id, pending) in computed { finish(id, pending, .failure(failure)) }
        }
    }

    /// Hands a pass's selection to its request: answers it, or queues it for its next pass.
    private func advance(_ id: UInt64, _ pending: Pending, _ selection: [ScoredRow]) {
        var pending = pending
        let known = pending.generation.items.count
        let progress = pending.generation.take(selection)
        if let itemGenerated = pending.itemGenerated, state.withLock({ $0.running[id] == false }) {
            for (index, item) in pending.generation.items.enumerated().dropFirst(known) {
                itemGenerated(item, index + 1)
            }
        }
        switch progress {
        case .goesOn:
            let next = entry(id, pending.generation.next)
            state.withLock { state in
                // Cancelled while it was computed: it is gone.
                guard state.running.removeValue(forKey: id) == false else { return }
                state.waiting[id] = pending
                state.scheduler.readmit(next)
                if let deadline = next.deadline { armExpiry(&state, for: deadline) }
            }
        case .done:
            let recommendation = Recommendation(
                items: pending.generation.items,
                source: .model,
                historyUsed: pending.historyUsed,
                exhausted: pending.generation.isExhausted,
                timing: pending.timing
            )
            finish(id, pending, .success(recommendation))
        case .failed:
            let failure = EngineError(.computationFailed, "the model's scores are not finite numbers")
            finish(id, pending, .failure(failure))
        }
    }

    /// Calls the completion, unless the caller has gone away meanwhile.
    private func finish(_ id: UInt64, _ pending: Pending, _ result: Result<Recommendation, EngineError>) {
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
