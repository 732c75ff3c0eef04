// Stored histories, looked up when a call names a user but sends no history.

internal import Catalogue
internal import Dispatch
internal import Engine
internal import Locking
internal import Models
internal import Telemetry
internal import Users

extension RequestHandler {
    /// With more events than this, merging would occupy a loop for too long.
    private static let manyEvents = 256

    /// Passes a call on with its history: at once if the caller sent it, otherwise when the store has answered. If the
    /// store is unavailable and the call's fallback is popularity, passes it on without history but with the reason.
    func withHistory(
        _ call: RecommendCall,
        _ model: ServedModel,
        _ next: @escaping @Sendable (Result<RecommendCall, UserStoreError>) -> Void
    ) {
        guard call.asksStore, let users, let userID = call.request.userID else {
            next(.success(call))
            return
        }
        metrics.store.requests.increment()
        let proceed: @Sendable (StoreWait.Answer) -> Void = { [metrics] result in
            switch result {
            case .success(let history): next(.success(call.with(history ?? UserHistory(), model.model.catalogue)))
            case .failure(let error):
                metrics.store.errors.increment()
                guard call.fallback == .popularity, error.code == .unavailable else { return next(.failure(error)) }
                // The call's own events still count as seen.
                var call = call.with(UserHistory(), model.model.catalogue)
                call.degradation = .store
                next(.success(call))
            }
        }
        let wait = StoreWait { [batches] result in
            // The caller may be a loop, and merging many events takes long.
            if call.events.count > Self.manyEvents { batches.async { proceed(result) } } else { proceed(result) }
        }
        let lookUp: @Sendable () -> Void = { [metrics] in
            let start = Instant.now()
            users.history(of: userID, model.model.catalogue.items) { result in
                metrics.store.seconds.observe(Double(Instant.now().nanoseconds(since: start)) / 1e9)
                wait.end(result)
            }
        }
        if call.storesEvents, !call.events.isEmpty {
            let events = call.events.map { IncomingEvent(user: userID, event: $0) }
            eventQueue.async {
                users.append(events) { result in
                    switch result {
                    case .success: lookUp()
                    case .failure(let error): wait.end(.failure(error))
                    }
                }
            }
        } else {
            lookUp()
        }
        if let deadline = call.request.deadline { wait.limit(to: deadline, on: batches) }
    }
}

/// Waits for the store's answer, but no longer than a call's deadline.
private final class StoreWait: Sendable {
    typealias Answer = Result<UserHistory?, UserStoreError>

    private struct State: Sendable {
        /// nil once the wait is over.
        var next: (@Sendable (Answer) -> Void)?
        var timer: ExpiryTimer?
    }

    private let state: Lock<State>

    /// - Parameter next: called once, on any thread.
    init(_ next: @escaping @Sendable (Answer) -> Void) { state = Lock(State(next: next)) }

    /// Ends the wait. Later answers are ignored.
    func end(_ answer: Answer) {
        let last = state.withLock { state in
            defer { state = State() }
            return state
        }
        last.next?(answer)
    }

    /// Ends the wait at the deadline if it has not ended before.
    func limit(to deadline: Instant, on queue: DispatchQueue) {
        guard state.withLock({ $0.next != nil }) else { return }
        let timer = ExpiryTimer(on: queue) { [self] in
            end(.failure(UserStoreError(.unavailable, "the store did not answer before the deadline")))
        }
        timer.arm(for: deadline)
        // If the wait has ended in the meantime, the timer is released here.
        state.withLock { if $0.next != nil { $0.timer = timer } }
    }
}

extension RecommendCall {
    /// The call with the stored events, merged by time with its own events, as its history. Events that this call
    /// stored are already among them and are not repeated.
    func with(_ stored: UserHistory, _ catalogue: CatalogueSnapshot) -> RecommendCall {
        var call = self
        var history = stored
        for event in events { history.insert(event, catalogue.items) }
        call.eventCount = history.count
        var rows = history.rows
        var unknownCount = history.unknownCount
        if unknownCount > 0, catalogue.addedCount > 0 {
            // The bundle lacks these items, but operators may have added them.
            let unknown = rows.indices.filter { rows[$0] < 0 }
            for (index, item) in zip(unknown, history.unknownItems(ofEvents: unknown)) {
                guard let row = catalogue.row(of: item) else { continue }
                rows[index] = row
                unknownCount -= 1
            }
        }
        call.unknownItems += unknownCount
        if unknownCount == 0 {
            call.request.history = rows
            call.request.timestamps = history.timestamps
            call.request.actions = history.actions
        } else {
            let known = rows.indices.filter { rows[$0] >= 0 }
            call.request.history = known.map { rows[$0] }
            call.request.timestamps = known.map { history.timestamps[$0] }
            call.request.actions = known.map { history.actions[$0] }
        }
        if !call.request.actions.contains(where: { $0 != 0 }) { call.request.actions = [] }
        let unknown = rows.firstIndex { $0 < 0 }
        call.noteStrangeness(unknown.flatMap { history.unknownItems(ofEvents: CollectionOfOne($0)).first })
        return call
    }
}
