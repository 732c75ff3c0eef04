// The report as JSON.

internal import Histogram
internal import JSON

extension LoadReport {
    /// One JSON object. Its first five members are the command's contract. Times are in milliseconds, rates per second;
    /// unmeasured values are null.
    package var json: String {
        var writer = JSONWriter(capacity: 2_048)
        writer.beginObject()
        writer.member("offered_rate", offeredRate)
        writer.member("throughput", throughput)
        writer.member("goodput", goodput)
        writer.member("latency_ms", recorder.latency)
        writer.beginObject("statuses")
        for (status, count) in recorder.statuses {
            writer.key(text: String(status))
            writer.integer(count)
        }
        writer.endObject()
        writeCircumstances(to: &writer)
        writer.member("admitted_latency_ms", recorder.admittedLatency)
        writer.member("admitted_service_ms", recorder.serviceTime)
        writer.member("refused_latency_ms", recorder.refusedLatency)
        writer.member("schedule_lag_ms", recorder.lag)
        writeRequests(to: &writer)
        writeReplies(to: &writer)
        if recorder.events.begun > 0 {
            writer.beginObject("events")
            writer.member("begun", recorder.events.begun)
            writer.member("acknowledged", recorder.events.acknowledged)
            writer.beginObject("outcomes")
            for (name, count) in recorder.events.table {
                writer.key(text: name)
                writer.integer(count)
            }
            writer.endObject()
            writer.member("latency_ms", recorder.events.latency)
            writer.endObject()
        }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func writeCircumstances(to writer: inout JSONWriter) {
        let isOpen = if case .open = plan.arrivals { true } else { false }
        writer.member("arrivals", isOpen ? "open" : "closed")
        writer.member("seconds", seconds)
        writer.member("interrupted", isInterrupted)
        // As text, because readers that know only doubles would change it.
        writer.member("seed", String(plan.seed))
    }

    private func writeRequests(to writer: inout JSONWriter) {
        writer.beginObject("requests")
        writer.member("begun", recorder.begun)
        writer.member("answered", recorder.answered)
        writer.member("unsent", recorder.unsent)
        writer.member("returning", recorder.returning)
        for outcome in [Outcome.abandoned, .timeout, .connectError, .connectionLost, .notHTTP, .unfinished] {
            writer.key(text: outcome.name)
            writer.integer(recorder.count(outcome))
        }
        writer.endObject()
        writer.beginObject("connections")
        writer.member("opened", recorder.connectionsOpened)
        writer.member("waits", recorder.connectionWaits)
        writer.endObject()
        writer.beginObject("bytes")
        writer.member("sent", recorder.bytesSent)
        writer.member("received", recorder.bytesReceived)
        writer.endObject()
    }

    private func writeReplies(to writer: inout JSONWriter) {
        writer.beginObject("replies")
        writer.member("unreadable", recorder.unreadable)
        writer.member("popularity", recorder.byPopularity)
        writer.member("history_used", recorder.historyUsed)
        writer.member("history_cached", recorder.historyCached)
        writer.member("cached_share", cachedShare)
        writer.member("unknown_items", recorder.unknownItems)
        writer.endObject()
    }
}

extension JSONWriter {
    /// Quantiles in milliseconds; null if nothing was recorded.
    fileprivate mutating func member(_ key: StaticString, _ histogram: Histogram<UInt64>) {
        let values: [(StaticString, UInt64)] = [
            ("p50", histogram.valueAtPercentile(50)), ("p90", histogram.valueAtPercentile(90)),
            ("p99", histogram.valueAtPercentile(99)), ("p99.9", histogram.valueAtPercentile(99.9)),
            ("max", histogram.maxRecorded),
        ]
        beginObject(key)
        for (name, value) in values { member(name, histogram.totalCount > 0 ? Double(value) / 1e6 : nil) }
        endObject()
    }

    /// A value in thousandths, null for nil. It is finite, like the counts and durations it is derived from.
    fileprivate mutating func member(_ key: StaticString, _ value: Double?) {
        self.key(key)
        if let value { thousandths(Int((value * 1_000).rounded())) } else { null() }
    }
}
