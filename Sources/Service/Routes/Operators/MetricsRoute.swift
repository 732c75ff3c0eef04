// `GET /metrics`.

internal import HTTP
internal import JSON
internal import Telemetry

extension RouteDeclaration {
    static let metrics = RouteDeclaration(
        "/metrics",
        .operators,
        RouteOperation.reading(
            id: "metrics",
            summary: "All metrics in a Prometheus format.",
            replies: [
                ContractReply(
                    200,
                    [
                        "description": "Prometheus text 0.0.4, or OpenMetrics 1.0 if Accept asks for it.",
                        "headers": ContractResponses.headers(),
                        "content": [
                            "text/plain": ["schema": ["type": "string"]],
                            "application/openmetrics-text": ["schema": ["type": "string"]],
                        ],
                    ]
                )
            ]
        ) { $0.metricsReply($1) }
    )
}

extension RequestHandler {
    /// `GET /metrics`, in the format that `Accept` prefers.
    func metricsReply(_ head: HTTPRequestHead) -> HTTPResponse {
        let requestID = requestIDs.id(for: head)
        guard let format = MetricsFormat.negotiate(accept: head.combinedHeader("accept")) else {
            return problem(406, "Accept must allow text/plain or application/openmetrics-text", .metrics, requestID)
        }
        return HTTPResponse(
            status: 200,
            headers: [("Content-Type", format.contentType), ("X-Request-Id", requestID), ("Vary", "Accept")],
            body: metrics.registry.exposition(format),
            label: Route.metrics.number
        )
    }
}
