// The settings of the access log and traces.

package import Telemetry

/// The keys `log.access*` and `telemetry.*`.
package struct TelemetrySettings: Sendable, Equatable {
    package var accessFormat = AccessLogFormat.off
    /// nil: standard error.
    package var accessFile: String?
    /// Share of successful requests in the access log, 0 to 1.
    package var accessShare = 1.0
    /// nil: spans are not sent.
    package var collector: CollectorEndpoint?
    /// Share of recorded traces among those that begin here, 0 to 1.
    package var traceShare = 0.01
}

extension ServiceConfiguration {
    /// The access log's keys of the section `log`, and the section `telemetry`.
    static let telemetrySettings: [Setting] = [
        .choice(
            "log.access",
            \.telemetry.accessFormat,
            "The access log: off, text or json. One line per request; users appear only as a keyed hash."
        ),
        .text(
            "log.access_file",
            \.telemetry.accessFile,
            allowed: "a file",
            "The file of the access log; SIGHUP reopens it. Empty: standard error."
        ),
        share(
            "log.access_sample",
            \.telemetry.accessShare,
            "Share of successful requests in the access log. Requests with a status of 400 or above are always in it."
        ),
        share(
            "telemetry.sample",
            \.telemetry.traceShare,
            "Share of requests whose trace is recorded. A caller that sends traceparent decides for its own requests."
        ),
        .parsed(
            "telemetry.otlp.endpoint",
            \.telemetry.collector,
            allowed: "http://HOST:PORT",
            """
            A collector that accepts OTLP over HTTP, such as an OpenTelemetry agent on this machine. Spans are sent to its \
            /v1/traces, as JSON. Empty: none are sent.
            """,
            write: { $0?.base ?? "" },
            read: { (text, _) throws(Setting.Refusal) in
                guard let endpoint = CollectorEndpoint(text) else { throw .mustBe("http://HOST:PORT", not: text) }
                return endpoint
            }
        ),
    ]

    private static func share(_ key: String, _ path: Setting.Path<Double>, _ help: String) -> Setting {
        .parsed(key, path, allowed: "a number between 0 and 1", help + " (0 to 1)") {
            (text, _) throws(Setting.Refusal) in
            guard let share = Double(text), 0...1 ~= share else { throw .mustBe("a number from 0 to 1", not: text) }
            return share
        }
    }
}
