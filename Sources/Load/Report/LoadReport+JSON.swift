// A report for programs.

internal import Histogram
internal import JSON

extension LoadReport {
    /// One JSON object. The first five members are the contract of the command; times are milliseconds, rates are per
    /// second, and values not measured are null.
    package var json: String {
        var writer = JSONWriter(capacity: 2_048)
        writer.beginObject()
        writer.key("offered_rate")
        write(offeredRate, to: &writer)
        writer.key("throughput")
        write(throughput, to: &writer)
        writer.key("goodput")
        write(goodput, to: &writer)
        writer.key("latency_ms")
        write(recorder.latency, to: &writer)
        writer.key("statuses")
        writer.beginObject()
        for (status, count) in recorder.statuses {
            writer.key(text: String(status))
            writer.integer(count)
        }
        writer.endObject()
        writeCircumstances(to: &writer)
        writer.key("admitted_latency_ms")
        write(recorder.admittedLatency, to: &writer)
        writer.key("admitted_service_ms")
        write(recorder.serviceTime, to: &writer)
        writer.key("refused_latency_ms")
        write(recorder.refusedLatency, to: &writer)
        writer.key("schedule_lag_ms")
        write(recorder.lag, to: &writer)
        writeRequests(to: &writer)
        writeReplies(to: &writer)
        if recorder.events.begun > 0 {
            writer.key("events")
            writer.beginObject()
            writer.key("begun")
            writer.integer(recorder.events.begun)
            writer.key("acknowledged")
            writer.integer(recorder.events.acknowledged)
            writer.key("outcomes")
            writer.beginObject()
            for (name, count) in recorder.events.table {
                writer.key(text: name)
                writer.integer(count)
            }
            writer.endObject()
            writer.key("latency_ms")
            write(recorder.events.latency, to: &writer)
            writer.endObject()
        }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func writeCircumstances(to writer: inout JSONWriter) {
        writer.key("arrivals")
        switch plan.arrivals {
        case .open: writer.string("open")
        case .closed: writer.string("closed")
        }
        writer.key("seconds")
        write(seconds, to: &writer)
        writer.key("interrupted")
        writer.bool(isInterrupted)
        writer.key("seed")
        // As text: readers that know only doubles would change it.
        writer.string(String(plan.seed))
    }

    private func writeRequests(to writer: inout JSONWriter) {
        writer.key("requests")
        writer.beginObject()
        writer.key("begun")
        writer.integer(recorder.begun)
        writer.key("answered")
        writer.integer(recorder.answered)
        writer.key("unsent")
        writer.integer(recorder.unsent)
        writer.key("returning")
        writer.integer(recorder.returning)
        for outcome in [Outcome.abandoned, .timeout, .connectError, .connectionLost, .notHTTP, .unfinished] {
            writer.key(text: outcome.name)
            writer.integer(recorder.count(outcome))
        }
        writer.endObject()
        writer.key("connections")
        writer.beginObject()
        writer.key("opened")
        writer.integer(recorder.connectionsOpened)
        writer.key("waits")
        writer.integer(recorder.connectionWaits)
        writer.endObject()
        writer.key("bytes")
        writer.beginObject()
        writer.key("sent")
        writer.integer(recorder.bytesSent)
        writer.key("received")
        writer.integer(recorder.bytesReceived)
        writer.endObject()
    }

    private func writeReplies(to writer: inout JSONWriter) {
        writer.key("replies")
        writer.beginObject()
        writer.key("unreadable")
        writer.integer(recorder.unreadable)
        writer.key("popularity")
        writer.integer(recorder.byPopularity)
        writer.key("history_used")
        writer.integer(recorder.historyUsed)
        writer.key("history_cached")
        writer.integer(recorder.historyCached)
        writer.key("cached_share")
        if let cachedShare { write(cachedShare, to: &writer) } else { writer.null() }
        writer.key("unknown_items")
        writer.integer(recorder.unknownItems)
        writer.endObject()
    }

    private func write(_ histogram: Histogram<UInt64>, to writer: inout JSONWriter) {
        let values: [(StaticString, UInt64)] = [
            ("p50", histogram.valueAtPercentile(50)), ("p90", histogram.valueAtPercentile(90)),
            ("p99", histogram.valueAtPercentile(99)), ("p99.9", histogram.valueAtPercentile(99.9)),
            ("max", histogram.maxRecorded),
        ]
        writer.beginObject()
        for (name, value) in values {
            writer.key(name)
            if histogram.totalCount > 0 { write(milliseconds(value), to: &writer) } else { writer.null() }
        }
        writer.endObject()
    }

    /// To thousandths; counts and durations are finite, and so are values derived from them.
    private func write(_ value: Double, to writer: inout JSONWriter) {
        writer.thousandths(Int((value * 1_000).rounded()))
    }
}
