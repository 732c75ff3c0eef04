// Sends spans to a collector without delaying requests: one thread sends a bounded queue in batches. Spans that do not
// fit, or that the collector refuses, are lost and counted.

import Dispatch
import Locking

/// Exports spans over OTLP/HTTP.
package final class SpanExporter: Sendable {
    private struct State {
        var waiting: [TraceSpan] = []
        /// Number of spans taken from `waiting` that are being sent.
        var inSending = 0
        /// Whether the writer is running or about to run.
        var isScheduled = false
        var exported: UInt64 = 0
        var dropped: UInt64 = 0
        /// Whether the last batch failed.
        var isFailing = false
    }

    /// The most spans queued or being sent.
    private static let queueCount = 8_192
    /// Spans per batch.
    private static let batchCount = 512
    /// How long the first span of a batch waits for more.
    private static let delay = DispatchTimeInterval.milliseconds(500)
    private static let timeoutSeconds = 5

    private let endpoint: CollectorEndpoint
    private let resource: [(key: StaticString, value: TraceSpan.Value)]
    private let version: String
    private let changed: @Sendable (String?) -> Void
    private let state = Lock(State())
    private let writer = DispatchQueue(label: "genrec.traces", qos: .utility)

    /// - Parameters:
    ///   - resource: attributes of this process.
    ///   - changed: called with the reason when the collector stops accepting batches, and with nil when it accepts
    ///     them again.
    package init(
        endpoint: CollectorEndpoint,
        resource: [(key: StaticString, value: TraceSpan.Value)],
        version: String,
        changed: @escaping @Sendable (String?) -> Void
    ) {
        self.endpoint = endpoint
        self.resource = resource
        self.version = version
        self.changed = changed
    }

    /// Queues the spans of one request. Returns immediately.
    package func export(_ spans: [TraceSpan]) {
        let mustSchedule = state.withLock { state in
            guard state.waiting.count + state.inSending + spans.count <= Self.queueCount else {
                state.dropped += UInt64(spans.count)
                return false
            }
            state.waiting += spans
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { writer.asyncAfter(deadline: .now() + Self.delay) { self.sendQueue() } }
    }

    /// Sends the queued spans; waits at most `timeout`.
    package func flush(timeout: Duration) {
        let work = DispatchWorkItem { self.sendQueue() }
        writer.async(execute: work)
        _ = work.wait(timeout: .now() + .nanoseconds(Int(timeout / .nanoseconds(1))))
    }

    /// Adds the counters `genrec_spans_exported_total` and `genrec_spans_dropped_total`.
    package func register(in registry: MetricRegistry) {
        registry.counter(
            "genrec_spans_exported_total",
            help: "Spans that the collector has accepted.",
            read: { [self] in Double(state.withLock { $0.exported }) }
        )
        registry.counter(
            "genrec_spans_dropped_total",
            help: "Spans that were lost: the queue was full, or the collector did not accept them.",
            read: { [self] in Double(state.withLock { $0.dropped }) }
        )
    }

    private func sendQueue() {
        while true {
            let spans: [TraceSpan] = state.withLock { state in
                var spans: [TraceSpan] = []
                swap(&spans, &state.waiting)
                state.inSending = spans.count
                state.isScheduled = !spans.isEmpty
                return spans
            }
            guard !spans.isEmpty else { return }
            for start in stride(from: 0, to: spans.count, by: Self.batchCount) {
                send(spans[start..<min(spans.count, start + Self.batchCount)])
            }
        }
    }

    private func send(_ batch: ArraySlice<TraceSpan>) {
        let body = TraceSpan.request(batch, resource: resource, version: version)
        let fault = endpoint.post(body, seconds: Self.timeoutSeconds)
        let hasChanged = state.withLock { state in
            if fault == nil {
                state.exported += UInt64(batch.count)
            } else {
                state.dropped += UInt64(batch.count)
            }
            state.inSending -= batch.count
            defer { state.isFailing = fault != nil }
            return state.isFailing != (fault != nil)
        }
        if hasChanged { changed(fault) }
    }
}
