// The format for an `Accept` value.

import Testing

@testable import Telemetry

@Suite struct MetricsFormatTests {
    @Test(
        arguments: [
            (nil, .text),
            ("", .text),
            ("*/*", .text),
            ("text/*", .text),
            ("text/plain", .text),
            ("TEXT/Plain;Version=0.0.4", .text),
            ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0", .openMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"", .openMetrics),
            ("application/*", .openMetrics),
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                    + "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", .openMetrics
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
                    + "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                    + "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                .openMetrics
            ),
            // Browsers and curl.
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", .text),
            // Quality decides, the more specific range wins, and among equal qualities the explicitly named type.
            ("text/plain;q=0.9, application/openmetrics-text;q=0.8", .text),
            ("text/plain;q=0.8, application/openmetrics-text;q=0.9", .openMetrics),
            ("text/plain, application/openmetrics-text", .openMetrics),
            ("*/*, application/openmetrics-text;q=0", .text),
            ("*/*, text/plain;q=0", .openMetrics),
            ("application/openmetrics-text;version=0.0.1", nil),
            ("application/openmetrics-text;version=0.0.1, */*;q=0.1", .text),
            (" , ,text/plain ; q=0.001 ,", .text),
            ("application/json", nil),
            ("text/plain;q=0", nil),
            ("*/*;q=0.000", nil),
            // Malformed elements match nothing.
            ("text/plain;q=2", nil),
            ("text/plain;q=-1", nil),
            ("text/plain;q=0.1234", nil),
            ("text/plain;q=1e0", nil),
            ("text/plain;q=", nil),
            ("text", nil),
            ("/", nil),
            ("text/", nil),
            ("text/plain/x", nil),
            (";;;", nil),
            ("text/plain;version=\"", nil),
        ] as [(String?, MetricsFormat?)]
    )
    func acceptValueDecidesTheFormat(accept: String?, format: MetricsFormat?) {
        #expect(MetricsFormat.negotiate(accept: accept) == format)
    }

    @Test func contentTypesNameTheVersions() {
        #expect(MetricsFormat.text.contentType == "text/plain; version=0.0.4; charset=utf-8")
        #expect(
            MetricsFormat.openMetrics.contentType == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
    }
}
