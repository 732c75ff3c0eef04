// The bytes of a line of the access log. What a line costs, every request pays, so that keys are copied from the program and
// values are copied as they are unless they need an escape.

internal import Glibc
internal import HTTP
internal import JSON
internal import Telemetry

/// A line being written, into room that is enough for it.
struct AccessLine {
    private let isJSON: Bool
    private let buffer: UnsafeMutableBufferPointer<UInt8>
    private var count = 0

    init(_ buffer: UnsafeMutableBufferPointer<UInt8>, isJSON: Bool) {
        self.buffer = buffer
        self.isJSON = isJSON
    }

    mutating func begin(_ time: Timestamp) {
        append(isJSON ? "{\"time\":\"" : "time=")
        time.write(to: buffer, at: count)
        count += Timestamp.byteCount
        quote()
    }

    /// The length of the line.
    mutating func end() -> Int {
        append(isJSON ? "}\n" : "\n")
        return count
    }

    /// Any text.
    @inline(__always)
    mutating func text(_ key: StaticString, _ value: String?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        append(text: value)
    }

    /// A request's id: visible ASCII without quotes and backslashes.
    @inline(__always)
    mutating func identifier(_ key: StaticString, _ value: String?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        append(identifier: value)
    }

    /// A text of the project's own, which needs no escape.
    @inline(__always)
    mutating func word(_ key: StaticString, _ value: String?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        append(word: value)
    }

    @inline(__always)
    mutating func address(_ key: StaticString, _ value: PeerAddress?) {
        guard begin(key, isKnown: value != nil), let value else { return }
        quote()
        count = value.write(to: buffer, at: count)
        quote()
    }

    /// 16 digits a number. Nothing if the first is unknown.
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
        append(milliseconds: nanoseconds)
    }

    /// Writes the key. False if no value follows.
    @inline(__always)
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

    // MARK: Bytes

    private mutating func append(text: String) {
        var text = text
        text.withUTF8 { utf8 in
            // The values that need no quotes in text need no escapes in JSON.
            guard !utf8.isEmpty, utf8.allSatisfy(Self.isBare) else {
                var json = JSONWriter()
                json.string(utf8: utf8)
                json.bytes.withUnsafeBufferPointer { append($0) }
                return
            }
            quote()
            append(utf8)
            quote()
        }
    }

    /// Whether a byte is the same in JSON and ends no word.
    private static func isBare(_ byte: UInt8) -> Bool {
        0x21...0x7E ~= byte && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "=")
    }

    private mutating func append(identifier: String) {
        var identifier = identifier
        let start = count
        append(word: identifier)
        // In text, what has the sign between key and value is in quotes.
        if !isJSON, let base = buffer.baseAddress, memchr(base + start, Int32(UInt8(ascii: "=")), count - start) != nil
        {
            count = start
            append(UInt8(ascii: "\""))
            identifier.withUTF8 { append($0) }
            append(UInt8(ascii: "\""))
        }
    }

    private mutating func append(word: String) {
        quote()
        var word = word
        word.withUTF8 { append($0) }
        quote()
    }

    private mutating func append(hexadecimal number: UInt64) {
        number.writeHexadecimal(to: buffer, at: count)
        count += 16
    }

    private mutating func append(milliseconds nanoseconds: UInt64) {
        let (whole, rest) = (nanoseconds / 1_000).quotientAndRemainder(dividingBy: 1_000)
        append(whole)
        append(".")
        append(UInt8(ascii: "0") + UInt8(rest / 100))
        append(UInt8(ascii: "0") + UInt8(rest / 10 % 10))
        append(UInt8(ascii: "0") + UInt8(rest % 10))
    }

    private mutating func append(_ value: UInt64) {
        // Backwards, into the place that the number will have.
        var place = count
        var limit: UInt64 = 10
        while value >= limit {
            place += 1
            let (next, isLast) = limit.multipliedReportingOverflow(by: 10)
            if isLast { break }
            limit = next
        }
        count = place + 1
        var rest = value
        repeat {
            buffer[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            place -= 1
        } while rest > 0
    }

    @inline(__always)
    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        if let source = bytes.baseAddress { append(source, bytes.count) }
    }

    /// A literal; the compiler makes a few stores of it.
    @inline(__always)
    private mutating func append(_ text: StaticString) { append(text.utf8Start, text.utf8CodeUnitCount) }

    @inline(__always)
    private mutating func append(_ source: UnsafePointer<UInt8>, _ length: Int) {
        precondition(length <= buffer.count - count, "the line's room is computed before")
        guard let base = buffer.baseAddress else { return }
        (base + count).update(from: source, count: length)
        count += length
    }

    @inline(__always)
    private mutating func append(_ byte: UInt8) {
        buffer[count] = byte
        count += 1
    }

    /// A quote, in JSON.
    @inline(__always)
    private mutating func quote() {
        if isJSON { append(UInt8(ascii: "\"")) }
    }
}
