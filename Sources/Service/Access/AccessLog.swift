// One line a request. It is written by the loop that sent the reply, into the sink's queue.

internal import Engine
internal import HTTP
internal import Random
internal import Telemetry

/// How lines of the access log are written.
package enum AccessLogFormat: String, Sendable, CaseIterable {
    case off
    /// `key=value`, unknown values left out.
    case text
    /// One JSON object, unknown values null.
    case json
}

/// A reply that has ended, as the access log and the trace describe it.
struct AccessEntry {
    var route: Route
    /// nil if the request was refused before its method was known.
    var method: HTTPMethod?
    /// 499 if the client disconnected before there was a status.
    var status: Int
    var byteCount: Int
    var durationNanoseconds: UInt64
    /// nil if HTTP refused the request before its head was complete; then there are no details.
    var note: RequestNote?
    var details = RequestNote.Details()
}

/// Writes the access log.
struct AccessLog: Sendable {
    let format: AccessLogFormat
    /// Share of the lines of successful requests that are written.
    let share: Double
    let sink: LogSink

    /// Writes an entry, unless it succeeded and is not in the sample.
    func write(_ entry: AccessEntry) {
        let isSampled = entry.status >= 400 || share >= 1 || ProcessRandom.uniform() < share
        guard isSampled else { return }
        Self.withLine(of: entry, format, at: .now()) { sink.write($0) }
    }

    /// Passes the entry's line, which ends at a moment.
    static func withLine(
        of entry: AccessEntry,
        _ format: AccessLogFormat,
        at end: Timestamp,
        _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
        let note = entry.note
        let details = entry.details
        // Addresses and words of the project's own are shorter than 160 bytes together; a request's id has no character that needs
        // an escape, a byte of any other text takes at most six, as an escape. Room up to 1,024 bytes is on the stack.
        var capacity = AccessLine.fixedBytes + 160 + (note?.requestID.utf8.count ?? 0)
        if let model = details.model { capacity += 6 * (model.name.utf8.count + model.version.utf8.count) }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity) { buffer in
            guard let start = buffer.baseAddress else { return }
            var line = AccessLine(start, capacity: capacity, isJSON: format == .json)
            line.begin(end)
            line.identifier("request_id", note?.requestID)
            line.hexadecimal("trace_id", note?.trace?.trace.high, note?.trace?.trace.low)
            line.address("client", note?.client)
            line.word("route", entry.route.label)
            line.word("method", entry.method?.description)
            line.integer("status", entry.status)
            line.integer("bytes_in", note.map { $0.headBytes + details.bodyBytes })
            line.integer("bytes_out", entry.byteCount)
            line.milliseconds("duration_ms", entry.durationNanoseconds)
            line.milliseconds("queue_ms", details.timing?.queue)
            line.milliseconds("prefill_ms", details.timing?.prefill)
            line.milliseconds("decode_ms", details.timing?.decode)
            line.text("model", details.model?.name)
            line.text("version", details.model?.version)
            line.word("source", details.source?.rawValue)
            line.integer("k", details.k)
            line.integer("history", details.history)
            line.integer("cached", details.cached)
            line.word("outcome", details.outcome?.rawValue)
            line.hexadecimal("user", details.user)
            body(line.finish())
        }
    }
}
