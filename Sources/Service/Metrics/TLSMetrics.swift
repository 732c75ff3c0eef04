// TLS metrics. Series appear with the first handshake or certificate, so a server without TLS has none.

internal import HTTP
internal import Telemetry

/// The instruments of TLS.
final class TLSMetrics: Sendable {
    private let registry: MetricRegistry
    private let handshakes: CounterFamily
    private let reloads: CounterFamily

    init(registry: MetricRegistry) {
        self.registry = registry
        handshakes = registry.counter(
            "genrec_tls_handshakes_total",
            help: "TLS handshakes, by outcome.",
            labels: ["result"]
        )
        reloads = registry.counter(
            "genrec_tls_reloads_total",
            help: "Attempts to replace the certificate, by outcome.",
            labels: ["result"]
        )
    }

    func count(isResumed: Bool) { handshakes.with(isResumed ? "resumed" : "full").increment() }
    func count(_ failure: TLSHandshakeFailure) { handshakes.with(failure.rawValue).increment() }
    func countReload(succeeded: Bool) { reloads.with(succeeded ? "success" : "failure").increment() }

    /// Records the expiry of the certificate in service, in seconds since the epoch.
    func certificateServed(expiry: Int) {
        for result in ["success", "failure"] { _ = reloads.with(result) }
        registry.gauge(
            "genrec_tls_certificate_expiry_timestamp_seconds",
            help: "When the certificate in use expires, in seconds since the epoch.",
            unit: "seconds"
        ).set(expiry)
    }
}
