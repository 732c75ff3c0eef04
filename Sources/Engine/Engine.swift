// The engine: one device, one thread, one queue. Requests are submitted from any thread and answered through their
// completion. This file is the part that callers see and the state they share with the engine's thread; what that thread
// does is in EngineLoop.swift.

package import Compute
internal import Dispatch
package import Models
internal import Synchronization

/// Names an admitted request, for cancellation.
package struct Ticket: Sendable, Hashable {
    let id: UInt64
}

/// A batching inference engine over one device.
///
/// Admission happens inside `submit`, under a short lock, so that a refused caller knows at once and before any work. The
/// engine's thread takes batches out under the same lock and computes without it.
package final class Engine: Sendable {
    /// Called once for every admitted request: on the engine's thread, or on the expiry queue when the deadline passed,
    /// and never under the engine's lock. It must return at once. A cancelled request's completion is not called.
    package typealias Completion = @Sendable (Result<Recommendation, EngineError>) -> Void

    /// Called on the engine's thread for each item of a sequence, as soon as it is generated; ranks count from 1.
    package typealias ItemHandler = @Sendable (_ item: ScoredRow, _ rank: Int) -> Void

    /// A request that was admitted, from then until its completion is called.
    struct Pending {
        var generation: Generation
        var timing = Recommendation.Timing()
        /// Events of the caller's own history that the model sees; 0 until the first pass.
        var historyUsed = 0
        let request: RecommendationRequest
        let itemGenerated: ItemHandler?
        let completion: Completion
    }

    /// What callers and the engine's thread share.
    struct State {
        var scheduler: Scheduler
        var phase = EnginePhase.loading
        /// Admitted and waiting.
        var waiting: [UInt64: Pending] = [:]
        /// In the batch that runs now; true once its caller has gone away.
        var running: [UInt64: Bool] = [:]
        var nextID: UInt64 = 0
        /// The engine's thread waits for a signal.
        var isThreadAsleep = false
        /// Set once, by the engine's `init`.
        var expiryTimer: ExpiryTimer?
        /// When it will fire.
        var expiryArmedFor: Instant?
    }

    let catalogue: Catalogue
    let state: Mutex<State>
    let observer: any EngineObserver
    /// Wakes the engine's thread; signalled only when `isThreadAsleep` was set.
    let wakeUp = DispatchSemaphore(value: 0)
    private let window: Int

    /// - Parameters:
    ///   - window: the model's window: what admission counts longer histories as.
    ///   - catalogue: the bundle's catalogue.
    package init(
        _ configuration: SchedulerConfiguration,
        window: Int,
        catalogue: Catalogue,
        observer: any EngineObserver
    ) {
        self.window = window
        self.catalogue = catalogue
        self.observer = observer
        state = Mutex(State(scheduler: Scheduler(configuration)))
        let timer = ExpiryTimer { [weak self] in self?.expireOverdue() }
        state.withLock { $0.expiryTimer = timer }
    }

    package var phase: EnginePhase { state.withLock { $0.phase } }
    /// Whether the next request would be refused for want of room.
    package var isQueueFull: Bool { state.withLock { $0.scheduler.isFull } }

    /// Admits a request, or refuses it before any work.
    ///
    /// - Parameter itemGenerated: for mode `sequence`, told each item before the completion; nil: nobody waits for it.
    /// - Throws: `.unavailable`, `.queueFull`, `.deadlineUnreachable` (then `completion` is never called).
    package func submit(
        _ request: RecommendationRequest,
        itemGenerated: ItemHandler? = nil,
        completion: @escaping Completion
    ) throws(EngineError) -> Ticket {
        let now = Instant.now()
        let outcome: Result<(ticket: Ticket, depth: Int, wakes: Bool), EngineError> = state.withLock { state in
            guard case .ready = state.phase else {
                return .failure(
                    EngineError(.unavailable, "not ready: \(state.phase.reason)", retryAfterNanoseconds: 1_000_000_000)
                )
            }
            state.nextID += 1
            let id = state.nextID
            switch state.scheduler.admit(entry(id, request), now: now) {
            case .admitted: break
            case .queueFull(let retryAfter):
                return .failure(EngineError(.queueFull, "the queue is full", retryAfterNanoseconds: retryAfter))
            case .deadlineUnreachable(let retryAfter):
                return .failure(
                    EngineError(
                        .deadlineUnreachable,
                        "the deadline cannot be met at the present load",
                        retryAfterNanoseconds: retryAfter
                    )
                )
            }
            state.waiting[id] = Pending(
                generation: Generation(request),
                request: request,
                itemGenerated: itemGenerated,
                completion: completion
            )
            let wakes = state.isThreadAsleep
            state.isThreadAsleep = false
            if let deadline = request.deadline { armExpiry(&state, for: deadline) }
            return .success((Ticket(id: id), state.scheduler.depth, wakes))
        }
        let admitted = try outcome.get()
        if admitted.wakes { wakeUp.signal() }
        observer.queueDepthChanged(to: admitted.depth)
        return admitted.ticket
    }

    /// What the scheduler sees of a request's next pass.
    func entry(_ id: UInt64, _ request: RecommendationRequest) -> Scheduler.Entry {
        Scheduler.Entry(
            id: id,
            events: max(1, min(request.history.count, window)),
            arrival: request.arrival,
            deadline: request.deadline,
            priority: request.priority
        )
    }

    /// Gives a request up because nobody waits for it any more. Its completion will not be called, unless it is being
    /// called already. Does nothing for a request that was answered.
    ///
    /// - Returns: whether there was anything to give up.
    @discardableResult
    package func cancel(_ ticket: Ticket) -> Bool {
        let (stage, depth): (CancellationStage?, Int) = state.withLock { state in
            if state.scheduler.cancel(ticket.id) {
                state.waiting[ticket.id] = nil
                return (.queued, state.scheduler.depth)
            }
            guard state.running[ticket.id] == false else { return (nil, state.scheduler.depth) }
            state.running[ticket.id] = true
            return (.computing, state.scheduler.depth)
        }
        guard let stage else { return false }
        observer.cancelled(at: stage)
        observer.queueDepthChanged(to: depth)
        return true
    }

    /// Stops admitting; what was admitted is finished, then the engine's thread ends.
    package func drain() {
        change(to: .draining)
    }

    /// Ends the engine: what waits is refused, a running batch is finished, then the thread ends.
    package func stop() {
        change(to: .stopped)
        refuseWaiting()
    }

    /// Answers everything that waits with a refusal.
    func refuseWaiting() {
        let abandoned = state.withLock { state in
            _ = state.scheduler.removeAll()
            defer { state.waiting.removeAll() }
            return Array(state.waiting.values)
        }
        for pending in abandoned {
            pending.completion(.failure(EngineError(.unavailable, "the server is shutting down")))
        }
    }

    /// Moves to a phase, unless the engine has already failed or stopped for good, and tells the observer.
    func change(to phase: EnginePhase) {
        let (changed, wakes) = state.withLock { state in
            switch (state.phase, phase) {
            case (.failed, _), (.stopped, _): return (false, false)
            // Loading that ends after a drain was asked for does not make the engine ready again.
            case (.draining, .warming), (.draining, .ready): return (false, false)
            default: break
            }
            let wakes = state.isThreadAsleep
            state.isThreadAsleep = false
            state.phase = phase
            return (true, wakes)
        }
        if wakes { wakeUp.signal() }
        if changed { observer.phaseChanged(to: phase) }
    }

    /// Arms the timer that answers overdue requests on time even while a long batch runs.
    func armExpiry(_ state: inout State, for deadline: Instant) {
        if let armed = state.expiryArmedFor, armed <= deadline { return }
        state.expiryArmedFor = deadline
        state.expiryTimer?.arm(for: deadline)
    }

    /// Answers every waiting request whose deadline has passed.
    func expireOverdue() {
        let (overdue, depth) = state.withLock { state in
            let ids = state.scheduler.expire(now: .now())
            state.expiryArmedFor = nil
            if let next = state.scheduler.earliestDeadline { armExpiry(&state, for: next) }
            return (ids.compactMap { state.waiting.removeValue(forKey: $0) }, state.scheduler.depth)
        }
        guard !overdue.isEmpty else { return }
        observer.queueDepthChanged(to: depth)
        for pending in overdue {
            pending.completion(.failure(EngineError(.expired, "the deadline passed before the request was computed")))
        }
    }
}
