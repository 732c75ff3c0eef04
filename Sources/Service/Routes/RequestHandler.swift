// What HTTP calls: judges a request's head, sends it to its route, and counts what was answered. One file a route beside it.

internal import Engine
package import HTTP
internal import Logging
internal import Models
internal import Synchronization
internal import Telemetry

/// Answers requests. Called on the loops of the connections; nothing here blocks.
package final class RequestHandler: HTTPHandler {
    let bundle: ModelBundle
    let engine: Engine
    let metrics: ServiceMetrics
    /// What replies call the model.
    let modelName: RecommendReply.Model
    private let maximumBodyBytes: Int
    let codec: RecommendCodec
    let requestIDs = RequestIDs()
    let logger: Logger
    private let draining = Atomic<Bool>(false)

    init(
        bundle: ModelBundle,
        engine: Engine,
        metrics: ServiceMetrics,
        configuration: ServiceConfiguration,
        logger: Logger
    ) {
        self.bundle = bundle
        self.engine = engine
        self.metrics = metrics
        self.logger = logger
        modelName = RecommendReply.Model(name: bundle.configuration.name, version: bundle.configuration.version)
        maximumBodyBytes = configuration.http.limits.bodyBytes
        codec = RecommendCodec(limits: configuration.limits)
    }

    /// From now on readiness is refused; requests that come are still answered.
    func beginDraining() { draining.store(true, ordering: .relaxed) }
    var isDraining: Bool { draining.load(ordering: .relaxed) }

    package func headReceived(_ head: HTTPRequestHead) -> HeadVerdict {
        let route = Route(path: head.path)
        if head.method == .options, route != .none || head.path == "*" {
            return .reject(HTTPResponse(status: 204, headers: [("Allow", route.allow)], label: route.number))
        }
        guard route != .none else {
            return .reject(problem(404, "there is nothing at \(head.path)", route, requestIDs.id(for: head)))
        }
        guard route.takes(head.method) else {
            return .reject(
                problem(
                    405,
                    "\(route.label) does not take \(head.method)",
                    route,
                    requestIDs.id(for: head),
                    headers: [("Allow", route.allow)]
                )
            )
        }
        if route == .recommend, let refusal = refusalOfRepresentation(head) { return .reject(refusal) }
        return .accept(maximumBodyBytes: maximumBodyBytes)
    }

    package func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange) {
        switch Route(path: request.head.path) {
        case .recommend: recommend(request, exchange)
        case .models: exchange.respond(modelsReply(request.head))
        case .live: exchange.respond(liveReply(request.head))
        case .ready: exchange.respond(readyReply(request.head))
        case .metrics: exchange.respond(metricsReply(request.head))
        case .none:
            // `headReceived` has refused it.
            exchange.respond(problem(404, "there is nothing here", .none, requestIDs.id(for: request.head)))
        }
    }

    package func errorResponse(status: Int, detail: String) -> HTTPResponse {
        problem(status, detail, .none, requestIDs.fresh())
    }

    package func observe(_ event: HTTPEvent) {
        switch event {
        case .connectionOpened: metrics.connections.increment()
        case .connectionClosed: metrics.connections.decrement()
        case .replyFinished(let record): count(record)
        case .acceptFailed(let errno):
            logger.warning("accepting a connection failed", metadata: ["errno": "\(errno)"])
        case .fieldLeftOut(let name):
            logger.error("a reply's header was left out: it had a control character", metadata: ["header": "\(name)"])
        case .connectionRefused, .exchangeCancelled: break
        }
    }

    private func count(_ record: ReplyRecord) {
        let route = Route(number: record.label)
        let method = record.method?.description ?? "none"
        metrics.replied(route, method: method, status: record.status, nanoseconds: record.durationNanoseconds)
        guard logger.logLevel <= .debug else { return }
        logger.debug(
            "replied",
            metadata: [
                "http.route": "\(route.label)", "http.method": "\(method)", "http.status": "\(record.status)",
                "http.bytes": "\(record.byteCount)", "http.duration_us": "\(record.durationNanoseconds / 1_000)",
                "http.complete": "\(record.isComplete)",
            ]
        )
    }
}

extension RequestHandler {
    static let jsonType = "application/json"

    /// A reply in JSON.
    func json(_ status: Int, _ body: [UInt8], _ route: Route, _ requestID: String) -> HTTPResponse {
        HTTPResponse(
            status: status,
            headers: [("Content-Type", Self.jsonType), ("X-Request-Id", requestID)],
            body: body,
            label: route.number
        )
    }

    /// A reply that says what is wrong with the request (RFC 9457). `detail` is one sentence.
    func problem(
        _ status: Int,
        _ detail: String,
        _ route: Route,
        _ requestID: String,
        headers: HTTPFields = []
    ) -> HTTPResponse {
        let problem = ProblemDetails(
            status: status,
            title: StatusPhrase.of(status),
            detail: detail,
            requestID: requestID
        )
        return HTTPResponse(
            status: status,
            headers: [("Content-Type", ProblemDetails.contentType), ("X-Request-Id", requestID)] + headers,
            body: problem.bytes,
            label: route.number
        )
    }
}
