// One line per request, written by the loop that sent the reply into the sink's queue.

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
    /// nil if HTTP refused the request before its head was complete; then nothing else is known of it.
    var note: RequestNote?
    var answer: RequestNote.Answer?
}

/// Writes the access log.
struct AccessLog: Sendable {
    let format: AccessLogFormat
    /// Share of the lines of successful requests that are written.
    let share: Double
    let sink: LogSink

    /// Writes an entry, unless it succeeded and is not in the sample.
    func write(_ entry: borrowing AccessEntry) {
        let isSampled = entry.status >= 400 || share >= 1 || ProcessRandom.uniform() < share
        guard isSampled else { return }
        Self.withLine(of: entry, format, at: .now()) { sink.write($0) }
    }

    /// Passes the entry's line, which ends at a moment.
    @inline(__always)
    static func withLine(
        of entry: borrowing AccessEntry,
        _ format: AccessLogFormat,
        at end: Timestamp,
        _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
        // Addresses and fixed words together are shorter than 160 bytes; a request's id has no character that needs an
        // escape, and a byte of any other text becomes at most six. Up to 1,024 bytes are on the stack.
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
