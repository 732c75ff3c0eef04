// The engine: one device, one thread, one queue, and the models on the device. Requests are submitted from any thread
// and answered through their completion. This file has what callers see and the state they share with the engine's
// thread; the thread itself is in EngineLoop.swift.

package import Compute
internal import Dispatch
internal import Locking
internal import Models
internal import Synchronization

/// Identifies an admitted request, for cancellation.
package struct Ticket: Sendable, Hashable {
    let id: UInt64
    /// Which of a group's engines admitted it.
    var engine = 0
}

/// A batching inference engine over one device.
///
/// Admission happens inside `submit`, under a briefly held lock, so that a refused caller knows immediately, before any
/// work. The engine's thread takes batches out under the same lock and computes without it.
package final class Engine: Sendable {
    /// Called once for every admitted request: on the engine's thread, or on the expiry queue when the deadline passed,
    /// and never under the engine's lock. It must return quickly. A cancelled request's completion is not called.
    package typealias Completion = @Sendable (Result<Recommendation, EngineError>) -> Void

    /// Called on the engine's thread for each item of a sequence, as soon as it is generated; ranks count from 1.
    package typealias ItemHandler = @Sendable (_ item: ScoredRow, _ rank: Int) -> Void

    /// What callers and the engine's thread share.
    struct State {
        var scheduler: Scheduler
        var table = JobTable()
        var phase = EnginePhase.loading
        /// The models that the engine has or is loading, by lane; nil: the lane is free.
        var places: [Place?] = []
        /// Work for the engine's thread other than computing.
        var errands: [Errand] = []
        /// The thread's last turn was an errand.
        var hadErrand = false
        /// The engine's own device, even while it is lost; nil while the model is loading.
        var device: DeviceDescription?
        /// Why the fallback computes; nil if the device does.
        var degradation: String?
        /// When the device may be available again: the end of the next attempt to recover it. nil if it is available.
        var expectedBack: Instant?
        var nextID: UInt64 = 0
        /// The engine's thread waits for a signal.
        var isThreadAsleep = false
        /// Set once, by the engine's `init`.
        var expiryTimer: ExpiryTimer?
        /// When the expiry timer will fire.
        var expiryArmedFor: Instant?

        func retryAfterNanoseconds(now: Instant) -> UInt64 {
            expectedBack.map { max(1, $0.nanoseconds(since: now)) } ?? 1_000_000_000
        }

        /// The user cache of each model, with its statistics.
        var statistics: [ModelID: UserCache.Statistics] {
            var all: [ModelID: UserCache.Statistics] = [:]
            for (lane, place) in places.enumerated() {
                guard let place else { continue }
                let own = table.cache(lane: lane)?.statistics
                all[place.model] = place.lostCounts.map { $0 + (own ?? UserCache.Statistics()) } ?? own
            }
            return all
        }

        mutating func makeID() -> UInt64 {
            nextID += 1
            return nextID
        }
    }

    let state: Lock<State>
    let observer: any EngineObserver
    /// Wakes the engine's thread; signalled only when `isThreadAsleep` was set.
    let wakeUp = DispatchSemaphore(value: 0)
    let turnCount = Atomic<UInt64>(0)

    package init(_ configuration: SchedulerConfiguration, observer: any EngineObserver) {
        self.observer = observer
        state = Lock(State(scheduler: Scheduler(configuration)))
        let timer = ExpiryTimer { [weak self] in self?.expireOverdue() }
        state.withLock { $0.expiryTimer = timer }
    }

    package var phase: EnginePhase { state.withLock { $0.phase } }
    /// How the engine serves, for the choice among several engines.
    var service: Service {
        state.withLock { state in
            guard case .ready = state.phase else { return .none }
            return state.degradation == nil ? .byDevice : .byFallback
        }
    }

    enum Service { case byDevice, byFallback, none }

    /// When to retry a request to an engine that is not ready: after the next attempt to recover its device, or after a
    /// second if it is not recovering.
    package var retryAfterNanoseconds: UInt64 { state.withLock { $0.retryAfterNanoseconds(now: .now()) } }

    /// Whether no job waits.
    package var isIdle: Bool { state.withLock { $0.scheduler.jobs.isEmpty } }

    /// Whether the next request would be refused because the queue is full.
    package var isQueueFull: Bool { state.withLock { $0.scheduler.isFull } }
    /// The engine's own device, available or not; nil while the model is loading.
    package var ownDevice: DeviceDescription? { state.withLock { $0.device } }
    /// The device's error while the fallback serves instead; nil if the device serves, or nothing does.
    package var degradation: String? { state.withLock { $0.degradation } }
    /// The user cache of a model; nil while the model is loading, and if the engine does not have it.
    package func prefixCache(of model: ModelID) -> PrefixCacheDescription? {
        state.withLock { state in state.lane(of: model).flatMap { state.places[$0]?.prefixCache } }
    }

    /// The engine's own device as used for a model; nil as for `prefixCache(of:)`.
    package func device(of model: ModelID) -> DeviceDescription? {
        state.withLock { state in state.lane(of: model).flatMap { state.places[$0]?.device } }
    }

    /// Admits a request, or refuses it before any work.
    ///
    /// - Parameters:
    ///   - model: the model that answers, one of the engine's. The request keeps the model's catalogue snapshot.
    ///   - itemGenerated: for mode `sequence`, called with each item before the completion; nil: not needed.
    /// - Throws: `.unavailable`, `.recovering`, `.queueFull`, `.deadlineUnreachable` (then `completion` is never
    ///   called).
    package func submit(
        _ request: RecommendationRequest,
        to model: LoadedModel,
        itemGenerated: ItemHandler? = nil,
        completion: @escaping Completion
    ) throws(EngineError) -> Ticket {
        // Work proportional to the history is done before taking the lock.
        let history = model.usedHistory(request)
        let strategy = model.strategy(request)
        let hashes = request.userID == nil ? PrefixHashes(history) : nil
        // Finds the few requests worth comparing. With a user's name, the end of the history is enough.
        var hasher = Hasher()
        hasher.combine(hashes.map { $0[$0.count] })
        hasher.combine(request.history.last)
        hasher.combine(request.history.count)
        hasher.combine(request.count)
        hasher.combine(request.requestTime)
        hasher.combine(request.userID)
        hasher.combine(model.id)
        let fingerprint = UInt64(bitPattern: Int64(hasher.finalize()))
        let now = Instant.now()
        let outcome: Result<(ticket: Ticket, depth: Int, wakes: Bool, joined: Bool), EngineError> = state.withLock {
            state in
            guard case .ready = state.phase else {
                return .failure(
                    EngineError(
                        state.phase.refusalCode,
                        "not ready: \(state.phase.reason)",
                        retryAfterNanoseconds: state.retryAfterNanoseconds(now: now)
                    )
                )
            }
            guard let lane = state.lane(of: model.id), state.places[lane]?.prefixCache != nil else {
                let refusal = "the model is not on this device"
                return .failure(EngineError(.unavailable, refusal, retryAfterNanoseconds: 1_000_000_000))
            }
            let own = Scheduler.Request(
                id: state.makeID(),
                arrival: request.arrival,
                deadline: request.deadline,
                priority: request.priority
            )
            let caller = Job.Caller(request: own, itemGenerated: itemGenerated, completion: completion)
            let duplicate = state.table.duplicate(of: request, model, fingerprint: fingerprint)
            let job = Job(
                request,
                of: model,
                lane: lane,
                history: history,
                hashes: hashes,
                strategy: strategy,
                fingerprint: fingerprint,
                caller: caller
            )
            let reserved = strategy.reservedRows
            guard reserved == 0 || state.table.fits(history.count, reserving: reserved, lane: lane) else {
                return .failure(
                    EngineError(
                        .tooLarge,
                        "a prompt of \(history.count) tokens and \(reserved) rows of beams do not fit into cache.bytes"
                    )
                )
            }
            let cached = state.table.reusableRows(history, owner: request.userID, hashes: hashes, lane: lane)
            let demand = job.demand(predicted: (cached ?? 0, cached != nil))
            let admission = state.scheduler.admission(of: own, demand, joining: duplicate, now: now)
            if let refusal = EngineError(refusal: admission) { return .failure(refusal) }
            if let duplicate, state.scheduler.join(own, job: duplicate) {
                state.table.join(caller, duplicate)
            } else {
                let id = state.makeID()
                state.scheduler.enqueue(own, job: id, demand, now: now)
                state.table.insert(job, id)
            }
            let wakes = state.isThreadAsleep
            state.isThreadAsleep = false
            if let deadline = request.deadline { armExpiry(&state, for: deadline) }
            return .success((Ticket(id: own.id), state.scheduler.depth, wakes, duplicate != nil))
        }
        let admitted = try outcome.get()
        if admitted.wakes { wakeUp.signal() }
        if admitted.joined { observer.deduplicated(model.id) }
        observer.queueDepthChanged(to: admitted.depth)
        return admitted.ticket
    }

    /// Cancels a request whose caller no longer waits. Its completion will not be called, unless it is already being
    /// called. Has no effect on an answered request. Its computation is cancelled too, unless other requests share it.
    ///
    /// - Returns: whether there was anything to cancel.
    @discardableResult
    package func cancel(_ ticket: Ticket) -> Bool {
        let (stage, depth, ended): (CancellationStage?, Int, Ended?) = state.withLock { state in
            guard let id = state.table.job(ofCaller: ticket.id), let job = state.table[id] else {
                return (nil, state.scheduler.depth, nil)
            }
            _ = state.table.removeCaller(ticket.id)
            guard !job.isRunning, state.scheduler.cancel(ticket.id, job: id) == .nobody else {
                return (job.stage, state.scheduler.depth, nil)
            }
            return (job.stage, state.scheduler.depth, giveUp(id, &state))
        }
        guard let stage else { return false }
        observer.cancelled(at: stage)
        report(ended)
        observer.queueDepthChanged(to: depth)
        return true
    }

    /// Drops all cached state of a user. Their requests that wait or are being computed are answered, but leave no
    /// cached state.
    package func forget(_ user: String) -> UserCache.Dropped {
        let (dropped, statistics) = state.withLock { ($0.table.forget(user), $0.statistics) }
        report(statistics)
        return dropped
    }

    /// Stops admitting requests, finishes the admitted ones, then ends the engine's thread.
    package func drain() {
        change(to: .draining)
    }

    /// Ends the engine: refuses waiting requests, finishes a running batch, then ends the thread.
    package func stop() {
        change(to: .stopped)
        refuseWaiting()
    }

    /// Answers every waiting request with a refusal.
    func refuseWaiting(
        _ code: EngineError.Code = .unavailable,
        _ message: String = "the server is shutting down",
        retryAfterNanoseconds: UInt64? = nil
    ) {
        let (abandoned, depth) = state.withLock { state in
            (state.scheduler.removeAll().compactMap { state.table.end($0) }, state.scheduler.depth)
        }
        guard !abandoned.isEmpty else { return }
        observer.queueDepthChanged(to: depth)
        for caller in abandoned.flatMap(\.callers) {
            let refusal = EngineError(code, message, retryAfterNanoseconds: retryAfterNanoseconds)
            caller.completion(.failure(refusal))
        }
    }

    /// Moves to a phase, unless the engine has already failed or stopped for good, and tells the observer.
    func change(to phase: EnginePhase) {
        let (changed, wakes) = state.withLock { state in
            switch (state.phase, phase) {
            case (.failed, _), (.stopped, _): return (false, false)
            // If loading ends after a drain was requested, the engine does not become ready again.
            case (.draining, .warming), (.draining, .ready), (.draining, .recovering): return (false, false)
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

    // MARK: - Giving up

    /// The report on a job whose callers have all left.
    struct Ended {
        var lostNanoseconds: UInt64
        var caches: [ModelID: UserCache.Statistics]
    }

    /// Ends a job whose callers have all left. The rows that it has computed stay in the cache.
    func giveUp(_ id: UInt64, _ state: inout State) -> Ended {
        let job = state.table.end(id)
        return Ended(lostNanoseconds: job?.lostNanoseconds ?? 0, caches: state.statistics)
    }

    func report(_ ended: Ended?) {
        guard let ended else { return }
        if ended.lostNanoseconds > 0 { observer.computedInVain(nanoseconds: ended.lostNanoseconds) }
        report(ended.caches)
    }

    /// Reports cache statistics, if any model has a cache.
    func report(_ caches: [ModelID: UserCache.Statistics]) {
        if !caches.isEmpty { observer.cachesChanged(to: caches) }
    }

    /// Reports the device time of failed jobs whose callers have all left.
    func reportVain(_ failed: [Job]) {
        for job in failed where job.callers.isEmpty && job.lostNanoseconds > 0 {
            observer.computedInVain(nanoseconds: job.lostNanoseconds)
        }
    }

    /// Arms the timer that answers overdue requests on time even while a long batch runs.
    func armExpiry(_ state: inout State, for deadline: Instant) {
        if let armed = state.expiryArmedFor, armed <= deadline { return }
        state.expiryArmedFor = deadline
        state.expiryTimer?.arm(for: deadline)
    }

    /// Answers every waiting request whose deadline has passed.
    func expireOverdue() {
        let (overdue, ended, depth) = state.withLock { state in
            var overdue: [Job.Caller] = []
            var ended: [Ended] = []
            for (request, job, remainder) in state.scheduler.expire(now: .now()) {
                if let caller = state.table.removeCaller(request) { overdue.append(caller) }
                if remainder == .nobody { ended.append(giveUp(job, &state)) }
            }
            state.expiryArmedFor = nil
            if let next = state.scheduler.earliestDeadline { armExpiry(&state, for: next) }
            return (overdue, ended, state.scheduler.depth)
        }
        guard !overdue.isEmpty else { return }
        for job in ended { report(job) }
        observer.queueDepthChanged(to: depth)
        for caller in overdue {
            caller.completion(.failure(EngineError(.expired, "the deadline passed before the request was computed")))
        }
    }
}

extension EngineError {
    /// Why a request was not admitted; nil if it was.
    fileprivate init?(refusal: Scheduler.Admission) {
        switch refusal {
        case .admitted: return nil
        case .queueFull(let retryAfter):
            self.init(.queueFull, "the queue is full", retryAfterNanoseconds: retryAfter)
        case .tooMuchWork(let retryAfter):
            self.init(.queueFull, "too much work is waiting", retryAfterNanoseconds: retryAfter)
        case .deadlineUnreachable(let retryAfter):
            self.init(
                .deadlineUnreachable,
                "the deadline cannot be met at the current load",
                retryAfterNanoseconds: retryAfter
            )
        }
    }
}
