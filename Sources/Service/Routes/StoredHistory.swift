// Histories that the server keeps: looked up where a call names a user and sends none.

internal import Catalogue
internal import Dispatch
internal import Engine
internal import Models
internal import Telemetry
internal import Users

extension RequestHandler {
    /// Hands a call on with its history: at once where the caller has sent it, else when the store has answered.
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
        let lookUp: @Sendable () -> Void = { [metrics] in
            let start = Instant.now()
            users.events(of: userID) { result in
                metrics.store.seconds.observe(Double(Instant.now().nanoseconds(since: start)) / 1e9)
                next(result.map { call.with($0 ?? [], model.model.catalogue) })
            }
        }
        guard call.storesEvents, !call.events.isEmpty else {
            lookUp()
            return
        }
        let events = call.events.map { IncomingEvent(user: userID, event: $0) }
        eventQueue.async {
            users.append(events) { result in
                switch result {
                case .success: lookUp()
                case .failure(let error): next(.failure(error))
                }
            }
        }
    }
}

extension RecommendCall {
    /// The call with these events, and with its own behind them, as its history.
    func with(_ stored: [UserEvent], _ catalogue: CatalogueSnapshot) -> RecommendCall {
        var call = self
        var events = stored
        for event in self.events {
            // Where its time belongs, and once: what was stored with this call is among the stored ones already.
            var place = events.count
            while place > 0, events[place - 1].timestamp > event.timestamp { place -= 1 }
            let sameSecond = events[..<place].reversed().prefix { $0.timestamp == event.timestamp }
            if !sameSecond.contains(event) { events.insert(event, at: place) }
        }
        var timestamps: [Int64] = []
        let hasActions = events.contains { $0.action != nil }
        var unknownExample: String?
        call.request.history.reserveCapacity(events.count)
        timestamps.reserveCapacity(events.count)
        for event in events {
            guard let row = catalogue.row(of: event.item) else {
                call.unknownItems += 1
                if unknownExample == nil { unknownExample = event.item }
                continue
            }
            call.request.history.append(row)
            timestamps.append(event.timestamp)
            if hasActions {
                call.request.actions.append(event.action.map { ActionFingerprint.of(stored: $0) } ?? 0)
            }
        }
        call.request.timestamps = timestamps
        call.eventCount = events.count
        call.noteStrangeness(unknownExample)
        return call
    }
}
