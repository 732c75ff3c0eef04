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
    /// The counters of `requests` in use, by route number. A route has few, and nearly always the first is the right
    /// one, so a linear search beats hashing.
    private let usedRequests = Lock<[[(request: RepliedRequest, counter: Counter)]]>(Route.allCases.map { _ in [] })
    /// Indexed by route number.
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
        let number = request.route.number
        usedRequests.withLock { used in
            for index in used[number].indices where used[number][index].request == request {
                return used[number][index].counter.increment()
            }
            let counter = requests.with(request.route.label, request.methodName, String(request.status))
            counter.increment()
            used[number].append((request, counter))
        }
        durations[number].observe(Double(nanoseconds) / 1e9)
    }
}
