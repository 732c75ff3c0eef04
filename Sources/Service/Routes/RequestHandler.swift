// The handler that HTTP calls: checks a request's head, passes the request to its route, and counts the reply. Each
// route has its own file.

internal import Dispatch
internal import Engine
package import HTTP
internal import JSON
internal import Logging
internal import Models
internal import Synchronization
internal import Telemetry
internal import Users

/// Answers the requests of one listener. Runs on the connections' loops, so nothing here blocks.
package final class RequestHandler: HTTPHandler {
    private let listener: ListenerRole
    let fleet: Fleet
    let fleetLoader: FleetLoader
    /// Where changes to the fleet are saved.
    var stateFile: FleetStateFile { fleetLoader.stateFile }
    let shadow: ShadowTraffic
    /// nil: no store is configured.
    let users: (any UserStore)?
    /// Decodes and stores events. Serial, so that this uses at most one core.
    let eventQueue = DispatchQueue(label: "genrec.events", qos: .utility)
    /// Changes and searches catalogues. Serial, so that this uses at most one core.
    let catalogueQueue = DispatchQueue(label: "genrec.catalogue", qos: .utility)
    /// nil: no keys are configured.
    let keys: APIKeys?
    let hosts: TrustedHosts
    let metrics: ServiceMetrics
    let strangeHistories: StrangeHistories
    let codec: RecommendCodec
    let requestIDs: RequestIDs
    let logger: Logger
    let telemetry: RequestTelemetry
    let contract: Contract
    /// Encodes long replies, so that they delay neither a loop nor an engine. Serial, so that this uses at most one
    /// core.
    let longReplies = DispatchQueue(label: "genrec.replies", qos: .userInitiated)
    /// The queue for decoding and encoding batches, which can take long.
    let batches = DispatchQueue(label: "genrec.batches", qos: .utility)
    private let maximumBodyBytes: Int
    private let offersGzip: Bool
    private let draining = Atomic<Bool>(false)

    init(
        listener: ListenerRole,
        fleet: Fleet,
        fleetLoader: FleetLoader,
        keys: APIKeys?,
        users: (any UserStore)?,
        metrics: ServiceMetrics,
        requestIDs: RequestIDs,
        configuration: ServiceConfiguration,
        telemetry: RequestTelemetry,
        logger: Logger
    ) {
        self.listener = listener
        self.fleet = fleet
        self.fleetLoader = fleetLoader
        shadow = ShadowTraffic(fleet, metrics: metrics.shadow)
        self.keys = keys
        self.users = users
        hosts = TrustedHosts(configuration.hosts)
        self.metrics = metrics
        self.requestIDs = requestIDs
        self.logger = logger
        strangeHistories = StrangeHistories(logger: logger)
        self.telemetry = telemetry
        maximumBodyBytes = configuration.http.limits.bodyBytes
        offersGzip = configuration.http.compression.isOffered
        var limits = configuration.limits
        limits.hasStore = users != nil
        codec = RecommendCodec(limits: limits)
        contract = Contract(
            listener: listener,
            limits: configuration.limits,
            hasKeys: keys != nil,
            hasUsers: users != nil
        )
    }

    /// Refuses readiness from now on. Requests are still answered.
    func beginDraining() { draining.store(true, ordering: .releasing) }
    var isDraining: Bool { draining.load(ordering: .acquiring) }

    /// The route of a path; `none` also if only another listener serves it.
    private func route(_ path: String) -> Route {
        let route = Route(path: path)
        return route.isServed(on: listener, hasUsers: users != nil) ? route : .none
    }

    package func note(for head: HTTPRequestHead) -> (any HTTPNote)? {
        telemetry.note(for: head, requestIDs)
    }

    package func headReceived(_ head: HTTPRequestHead) -> HeadVerdict {
        let path = head.path
        let route = route(path)
        if head.method == .options, route != .none || path == "*" {
            return .reject(
                HTTPResponse(
                    status: 204,
                    headers: [
                        ("Allow", route.allow(hasUsers: users != nil)), ("X-Request-Id", requestIDs.id(for: head)),
                    ],
                    label: route.number
                )
            )
        }
        guard route != .none else {
            return .reject(problem(404, "there is no route \(path)", route, requestIDs.id(for: head)))
        }
        guard let operation = route.operation(head.method, hasUsers: users != nil) else {
            return .reject(
                problem(
                    405,
                    "\(route.label) does not support \(head.method)",
                    route,
                    requestIDs.id(for: head),
                    headers: [("Allow", route.allow(hasUsers: users != nil))]
                )
            )
        }
        if let refusal = refusalOfAccess(head, route) { return .reject(refusal) }
        guard head.acceptedCodings.choose(offersGzip: offersGzip) != nil else {
            let detail = "Accept-Encoding allows neither identity nor gzip"
            return .reject(problem(406, detail, route, requestIDs.id(for: head)))
        }
        let body = operation.body.kind
        if body.isChecked, let refusal = refusalOfRepresentation(head, route, body) { return .reject(refusal) }
        return .accept(maximumBodyBytes: body.maximumBytes(maximumBodyBytes))
    }

    package func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange) {
        let head = request.head
        let route = route(head.path)
        if let note = head.note as? RequestNote { note.received(route, bodyBytes: request.body.count) }
        guard let operation = route.operation(head.method, hasUsers: users != nil) else {
            // Unreachable: `headReceived` has refused it.
            exchange.respond(problem(404, "there is no such route", .none, requestIDs.id(for: head)))
            return
        }
        operation.answer(self, request, exchange)
    }

    package func errorResponse(status: Int, detail: String, to head: HTTPRequestHead?) -> HTTPResponse {
        problem(status, detail, .none, head.map { requestIDs.id(for: $0) } ?? requestIDs.fresh())
    }

    package func observe(_ event: HTTPEvent) {
        switch event {
        case .connectionOpened: metrics.http.connections.increment()
        case .connectionClosed: metrics.http.connections.decrement()
        case .replyFinished(let record): count(record)
        case .acceptFailed(let errno):
            logger.warning("accepting a connection failed", metadata: ["errno": "\(errno)"])
        case .fieldLeftOut(let name):
            logger.error("a reply's header was omitted: it has a control character", metadata: ["header": "\(name)"])
        case .handshakeFinished(let isResumed): metrics.tls.count(isResumed: isResumed)
        case .handshakeFailed(let failure, let detail):
            metrics.tls.count(failure)
            logger.debug(
                "a TLS handshake failed",
                metadata: ["tls.failure": "\(failure.rawValue)", "tls.reason": "\(detail)"]
            )
        case .exchangeCancelled(let note, let nanoseconds): telemetry.cancelled(note, nanoseconds: nanoseconds)
        case .connectionRefused: break
        }
    }

    private func count(_ record: ReplyRecord) {
        let request = RepliedRequest(route: Route(number: record.label), method: record.method, status: record.status)
        metrics.http.replied(request, nanoseconds: record.durationNanoseconds)
        telemetry.ended(record)
        guard logger.logLevel <= .debug else { return }
        logger.debug(
            "replied",
            metadata: [
                "http.route": "\(request.route.label)", "http.method": "\(request.methodName)",
                "http.status": "\(record.status)",
                "http.bytes": "\(record.byteCount)", "http.duration_us": "\(record.durationNanoseconds / 1_000)",
                "http.complete": "\(record.isComplete)",
            ]
        )
    }
}

extension RequestHandler {
    static let jsonType = "application/json"
    /// A JSON reply.
    func json(_ status: Int, _ body: [UInt8], _ route: Route, _ requestID: String) -> HTTPResponse {
        HTTPResponse(
            status: status,
            headers: [("Content-Type", Self.jsonType), ("X-Request-Id", requestID)],
            body: body,
            label: route.number
        )
    }

    /// A short JSON reply.
    func json(_ status: Int, _ body: JSONValue, _ route: Route, _ requestID: String) -> HTTPResponse {
        json(status, body.compact, route, requestID)
    }

    /// A problem reply (RFC 9457). `detail` is one sentence.
    func problem(
        _ status: Int,
        _ detail: String,
        _ route: Route,
        _ requestID: String,
        headers: HTTPFields = []
    ) -> HTTPResponse {
        HTTPResponse(
            status: status,
            headers: [("Content-Type", ProblemDetails.contentType), ("X-Request-Id", requestID)] + headers,
            body: ProblemDetails(status, detail, requestID).bytes,
            label: route.number
        )
    }
}

extension ProblemDetails {
    /// The problem of an engine error.
    init(_ error: EngineError, _ requestID: String) {
        self.init(error.status, error.message, requestID)
    }

    /// A problem with the phrase of its status.
    init(_ status: Int, _ detail: String, _ requestID: String) {
        self.init(
            status: status,
            title: HTTPResponse.reasonPhrase(status).description,
            detail: detail,
            requestID: requestID
        )
    }
}
