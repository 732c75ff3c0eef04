// Writes an access log line. Every request pays for one, so keys are copied from constants, and values are copied
// verbatim unless they need escapes.

internal import Glibc
internal import HTTP
internal import JSON
internal import Telemetry

/// A line written into a buffer that is large enough. Texts are checked against the room left; the rest takes at most
/// `fixedBytes`.
struct AccessLine {
    /// Room for keys, numbers, dates and separators.
    static let fixedBytes = 600

    private let isJSON: Bool
    private let start: UnsafeMutablePointer<UInt8>
    private let end: UnsafeMutablePointer<UInt8>
    private var next: UnsafeMutablePointer<UInt8>

    /// Writes into a buffer that is not empty.
    init(_ start: UnsafeMutablePointer<UInt8>, capacity: Int, isJSON: Bool) {
        self.start = start
        self.isJSON = isJSON
        end = start + capacity
        next = start
    }

    @inline(__always)
    mutating func begin(_ time: Timestamp) {
        if isJSON { append("{\"time\":\"") } else { append("time=") }
        time.write(to: UnsafeMutableBufferPointer(start: next, count: Timestamp.byteCount), at: 0)
        next += Timestamp.byteCount
        quote()
    }

    /// Ends the line and returns it.
    mutating func finish() -> UnsafeBufferPointer<UInt8> {
        if isJSON { append("}\n") } else { append("\n") }
        return written
    }

    /// The bytes written so far.
    private var written: UnsafeBufferPointer<UInt8> {
        precondition(next <= end, "the line's room is computed before")
        return UnsafeBufferPointer(start: start, count: next - start)
    }

    // These are inlined, so that keys become immediate operands instead of strings to copy.

    /// A request id: visible ASCII without quotes and backslashes.
    @inline(__always)
    mutating func identifier(_ key: StaticString, _ value: String?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        quote()
        let place = next
        append(utf8: value)
        quote()
        // In the text format, a value that contains the equals sign is quoted.
        if !isJSON, memchr(place, Int32(UInt8(ascii: "=")), next - place) != nil {
            next = place
            append(UInt8(ascii: "\""))
            append(utf8: value)
            append(UInt8(ascii: "\""))
        }
    }

    /// A text from this project's code, which needs no escapes.
    @inline(__always)
    mutating func word(_ key: StaticString, _ value: String?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        quote()
        append(utf8: value)
        quote()
    }

    /// A text from this project's code, which needs no escapes.
    @inline(__always)
    mutating func word(_ key: StaticString, _ value: StaticString?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        quote()
        append(value)
        quote()
    }

    /// A model's name and version.
    @inline(__always)
    mutating func model(_ model: LoggedModel?) {
        guard let model else {
            // Neither key has a value.
            _ = begin("model", isKnown: false)
            _ = begin("version", isKnown: false)
            return
        }
        (isJSON ? model.json : model.text).withUnsafeBufferPointer { append($0) }
    }

    @inline(__always)
    mutating func address(_ key: StaticString, _ value: PeerAddress?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        quote()
        next += value.write(to: UnsafeMutableBufferPointer(start: next, count: PeerAddress.maximumByteCount), at: 0)
        quote()
    }

    /// 16 digits per number. Nothing if `first` is nil.
    @inline(__always)
    mutating func hexadecimal(_ key: StaticString, _ first: UInt64?, _ second: UInt64? = nil) {
        guard begin(key, isKnown: first != nil), let first else { return }
        quote()
        append(hexadecimal: first)
        if let second { append(hexadecimal: second) }
        quote()
    }

    @inline(__always)
    mutating func integer(_ key: StaticString, _ value: Int?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        append(UInt64(clamping: value))
    }

    /// Milliseconds with three decimals.
    @inline(__always)
    mutating func milliseconds(_ key: StaticString, _ nanoseconds: UInt64?) {
        guard begin(key, isKnown: nanoseconds != nil), let nanoseconds else { return }
        append(thousandths: nanoseconds / 1_000)
    }

    /// Writes the key. Returns false if no value follows.
    @inline(__always)
    private mutating func begin(_ key: StaticString, isKnown: Bool) -> Bool {
        if isJSON {
            append(",\"")
            append(key)
            if isKnown { append("\":") } else { append("\":null") }
        } else if isKnown {
            append(UInt8(ascii: " "))
            append(key)
            append(UInt8(ascii: "="))
        }
        return isKnown
    }

    // MARK: Bytes

    private mutating func append(utf8 text: String) {
        var text = text
        text.withUTF8 { append($0) }
    }

    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let source = bytes.baseAddress else { return }
        precondition(bytes.count <= end - next, "the line's room is computed before")
        memcpy(next, source, bytes.count)
        next += bytes.count
    }

    private mutating func append(hexadecimal number: UInt64) {
        number.writeHexadecimal(to: UnsafeMutableBufferPointer(start: next, count: 16), at: 0)
        next += 16
    }

    private mutating func append(_ value: UInt64) {
        if value >= 10 {
            if value >= 100 { append(value / 100) }
            append(digit: value / 10 % 10)
        }
        append(digit: value % 10)
    }

    private mutating func append(thousandths value: UInt64) {
        append(value / 1_000)
        append(UInt8(ascii: "."))
        append(digit: value / 100 % 10)
        append(digit: value / 10 % 10)
        append(digit: value % 10)
    }

    @inline(__always)
    private mutating func append(digit: UInt64) {
        append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit))
    }

    @inline(__always)
    private mutating func append(_ text: StaticString) {
        memcpy(next, text.utf8Start, text.utf8CodeUnitCount)
        next += text.utf8CodeUnitCount
    }

    @inline(__always)
    private mutating func append(_ byte: UInt8) {
        next.pointee = byte
        next += 1
    }

    /// Writes a quote in JSON.
    @inline(__always)
    private mutating func quote() {
        if isJSON { append(UInt8(ascii: "\"")) }
    }
}

/// A model's name and version as access log lines contain them, formatted once.
final class LoggedModel: Sendable {
    let name: RecommendReply.Model
    /// ` model=demo version=1`.
    fileprivate let text: [UInt8]
    /// `,"model":"demo","version":"1"`.
    fileprivate let json: [UInt8]
    /// The length of the longer form.
    var byteCount: Int { max(text.count, json.count) }

    init(_ name: RecommendReply.Model) {
        self.name = name
        let parts = [("model", name.name), ("version", name.version)]
        text = parts.flatMap { Array(" \($0)=".utf8) + Self.value($1, isJSON: false) }
        json = parts.flatMap { Array(",\"\($0)\":".utf8) + Self.value($1, isJSON: true) }
    }

    private static func value(_ text: String, isJSON: Bool) -> [UInt8] {
        // In the text format, other values are quoted and escaped as in JSON.
        if !isJSON, !text.isEmpty, text.utf8.allSatisfy(isBare) { return Array(text.utf8) }
        var writer = JSONWriter()
        writer.string(text)
        return writer.bytes
    }

    /// Whether a byte needs no escape in JSON and does not end a word in the text format.
    private static func isBare(_ byte: UInt8) -> Bool {
        0x21...0x7E ~= byte && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "=")
    }
}
