// One line a request. It is written by the loop that sent the reply, into the sink's queue.

internal import Engine
internal import HTTP
internal import JSON
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
    /// nil if HTTP refused the request before its head was complete.
    var note: RequestNote?
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
        sink.write(line(entry))
    }

    /// The entry's line, ended now.
    func line(_ entry: AccessEntry) -> [UInt8] {
        var line = AccessLine(format: format)
        let note = entry.note
        let details = note?.details
        line.begin()
        line.text("request_id", note?.requestID)
        line.text("trace_id", note?.trace?.trace.hexadecimal)
        line.text("client", note?.client.description)
        line.text("route", entry.route.label)
        line.text("method", entry.method?.description)
        line.integer("status", entry.status)
        line.integer("bytes_in", note.map { $0.headBytes + (details?.bodyBytes ?? 0) })
        line.integer("bytes_out", entry.byteCount)
        line.milliseconds("duration_ms", entry.durationNanoseconds)
        line.milliseconds("queue_ms", details?.timing?.queue)
        line.milliseconds("prefill_ms", details?.timing?.prefill)
        line.milliseconds("decode_ms", details?.timing?.decode)
        line.text("model", details?.model?.name)
        line.text("version", details?.model?.version)
        line.text("source", details?.source?.rawValue)
        line.integer("k", details?.k)
        line.integer("history", details?.history)
        line.integer("cached", details?.cached)
        line.text("outcome", details?.outcome?.rawValue)
        line.text("user", details?.user.map(\.hexadecimal))
        return line.end()
    }
}

/// A line being written. Most values need no escapes and are copied as they are.
private struct AccessLine {
    private let isJSON: Bool
    private var bytes: [UInt8] = []

    init(format: AccessLogFormat) {
        isJSON = format == .json
        bytes.reserveCapacity(640)
    }

    mutating func begin() {
        append(isJSON ? "{\"time\":\"" : "time=")
        Timestamp.now().append(to: &bytes)
        if isJSON { append("\"") }
    }

    mutating func text(_ key: StaticString, _ value: String?) {
        guard begin(key, isKnown: value != nil), var value else { return }
        let isBare = value.withUTF8 { utf8 in
            for byte in utf8 where !Self.isBare(byte) { return false }
            guard !utf8.isEmpty else { return false }
            if isJSON { append("\"") }
            bytes.append(contentsOf: utf8)
            if isJSON { append("\"") }
            return true
        }
        if !isBare {
            var json = JSONWriter()
            json.string(value)
            bytes += json.bytes
        }
    }

    mutating func integer(_ key: StaticString, _ value: Int?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        append(UInt64(clamping: value))
    }

    /// Milliseconds with three decimals.
    mutating func milliseconds(_ key: StaticString, _ nanoseconds: UInt64?) {
        guard begin(key, isKnown: nanoseconds != nil), let nanoseconds else { return }
        let microseconds = nanoseconds / 1_000
        append(microseconds / 1_000)
        append(".")
        for divisor: UInt64 in [100, 10, 1] {
            bytes.append(UInt8(ascii: "0") + UInt8(microseconds / divisor % 10))
        }
    }

    mutating func end() -> [UInt8] {
        append(isJSON ? "}\n" : "\n")
        return bytes
    }

    /// Writes the key. False if no value follows.
    private mutating func begin(_ key: StaticString, isKnown: Bool) -> Bool {
        if isJSON {
            append(",\"")
            append(key)
            append(isKnown ? "\":" : "\":null")
        } else if isKnown {
            append(" ")
            append(key)
            append("=")
        }
        return isKnown
    }

    /// Whether a byte is the same in JSON and ends no word.
    private static func isBare(_ byte: UInt8) -> Bool {
        0x21...0x7E ~= byte && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "=")
    }

    private mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func append(_ value: UInt64) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = digits.count
            var rest = value
            repeat {
                first -= 1
                digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            bytes.append(contentsOf: digits[first...])
        }
    }
}
