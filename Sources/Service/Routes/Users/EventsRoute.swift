// `POST /events`, `GET /users/{user_id}` and the store's part of `DELETE /users/{user_id}`.

internal import Catalogue
internal import Dispatch
internal import Glibc
internal import HTTP
internal import JSON
internal import Models
internal import Telemetry
internal import Users

extension RouteDeclaration {
    static let events = RouteDeclaration(
        "/events",
        .callers,
        RouteOperation(
            [.post],
            .lines(
                "EventsRequest",
                line: "One IncomingEvent per line.",
                maximumBytes: EventsDecoder.maximumBytes
            ),
            needsStore: true,
            id: "takeEvents",
            summary: """
                Stores events of users. An event that is already stored changes nothing, so a call can be repeated \
                safely. If the body is malformed, nothing is stored.
                """,
            replies: [.json("The outcome of the events.", "EventsReply")],
            problems: [411, 415, 422, 507]
        ) { $0.takeEvents($1, $2) }
    ) { _ in ContractSchemas.ofEvents }
}

extension RequestHandler {
    /// Stores events, off the loop: a body may have megabytes, and the journal may wait for the disk.
    func takeEvents(_ request: HTTPRequest, _ exchange: HTTPExchange) {
        guard let users else { return }
        eventQueue.async { [self] in
            let requestID = requestIDs.id(for: request.head)
            let events: [IncomingEvent]
            do throws(CallError) {
                let now = Int64(time(nil))
                let isLines = request.head.header("content-type").map { MediaType($0).isNDJSON } ?? false
                events = try request.body.withUnsafeBufferPointer { body throws(CallError) in
                    isLines
                        ? try EventsDecoder.decodeLines(body, now: now) : try EventsDecoder.decode(body, now: now)
                }
            } catch {
                exchange.respond(problem(error.status, error.detail, .events, requestID))
                return
            }
            let catalogue = fleet.defaultItems
            let unknown = events.count { catalogue?.row(of: $0.event.item) == nil }
            users.append(events) { [self] result in
                switch result {
                case .success(let outcome):
                    metrics.store.events.increment(by: outcome.accepted)
                    exchange.respond(json(200, Self.body(outcome, unknown: unknown), .events, requestID))
                case .failure(let error): exchange.respond(problem(error, .events, requestID))
                }
            }
        }
    }

    private static func body(_ outcome: AppendOutcome, unknown: Int) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("accepted", outcome.accepted)
        writer.member("duplicates", outcome.duplicates)
        writer.member("unknown_items", unknown)
        writer.member("persisted", outcome.isPersisted)
        writer.endObject()
        return writer.bytes
    }

    /// `GET` and `DELETE /users/{user_id}`.
    func user(_ head: HTTPRequestHead, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: head)
        let userID: String
        do throws(CallError) {
            userID = try UserID.decode(Route.user.names(in: head.path)?.first ?? "")
        } catch {
            exchange.respond(problem(error.status, error.detail, .user, requestID))
            return
        }
        guard let users else {
            // Without a store the route has only DELETE.
            exchange.respond(forgottenReply(userID, requestID))
            return
        }
        if head.method == .delete {
            delete(userID, users, requestID, exchange)
        } else {
            show(userID, users, requestID, exchange)
        }
    }

    /// A user's stored events, newest last.
    private func show(_ userID: String, _ users: any UserStore, _ requestID: String, _ exchange: HTTPExchange) {
        users.events(of: userID) { [self] result in
            switch result {
            case .success(let events?):
                let body = Self.body(userID, events, fleet.defaultItems)
                exchange.respond(json(200, body, .user, requestID))
            case .success(nil):
                exchange.respond(problem(404, "the user has no events", .user, requestID))
            case .failure(let error): exchange.respond(problem(error, .user, requestID))
            }
        }
    }

    private static func body(_ userID: String, _ events: [UserEvent], _ catalogue: CatalogueSnapshot?) -> [UInt8] {
        var writer = JSONWriter(capacity: 64 + 48 * events.count)
        writer.beginObject()
        writer.member("user_id", userID)
        writer.beginArray("events")
        for event in events {
            writer.beginObject()
            writer.key("item")
            // In the catalogue's type if it knows the item.
            if let catalogue, let row = catalogue.row(of: event.item) {
                writer.value { catalogue.appendID(ofRow: row, to: &$0) }
            } else {
                writer.string(event.item)
            }
            writer.member("timestamp", Int(event.timestamp))
            writer.member("action", event.action)
            writer.endObject()
        }
        writer.endArray()
        writer.member("count", events.count)
        writer.endObject()
        return writer.bytes
    }

    /// Deletes a user in the store, durably, and then in the cache.
    private func delete(_ userID: String, _ users: any UserStore, _ requestID: String, _ exchange: HTTPExchange) {
        eventQueue.async { [self] in
            users.delete(userID) { [self] result in
                switch result {
                case .success: exchange.respond(forgottenReply(userID, requestID))
                case .failure(let error): exchange.respond(problem(error, .user, requestID))
                }
            }
        }
    }

    /// The reply to a store error.
    func problem(_ error: UserStoreError, _ route: Route, _ requestID: String) -> HTTPResponse {
        metrics.store.errors.increment()
        return problem(error.status, error.description, route, requestID)
    }
}

extension UserStoreError {
    var status: Int {
        switch code {
        // 507 Insufficient Storage (RFC 4918, section 11.5).
        case .full: 507
        case .unavailable: 503
        case .unusable: 422
        }
    }
}
