// Appends JSON to bytes, in order: the project's only JSON writer.

/// Writes one JSON text.
///
/// Commas are inserted automatically; the caller must match brackets and write keys only in objects.
package struct JSONWriter {
    /// The text written so far.
    package private(set) var bytes: [UInt8]
    /// Whether a value was just finished, so that the next one needs a comma before it.
    private var isAfterValue = false

    /// An empty writer with room for this many bytes.
    package init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    // MARK: Structure

    /// Opens an object.
    package mutating func beginObject() { open(UInt8(ascii: "{")) }

    /// Opens an object as a member.
    package mutating func beginObject(_ key: StaticString) {
        self.key(key)
        beginObject()
    }

    /// Closes the object.
    package mutating func endObject() { close(UInt8(ascii: "}")) }

    /// Opens an array.
    package mutating func beginArray() { open(UInt8(ascii: "[")) }

    /// Opens an array as a member.
    package mutating func beginArray(_ key: StaticString) {
        self.key(key)
        beginArray()
    }

    /// Closes the array.
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    /// Writes a member's key; its value must follow. Keys are source literals that need no escapes.
    package mutating func key(_ key: StaticString) {
        let hasComma = isAfterValue
        isAfterValue = false
        let length = key.utf8CodeUnitCount
        append(atMost: length + 4) { start in
            var next = Self.begin(start, hasComma: hasComma)
            next.update(from: key.utf8Start, count: length)
            next += length
            next[0] = UInt8(ascii: "\"")
            next[1] = UInt8(ascii: ":")
            return next + 2
        }
    }

    /// Writes a member's key known only at run time; its value must follow.
    package mutating func key(text key: String) {
        string(key)
        bytes.append(UInt8(ascii: ":"))
        isAfterValue = false
    }

    /// Clears the text but keeps the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        isAfterValue = false
    }

    /// Ends the text's line, so that another text may follow (NDJSON, server-sent events).
    package mutating func endLine() {
        bytes.append(UInt8(ascii: "\n"))
        isAfterValue = false
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        isAfterValue = true
    }

    private mutating func separate() {
        if isAfterValue { bytes.append(UInt8(ascii: ",")) }
        isAfterValue = false
    }

    // MARK: Values

    /// Writes a string with the escapes it needs.
    package mutating func string(_ value: String) {
        var value = value
        value.withUTF8 { string(utf8: $0) }
    }

    /// Writes a string of valid UTF-8 with the escapes it needs.
    package mutating func string(utf8: UnsafeBufferPointer<UInt8>) {
        if let text = utf8.baseAddress, JSONText.endOfPlainRun(utf8, from: 0) == utf8.count {
            let hasComma = isAfterValue
            isAfterValue = true
            append(atMost: utf8.count + 3) { start in
                let next = Self.begin(start, hasComma: hasComma)
                next.update(from: text, count: utf8.count)
                next[utf8.count] = UInt8(ascii: "\"")
                return next + utf8.count + 1
            }
            return
        }
        separate()
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(utf8)
        bytes.append(UInt8(ascii: "\""))
        isAfterValue = true
    }

    /// Writes an integer.
    package mutating func integer(_ value: Int) {
        separate()
        append(value)
        isAfterValue = true
    }

    /// Writes `true` or `false`.
    package mutating func bool(_ value: Bool) {
        separate()
        append(value ? "true" : "false")
        isAfterValue = true
    }

    /// Writes `null`.
    package mutating func null() {
        separate()
        append("null")
        isAfterValue = true
    }

    /// Writes a number in the shortest form that reads back as the same `Float`; throws `notFinite` for infinities and
    /// NaN.
    package mutating func number(_ value: Float) throws(JSONError) {
        guard value.isFinite else { throw JSONError(.notFinite, at: 0, "\(value) is not a JSON number") }
        shortest(value.description)
    }

    /// Writes a number in the shortest form that reads back as the same `Double`; throws `notFinite` for infinities and
    /// NaN.
    package mutating func number(_ value: Double) throws(JSONError) {
        guard value.isFinite else { throw JSONError(.notFinite, at: 0, "\(value) is not a JSON number") }
        shortest(value.description)
    }

    /// Writes a number like `number`, or null if it is not finite.
    package mutating func numberOrNull(_ value: Double) {
        if value.isFinite { shortest(value.description) } else { null() }
    }

    /// Writes thousandths as a decimal fraction with one to three digits: 1900 as `1.9`.
    package mutating func thousandths(_ value: Int) {
        separate()
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let (whole, fraction) = value.magnitude.quotientAndRemainder(dividingBy: 1_000)
        append(whole)
        bytes.append(UInt8(ascii: "."))
        bytes.append(UInt8(ascii: "0") + UInt8(fraction / 100))
        if fraction % 100 > 0 { bytes.append(UInt8(ascii: "0") + UInt8(fraction / 10 % 10)) }
        if fraction % 10 > 0 { bytes.append(UInt8(ascii: "0") + UInt8(fraction % 10)) }
        isAfterValue = true
    }

    /// Writes a value by calling `append`, which must append exactly one JSON value and change nothing before it.
    package mutating func value(_ append: (inout [UInt8]) -> Void) {
        separate()
        append(&bytes)
        isAfterValue = true
    }

    /// Swift's shortest form is JSON for every finite number: digits on both sides of the point, exponents as `e-05`.
    private mutating func shortest(_ description: String) {
        separate()
        var description = description
        description.withUTF8 { append($0) }
        isAfterValue = true
    }

    // MARK: Members

    /// Writes a member; nothing if the value is nil.
    package mutating func member(_ key: StaticString, _ value: String?) {
        guard let value else { return }
        self.key(key)
        string(value)
    }

    /// Writes a member; nothing if the value is nil.
    package mutating func member(_ key: StaticString, _ value: Int?) {
        guard let value else { return }
        self.key(key)
        integer(value)
    }

    /// Writes a member; nothing if the value is nil.
    package mutating func member(_ key: StaticString, _ value: Bool?) {
        guard let value else { return }
        self.key(key)
        bool(value)
    }

    /// Writes a member like `thousandths`.
    package mutating func member(_ key: StaticString, thousandths value: Int) {
        self.key(key)
        thousandths(value)
    }

    /// Writes a member that is an array of strings.
    package mutating func member(_ key: StaticString, _ values: [String]) {
        beginArray(key)
        for value in values { string(value) }
        endArray()
    }

    /// Writes a member that is an array of integers.
    package mutating func member(_ key: StaticString, _ values: [Int]) {
        beginArray(key)
        for value in values { integer(value) }
        endArray()
    }

    // MARK: White space

    /// Starts a line for the next member or element at this indentation level; nil: no white space.
    mutating func indent(_ levels: Int?) {
        guard let levels else { return }
        separate()
        closeLine(levels)
    }

    /// Starts a line for a closing bracket at this indentation level; nil: no white space.
    mutating func closeLine(_ levels: Int?) {
        guard let levels else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * levels))
    }

    /// Writes a space: after a key's colon, or after the comma that it adds before the next element.
    mutating func space() {
        separate()
        bytes.append(UInt8(ascii: " "))
    }

    /// Appends text unchanged: text between JSON texts (`event: item`), and constant members. No comma is added after
    /// it.
    package mutating func raw(_ text: StaticString) {
        append(text)
        isAfterValue = false
    }

    private mutating func append(_ text: StaticString) {
        append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func append(_ text: UnsafeBufferPointer<UInt8>) {
        guard let source = text.baseAddress else { return }
        append(atMost: text.count) { start in
            start.update(from: source, count: text.count)
            return start + text.count
        }
    }

    /// Appends what `write` writes from the pointer it gets up to the pointer it returns. Most of a text is written in
    /// pieces of a few bytes, for which the array's own functions take longer than the copy.
    @inline(__always)
    private mutating func append(
        atMost limit: Int,
        _ write: (UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8>
    ) {
        bytes.append(addingCapacity: limit) { span in
            span.withUnsafeMutableBufferPointer { buffer, count in
                guard let base = buffer.baseAddress else { return }
                count = base.distance(to: write(base + count))
            }
        }
    }

    /// Writes the comma before a key or string, if needed, and the opening quote. Returns the pointer after them.
    @inline(__always)
    private static func begin(
        _ place: UnsafeMutablePointer<UInt8>,
        hasComma: Bool
    ) -> UnsafeMutablePointer<UInt8> {
        place.pointee = UInt8(ascii: ",")
        let quote = hasComma ? place + 1 : place
        quote.pointee = UInt8(ascii: "\"")
        return quote + 1
    }

    /// Writes digits from last to first without creating a string, which matters for a history's timestamps.
    private mutating func append(_ value: some FixedWidthInteger) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var rest = UInt64(value.magnitude)
            var start = digits.count
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            append(UnsafeBufferPointer(rebasing: digits[start...]))
        }
    }

    /// Copies runs without escapes whole.
    private mutating func appendEscaped(_ utf8: UnsafeBufferPointer<UInt8>) {
        var runStart = 0
        for (index, byte) in utf8.enumerated() {
            guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            append(UnsafeBufferPointer(rebasing: utf8[runStart..<index]))
            runStart = index + 1
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\r"): append("\\r")
            case UInt8(ascii: "\t"): append("\\t")
            default:
                append("\\u00")
                bytes.append(UInt8(ascii: "0") + byte >> 4)
                let low = byte & 0xF
                bytes.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
            }
        }
        append(UnsafeBufferPointer(rebasing: utf8[runStart...]))
    }
}
