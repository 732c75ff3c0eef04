// The content of a scrape: both formats to the byte, escaping, callbacks, limited label sets, and refused names.

import Testing

@testable import Telemetry

@Suite struct MetricRegistryTests {
    private func text(_ registry: MetricRegistry, _ format: MetricsFormat = .text) -> String {
        String(decoding: registry.exposition(format), as: UTF8.self)
    }

    @Test func textFormat_ToTheByte() {
        #expect(
            text(filledRegistry()) == """
                # HELP genrec_build_info What was built.
                # TYPE genrec_build_info gauge
                genrec_build_info{version="1.0",commit="abc"} 1
                # HELP genrec_queue_depth Requests that wait.
                # TYPE genrec_queue_depth gauge
                genrec_queue_depth -2
                # HELP genrec_requests_total Requests "answered" \\\\ refused.
                # TYPE genrec_requests_total counter
                genrec_requests_total{route="/a",status="200"} 3
                genrec_requests_total{route="/b",status="404"} 1
                # HELP genrec_wait_seconds Time in the queue.
                # TYPE genrec_wait_seconds histogram
                genrec_wait_seconds_bucket{stage="queue",le="5e-05"} 1
                genrec_wait_seconds_bucket{stage="queue",le="1.0"} 2
                genrec_wait_seconds_bucket{stage="queue",le="+Inf"} 3
                genrec_wait_seconds_sum{stage="queue"} 4.5
                genrec_wait_seconds_count{stage="queue"} 3

                """
        )
    }

    @Test func openMetrics_ToTheByte() {
        #expect(
            text(filledRegistry(), .openMetrics) == """
                # HELP genrec_build_info What was built.
                # TYPE genrec_build_info gauge
                genrec_build_info{version="1.0",commit="abc"} 1
                # HELP genrec_queue_depth Requests that wait.
                # TYPE genrec_queue_depth gauge
                genrec_queue_depth -2
                # HELP genrec_requests Requests \\"answered\\" \\\\ refused.
                # TYPE genrec_requests counter
                genrec_requests_total{route="/a",status="200"} 3
                genrec_requests_total{route="/b",status="404"} 1
                # HELP genrec_wait_seconds Time in the queue.
                # TYPE genrec_wait_seconds histogram
                # UNIT genrec_wait_seconds seconds
                genrec_wait_seconds_bucket{stage="queue",le="5e-05"} 1
                genrec_wait_seconds_bucket{stage="queue",le="1.0"} 2
                genrec_wait_seconds_bucket{stage="queue",le="+Inf"} 3
                genrec_wait_seconds_sum{stage="queue"} 4.5
                genrec_wait_seconds_count{stage="queue"} 3
                # EOF

                """
        )
    }

    private func filledRegistry() -> MetricRegistry {
        let registry = MetricRegistry()
        let wait = registry.histogram(
            "genrec_wait_seconds",
            help: "Time in the queue.",
            unit: "seconds",
            buckets: HistogramBuckets([0.00005, 1]),
            labels: ["stage"]
        ).with("queue")
        for value in [0.0, 0.5, 4] { wait.observe(value) }
        let requests = registry.counter(
            "genrec_requests_total",
            help: "Requests \"answered\" \\ refused.",
            labels: ["route", "status"]
        )
        requests.with("/b", "404").increment()
        requests.with("/a", "200").increment(by: 3)
        registry.gauge("genrec_queue_depth", help: "Requests that wait.").set(-2)
        registry.gauge("genrec_build_info", help: "What was built.", labels: ["version", "commit"])
            .with("1.0", "abc").set(1)
        return registry
    }

    @Test(arguments: MetricsFormat.allCases)
    func labelValuesAndHelpAreEscaped(format: MetricsFormat) {
        let registry = MetricRegistry()
        registry.gauge("x", help: "two\nlines", labels: ["name"]).with("a\\b\"c\nd\u{e9}").set(1)
        let page = text(registry, format)
        #expect(page.contains("# HELP x two\\nlines\n"))
        #expect(page.contains(#"x{name="a\\b\"c\ndé"} 1"# + "\n"))
    }

    @Test func callbacksAreReadAtEachScrape() {
        let registry = MetricRegistry()
        let source = Gauge()
        registry.gauge("present_bytes", help: "h", unit: "bytes") { Double(source.value) + 0.5 }
        registry.counter("seen_total", help: "h") { Double(source.value) }
        registry.gauge("absent", help: "h") { nil }
        let memory = registry.gauge("memory", help: "h", labels: ["kind"])
        memory.observe("weights") { 7 }
        memory.with("cache").set(8)
        source.set(1)
        #expect(text(registry).contains("\npresent_bytes 1.5\n"))
        source.set(2)
        let page = text(registry)
        #expect(page.contains("\npresent_bytes 2.5\n"))
        #expect(page.contains("\nseen_total 2.0\n"))
        #expect(page.contains("\nmemory{kind=\"cache\"} 8\nmemory{kind=\"weights\"} 7.0\n"))
        #expect(page.contains("# TYPE absent gauge\n"))
        #expect(!page.contains("\nabsent "))
    }

    @Test(arguments: [(Double.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (1e21, "1e+21"), (0.1, "0.1")])
    func fractionalValuesAreWrittenAsTheFormatsSpellThem(value: Double, spelling: String) {
        let registry = MetricRegistry()
        registry.gauge("x", help: "h") { value }
        #expect(text(registry).hasSuffix("\nx \(spelling)\n"))
    }

    @Test func sameMetricCreatedTwice_IsTheSameInstrument() {
        let registry = MetricRegistry()
        let first = registry.counter("a_total", help: "h")
        #expect(registry.counter("a_total", help: "h") === first)
        let family = registry.gauge("g", help: "h", labels: ["x"])
        #expect(registry.gauge("g", help: "h", labels: ["x"]) === family)
        #expect(family.with("1") === family.with("1"))
        #expect(family.with("1") !== family.with("2"))
    }

    @Test func removedSeriesLeavesTheExposition() {
        let registry = MetricRegistry()
        let models = registry.gauge("genrec_model_info", help: "h", labels: ["version"])
        models.with("1").set(1)
        models.with("2").set(1)
        models.remove("1")
        #expect(!text(registry).contains("version=\"1\""))
        #expect(text(registry).contains("version=\"2\""))
    }

    @Test func labelValuesBeyondTheLimitShareOneSeries() {
        let registry = MetricRegistry()
        let routes = registry.counter("r_total", help: "h", labels: ["route", "status"], seriesLimit: 2)
        routes.with("/a", "200").increment()
        routes.with("/b", "200").increment()
        for index in 0..<10 { routes.with("/attack/\(index)", "404").increment() }
        routes.with("/a", "200").increment()
        let page = text(registry)
        #expect(page.contains("r_total{route=\"/a\",status=\"200\"} 2\n"))
        #expect(page.contains("r_total{route=\"other\",status=\"other\"} 10\n"))
        #expect(page.split(separator: "\n").filter { !$0.hasPrefix("#") }.count == 3)
    }

    @Test func seriesOfOneFamilyAreCreatedOnce_WhenThreadsAskAtOnce() async {
        let registry = MetricRegistry()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for index in 0..<200 {
                        registry.counter("c_total", help: "h", labels: ["n"]).with("\(index % 8)").increment()
                        _ = registry.exposition(.text)
                    }
                }
            }
        }
        let page = text(registry)
        for index in 0..<8 { #expect(page.contains("c_total{n=\"\(index)\"} 100\n")) }
    }
}

/// Programmer errors trap when the metric is created, not at the first scrape.
@Suite struct MetricNamingTests {
    @Test(arguments: [
        "counter", "1st_total", "a-b_total", "a:b_total", "é_total", "", "x_total_total_count",
    ])
    func badCounterName_Traps(name: String) async {
        await #expect(processExitsWith: .failure) { [name] in
            _ = MetricRegistry().counter(name, help: "h")
        }
    }

    @Test(arguments: ["x_total", "x_count", "x_sum", "x_bucket", "x_created"])
    func gaugeWithAReservedEnding_Traps(name: String) async {
        await #expect(processExitsWith: .failure) { [name] in
            _ = MetricRegistry().gauge(name, help: "h")
        }
    }

    @Test(arguments: ["le", "__x", "a-b", ""])
    func badLabel_Traps(label: String) async {
        await #expect(processExitsWith: .failure) { [label] in
            _ = MetricRegistry().gauge("x", help: "h", labels: [label])
        }
    }

    @Test func unitThatTheNameDoesNotCarry_Traps() async {
        await #expect(processExitsWith: .failure) {
            _ = MetricRegistry().gauge("x_ms", help: "h", unit: "seconds")
        }
    }

    @Test func sameNameWithAnotherDescription_Traps() async {
        await #expect(processExitsWith: .failure) {
            let registry = MetricRegistry()
            _ = registry.gauge("x", help: "h")
            _ = registry.counter("x_total", help: "h")
        }
    }

    @Test func wrongNumberOfLabelValues_Traps() async {
        await #expect(processExitsWith: .failure) {
            _ = MetricRegistry().gauge("x", help: "h", labels: ["a"]).with("1", "2")
        }
    }

    // Bit patterns, because an exit test's arguments travel as JSON, which has no infinity.
    @Test(arguments: [[], [1, 1], [2, 1], [1, .infinity], [Double.nan]].map { $0.map(\.bitPattern) })
    func bucketsThatDoNotIncrease_Trap(bounds: [UInt64]) async {
        await #expect(processExitsWith: .failure) { [bounds] in
            _ = HistogramBuckets(bounds.map(Double.init(bitPattern:)))
        }
    }
}
