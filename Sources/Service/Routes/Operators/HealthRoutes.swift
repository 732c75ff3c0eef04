// Routes for orchestrators: liveness and readiness. Neither waits for the engine.

internal import Engine
internal import HTTP
internal import JSON
internal import Users

extension RouteDeclaration {
    static let live = RouteDeclaration(
        "/health/live",
        .everywhere,
        RouteOperation.reading(
            id: "live",
            summary: "Whether the process responds. Never waits for the engine.",
            replies: [.json("The process responds.", "Liveness")]
        ) { $0.liveReply($1) }
    ) { _ in [("Liveness", ContractSchemas.object([("live", ["const": true])], required: nil))] }

    static let ready = RouteDeclaration(
        "/health/ready",
        .everywhere,
        RouteOperation.reading(
            id: "ready",
            summary: "Whether requests are served.",
            replies: [.json("Requests are served.", "Readiness"), ContractReply(503, unreadyReply)]
        ) { $0.readyReply($1) }
    ) { _ in [("Readiness", readiness)] }

    private static let unreadyReply: JSONValue = [
        "description": "Requests are not served, with the reasons; or there are too many connections.",
        "headers": ContractResponses.references(toHeaders: ["X-Request-Id", "Retry-After"]),
        "content": [
            "application/json": ["schema": ContractSchemas.reference("Readiness")],
            "application/problem+json": ["schema": ContractSchemas.reference("Problem")],
        ],
    ]

    private static let readiness = ContractSchemas.object(
        [
            ("ready", ["type": "boolean"]),
            (
                "reasons",
                [
                    "type": "array", "minItems": 1, "items": ["type": "string"],
                    "description":
                        "Why requests are not served: loading, warming, draining, overloaded, recovering with the device's error, or a sentence.",
                ]
            ),
            (
                "degraded",
                [
                    "type": "array", "minItems": 1, "items": ["const": "store"],
                    "description":
                        "What does not work although requests are served. store: the user store is unavailable.",
                ]
            ),
        ],
        required: ["ready"]
    )
}

extension RequestHandler {
    /// `GET /health/live`: the process can answer.
    func liveReply(_ head: HTTPRequestHead) -> HTTPResponse {
        json(200, ["live": true], .live, requestIDs.id(for: head))
    }

    /// `GET /health/ready`: whether requests would be served; otherwise 503 with the reasons.
    func readyReply(_ head: HTTPRequestHead) -> HTTPResponse {
        let reasons = unreadiness()
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("ready", reasons.isEmpty)
        if !reasons.isEmpty { writer.member("reasons", reasons) }
        // Requests that carry their own history are still served.
        if users?.openBreakers ?? 0 > 0 { writer.member("degraded", ["store"]) }
        writer.endObject()
        let requestID = requestIDs.id(for: head)
        var reply = json(reasons.isEmpty ? 200 : 503, writer.bytes, .ready, requestID)
        if !reasons.isEmpty { reply.headers.append(("Retry-After", "1")) }
        return reply
    }

    private func unreadiness() -> [String] {
        var reasons: [String] = []
        if isDraining, fleet.engines.phase != .draining { reasons.append("draining") }
        let own = fleet.unreadiness
        reasons += own
        if own.isEmpty, fleet.engines.isQueueFull { reasons.append("overloaded") }
        return reasons
    }
}
