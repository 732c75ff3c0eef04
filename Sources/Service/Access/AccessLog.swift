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
        let note = entry.note
        let details = note?.details
        let client = note?.client.description
        let method = entry.method?.description
        // Keys, numbers and words of the project's own are shorter than 1024 bytes together; a byte of any other text takes at
        // most six, as an escape.
        var textBytes = (note?.requestID.utf8.count ?? 0) + (client?.utf8.count ?? 0) + (method?.utf8.count ?? 0)
        if let model = details?.model { textBytes += model.name.utf8.count + model.version.utf8.count }
        let capacity = 1_024 + 6 * textBytes
        return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            var line = AccessLine(buffer, format: format)
            line.begin()
            line.text("request_id", note?.requestID)
            line.hexadecimal("trace_id", note?.trace?.trace.high, note?.trace?.trace.low)
            line.text("client", client)
            line.text("route", entry.route.label)
            line.text("method", method)
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
            line.hexadecimal("user", details?.user)
            count = line.end()
        }
    }
}

/// A line being written, into room that is enough for it. Most values need no escapes and are copied as they are.
private struct AccessLine {
    private let isJSON: Bool
    private let buffer: UnsafeMutableBufferPointer<UInt8>
    private var count = 0

    init(_ buffer: UnsafeMutableBufferPointer<UInt8>, format: AccessLogFormat) {
        self.buffer = buffer
        isJSON = format == .json
    }

    mutating func begin() {
        append(isJSON ? "{\"time\":\"" : "time=")
        Timestamp.now().write(to: buffer, at: count)
        count += Timestamp.byteCount
        if isJSON { append("\"") }
    }

    mutating func text(_ key: StaticString, _ value: String?) {
        guard begin(key, isKnown: value != nil), var value else { return }
        value.withUTF8 { utf8 in
            let start = count
            if isJSON { append("\"") }
            for byte in utf8 {
                guard Self.isBare(byte) else { return escaped(utf8, from: start) }
                append(byte)
            }
            if utf8.isEmpty { return escaped(utf8, from: start) }
            if isJSON { append("\"") }
        }
    }

    /// Writes a text as JSON does, in place of what was written of it.
    private mutating func escaped(_ utf8: UnsafeBufferPointer<UInt8>, from start: Int) {
        var json = JSONWriter()
        json.string(String(decoding: utf8, as: UTF8.self))
        count = start
        for byte in json.bytes { append(byte) }
    }

    /// 16 digits a number. Nothing if the first is unknown.
    mutating func hexadecimal(_ key: StaticString, _ first: UInt64?, _ second: UInt64? = nil) {
        guard begin(key, isKnown: first != nil) else { return }
        if isJSON { append("\"") }
        if let first { append(hexadecimal: first) }
        if let second { append(hexadecimal: second) }
        if isJSON { append("\"") }
    }

    private mutating func append(hexadecimal number: UInt64) {
        number.writeHexadecimal(to: buffer, at: count)
        count += 16
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
        let rest = UInt8(ascii: "0")
        append(rest + UInt8(microseconds / 100 % 10))
        append(rest + UInt8(microseconds / 10 % 10))
        append(rest + UInt8(microseconds % 10))
    }

    /// The length of the line.
    mutating func end() -> Int {
        append(isJSON ? "}\n" : "\n")
        return count
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

    private mutating func append(_ byte: UInt8) {
        buffer[count] = byte
        count += 1
    }

    private mutating func append(_ text: StaticString) {
        let bytes = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        count = buffer[count...].update(fromContentsOf: bytes)
    }

    private mutating func append(_ value: UInt64) {
        if value >= 10 { append(value / 10) }
        append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10))
    }
}
