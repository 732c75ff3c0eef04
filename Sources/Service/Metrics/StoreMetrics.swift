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
            help: "Histories looked up in the user store."
        )
        errors = registry.counter(
            "genrec_store_errors_total",
            help: "Requests that the user store could not serve."
        )
        events = registry.counter("genrec_store_events_total", help: "Events accepted by the user store.")
        seconds = registry.histogram(
            "genrec_store_seconds",
            help: "Time to look up a history.",
            buckets: .durations
        )
    }

    /// Publishes the number of a store's open breakers.
    func watch(_ users: (any UserStore)?, _ registry: MetricRegistry) {
        registry.gauge(
            "genrec_store_breaker_open",
            help: "Servers of the user store that are temporarily not contacted, counted per event loop."
        ) { Double(users?.openBreakers ?? 0) }
    }
}
