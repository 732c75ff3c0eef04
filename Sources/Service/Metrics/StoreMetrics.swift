// Metrics of the user store.

internal import Telemetry
internal import Users

/// The instruments of the store; all are 0 without one.
final class StoreMetrics: Sendable {
    let requests: Counter
    let errors: Counter
    let events: Counter
    let seconds: Histogram

    init(_ registry: MetricRegistry) {
        requests = registry.counter(
            "genrec_store_requests_total",
            help: "Histories that were looked up in the store of users."
        )
        errors = registry.counter(
            "genrec_store_errors_total",
            help: "Requests that the store of users could not serve."
        )
        events = registry.counter("genrec_store_events_total", help: "Events that the store of users has taken.")
        seconds = registry.histogram(
            "genrec_store_seconds",
            help: "How long looking up a history took.",
            buckets: .durations
        )
    }

    /// Publishes the number of a store's open breakers.
    func watch(_ users: (any UserStore)?, _ registry: MetricRegistry) {
        registry.gauge(
            "genrec_store_breaker_open",
            help: "Servers of the store of users that are given up for the moment, counted on each loop."
        ) { Double(users?.openBreakers ?? 0) }
    }
}
