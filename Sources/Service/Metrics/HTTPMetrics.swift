// Connections and replies, as HTTP reports them.

internal import HTTP
internal import Locking
internal import Telemetry

/// The labels by which a reply is counted.
struct RepliedRequest: Hashable {
    var route: Route
    /// nil if the request was refused before its method was known.
    var method: HTTPMethod?
    var status: Int

    var methodName: String { method?.description ?? "none" }
}

/// The instruments of HTTP.
final class HTTPMetrics: Sendable {
    let connections: Gauge
    private let requests: CounterFamily
    /// The counters of `requests` in use, found without a string.
    private let usedRequests = Lock<[RepliedRequest: Counter]>([:])
    /// Indexed by the number of the route.
    private let durations: [Histogram]

    init(_ registry: MetricRegistry) {
        connections = registry.gauge("genrec_http_connections", help: "Open connections.")
        requests = registry.counter(
            "genrec_http_requests_total",
            help: "Requests answered, by route, method and status.",
            labels: ["route", "method", "status"]
        )
        let family = registry.histogram(
            "genrec_http_request_duration_seconds",
            help: "Time from a request's last byte to its reply's last byte handed to the system.",
            unit: "seconds",
            labels: ["route"]
        )
        durations = Route.allCases.map { family.with($0.label) }
    }

    /// Counts a reply.
    func replied(_ request: RepliedRequest, nanoseconds: UInt64) {
        let counter = usedRequests.withLock { used in
            if let known = used[request] { return known }
            let counter = requests.with(request.route.label, request.methodName, String(request.status))
            used[request] = counter
            return counter
        }
        counter.increment()
        durations[request.route.number].observe(Double(nanoseconds) / 1e9)
    }
}
