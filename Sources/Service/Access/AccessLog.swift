// Writes one line per request. The loop that sent the reply writes it into the sink's queue.

internal import Engine
internal import HTTP
internal import Random
internal import Telemetry

/// The format of the access log.
package enum AccessLogFormat: String, Sendable, CaseIterable {
    case off
    /// `key=value`; unknown values are left out.
    case text
    /// One JSON object; unknown values are null.
    case json
}

/// A finished reply, as the access log and the trace describe it.
struct AccessEntry {
    var route: Route
    /// nil if the request was refused before its method was known.
    var method: HTTPMethod?
    /// 499 if the client disconnected before there was a status.
    var status: Int
    var byteCount: Int
    var durationNanoseconds: UInt64
    /// nil if HTTP refused the request before its head was complete; nothing else is known then.
    var note: RequestNote?
    var answer: RequestNote.Answer?
}

/// Writes the access log.
struct AccessLog: Sendable {
    let format: AccessLogFormat
    /// The share of successful requests that are logged.
    let share: Double
    let sink: LogSink

    /// Writes an entry, unless the request succeeded and is not in the sample.
    func write(_ entry: borrowing AccessEntry) {
        let isSampled = entry.status >= 400 || share >= 1 || ProcessRandom.uniform() < share
        guard isSampled else { return }
        Self.withLine(of: entry, format, at: .now()) { sink.write($0) }
    }

    /// Passes the line of an entry whose reply ended at `end`.
    @inline(__always)
    static func withLine(
        of entry: borrowing AccessEntry,
        _ format: AccessLogFormat,
        at end: Timestamp,
        _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
        // Addresses and fixed words together take less than 160 bytes. A request id needs no escapes; a byte of any
        // other text takes at most six. Up to 1,024 bytes are on the stack.
        var capacity = AccessLine.fixedBytes + 160
        let question = entry.note?.question
        if let note = entry.note { capacity += note.requestID.utf8.count }
        if let question { capacity += question.model.byteCount }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity) { buffer in
            guard let start = buffer.baseAddress else { return }
            var line = AccessLine(start, capacity: capacity, isJSON: format == .json)
            write(entry, question, to: &line, at: end)
            body(line.finish())
        }
    }

    private static func write(
        _ entry: borrowing AccessEntry,
        _ question: RequestNote.Question?,
        to line: inout AccessLine,
        at end: Timestamp
    ) {
        let note = entry.note
        let trace = note?.traceID
        let timing = entry.answer?.timing
        line.begin(end)
        line.identifier("request_id", note?.requestID)
        line.hexadecimal("trace_id", trace?.high, trace?.low)
        line.address("client", note?.client)
        line.word("route", entry.route.label)
        line.word("method", entry.method?.token)
        line.integer("status", entry.status)
        line.integer("bytes_in", note.map { $0.headBytes + $0.bodyBytes })
        line.integer("bytes_out", entry.byteCount)
        line.milliseconds("duration_ms", entry.durationNanoseconds)
        line.milliseconds("queue_ms", timing?.queue)
        line.milliseconds("prefill_ms", timing?.prefill)
        line.milliseconds("decode_ms", timing?.decode)
        line.model(question?.model)
        line.word("source", entry.answer?.source?.rawValue)
        line.integer("k", question?.k)
        line.integer("history", question?.history)
        line.integer("cached", entry.answer?.cached)
        line.word("outcome", entry.answer?.outcome.rawValue)
        line.hexadecimal("user", question?.user)
    }
}
