// A pull parser for RFC 8259, the project's only JSON reader: for requests, bundles, catalogue lines and reports. The
// caller asks for what it expects, one token at a time, and nothing else is built; `JSONValue` builds a tree if needed.
// Strict: only valid UTF-8, no byte order mark, no lone surrogate, no raw control character, no leading zero, no
// trailing comma or bytes. Callers check for duplicate keys themselves, since they know the possible keys.

/// Reads one JSON text from bytes.
///
/// Typical use; every call throws `JSONError` at the first wrong byte:
///
///     try reader.beginObject()
///     while let key = try reader.nextKey() { … read or skip the value … }
///     try reader.finish()
///
/// Nothing is allocated except reusable scratch memory for strings with escapes. After an error the reader may be used
/// again only from a mark taken before it.
package struct JSONReader: ~Copyable {
    /// The most characters of a number: far more than any double needs, and few enough that conversion is cheap.
    package static let numberLengthLimit = 128

    // A pointer, because a struct that stores a span needs the experimental `Lifetimes` feature in 6.3. Every access
    // below follows a comparison with `bytes.count`, which the fuzz test checks under the address sanitizer.
    private let bytes: UnsafeBufferPointer<UInt8>
    private let depthLimit: Int
    private var position = Position()
    private var scratch = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)

    /// A position in the reader's text.
    package struct Position {
        /// The next byte to read.
        fileprivate(set) package var offset = 0
        /// Number of open arrays and objects.
        fileprivate var depth = 0
        /// Whether an array or object was just opened, so that no comma may precede its first member.
        fileprivate var isAtFirstMember = false
    }

    /// A reader at the start of `bytes`, which must not change while it is used. A depth limit above 512 is a
    /// programmer error, because skipping a value recurses.
    package init(_ bytes: UnsafeBufferPointer<UInt8>, depthLimit: Int = 32) {
        precondition(depthLimit <= 512, "the depth limit protects the stack")
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    deinit { scratch.deallocate() }

    /// The offset of the next byte to read.
    package var offset: Int { position.offset }
    /// The number of bytes from there on.
    package var remainingCount: Int { bytes.count - position.offset }

    /// The current position, to return to.
    package var mark: Position { position }

    /// Returns to a mark of this reader.
    package mutating func rewind(to mark: Position) { position = mark }

    // MARK: Structure

    /// The kind of the next value.
    package mutating func peek() throws(JSONError) -> JSONKind {
        guard let byte = nextByte() else { throw expected("a value") }
        switch byte {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        default: throw expected("a value")
        }
    }

    /// Opens an object.
    package mutating func beginObject() throws(JSONError) {
        guard nextByte() == UInt8(ascii: "{") else { throw mismatch("an object") }
        try open()
    }

    /// The next key of the open object, consuming the colon after it; nil at the end of the object.
    package mutating func nextKey() throws(JSONError) -> JSONString? {
        guard try hasNextMember(closing: UInt8(ascii: "}"), expectation: "',' or '}'") else { return nil }
        guard nextByte() == UInt8(ascii: "\"") else { throw expected("a key in double quotes") }
        let key = try readString()
        guard nextByte() == UInt8(ascii: ":") else { throw expected("':'") }
        position.offset += 1
        return key
    }

    /// Opens an array.
    package mutating func beginArray() throws(JSONError) {
        guard nextByte() == UInt8(ascii: "[") else { throw mismatch("an array") }
        try open()
    }

    /// Whether the open array has another element, which is then next; false at the end of the array.
    package mutating func nextElement() throws(JSONError) -> Bool {
        try hasNextMember(closing: UInt8(ascii: "]"), expectation: "',' or ']'")
    }

    /// Reads the next element of the open array if it is an ASCII string without escapes and without preceding white
    /// space, as most elements of bodies are. Otherwise nil, and nothing is read.
    package mutating func readPlainElement() -> JSONString? {
        var start = position.offset
        if !position.isAtFirstMember {
            guard start < bytes.count, bytes[start] == UInt8(ascii: ",") else { return nil }
            start += 1
        }
        guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else { return nil }
        start += 1
        let end = JSONText.endOfPlainRun(bytes, from: start)
        guard end < bytes.count, bytes[end] == UInt8(ascii: "\"") else { return nil }
        position.offset = end + 1
        position.isAtFirstMember = false
        return JSONString(utf8: slice(start, end), offset: start - 1, isPartOfText: true)
    }

    /// Checks that only white space is left.
    package mutating func finish() throws(JSONError) {
        guard nextByte() == nil else { throw expected("the end") }
    }

    /// Skips the next value, checking it as strictly as if it were read.
    package mutating func skipValue() throws(JSONError) {
        switch try peek() {
        case .object:
            try beginObject()
            while try nextKey() != nil { try skipValue() }
        case .array:
            try beginArray()
            while try nextElement() { try skipValue() }
        case .string: _ = try readString()
        case .number: _ = try readNumber()
        case .bool: _ = try readBool()
        case .null: _ = try readNull()
        }
    }

    private mutating func open() throws(JSONError) {
        guard position.depth < depthLimit else {
            throw JSONError(.limit, at: position.offset, "nested deeper than \(depthLimit) levels")
        }
        position.depth += 1
        position.offset += 1
        position.isAtFirstMember = true
    }

    /// Consumes the comma before a member, or the bracket after the last one.
    private mutating func hasNextMember(closing: UInt8, expectation: StaticString) throws(JSONError) -> Bool {
        let byte = nextByte()
        let isFirst = position.isAtFirstMember
        position.isAtFirstMember = false
        if byte == closing {
            position.depth -= 1
            position.offset += 1
            return false
        }
        if isFirst { return true }
        guard byte == UInt8(ascii: ",") else { throw expected(expectation) }
        position.offset += 1
        return true
    }

    // MARK: Scalars

    /// Reads a null if one is next; otherwise reads nothing.
    package mutating func readNull() throws(JSONError) -> Bool {
        guard nextByte() == UInt8(ascii: "n") else { return false }
        try readWord("null")
        return true
    }

    /// Reads `true` or `false`.
    package mutating func readBool() throws(JSONError) -> Bool {
        switch nextByte() {
        case UInt8(ascii: "t"):
            try readWord("true")
            return true
        case UInt8(ascii: "f"):
            try readWord("false")
            return false
        default: throw mismatch("true or false")
        }
    }

    private mutating func readWord(_ word: StaticString) throws(JSONError) {
        let start = position.offset
        for index in 0..<word.utf8CodeUnitCount {
            guard start + index < bytes.count, bytes[start + index] == word.utf8Start[index] else {
                throw expected("a value")
            }
        }
        position.offset = start + word.utf8CodeUnitCount
    }

    /// Reads a number.
    package mutating func readNumber() throws(JSONError) -> JSONNumber {
        guard let first = nextByte(), first == UInt8(ascii: "-") || digit(at: offset) != nil else {
            throw mismatch("a number")
        }
        let start = position.offset
        var end = start
        let isNegative = first == UInt8(ascii: "-")
        if isNegative { end += 1 }

        let digits = end
        var magnitude: UInt64 = 0
        // Eight at a time first, because a history's timestamps have ten digits each.
        while let eight = JSONText.eightDigits(bytes, at: end) {
            magnitude = magnitude &* 100_000_000 &+ eight
            end += 8
        }
        while let digit = digit(at: end) {
            magnitude = magnitude &* 10 &+ digit
            end += 1
        }
        // Nineteen digits fit into 64 bits; twenty without a leading zero exceed any `Int64`.
        let fits = end - digits <= 19
        guard end > digits else { throw expected(at: end, "a digit") }
        if end - digits > 1, bytes[digits] == UInt8(ascii: "0") {
            throw JSONError(.syntax, at: digits, "a leading zero")
        }

        var isWrittenAsInteger = true
        if end < bytes.count, bytes[end] == UInt8(ascii: ".") {
            isWrittenAsInteger = false
            end = try endOfDigits(from: end + 1)
        }
        if end < bytes.count, bytes[end] | 0x20 == UInt8(ascii: "e") {
            isWrittenAsInteger = false
            end += 1
            if end < bytes.count, bytes[end] == UInt8(ascii: "+") || bytes[end] == UInt8(ascii: "-") { end += 1 }
            end = try endOfDigits(from: end)
        }
        guard end - start <= Self.numberLengthLimit else {
            throw JSONError(.limit, at: start, "a number of more than \(Self.numberLengthLimit) characters")
        }
        position.offset = end
        var integer: Int64?
        if isWrittenAsInteger, fits {
            integer = isNegative ? Int64(exactly: -Int128(magnitude)) : Int64(exactly: magnitude)
        }
        return JSONNumber(literal: slice(start, end), integer: integer)
    }

    private func digit(at offset: Int) -> UInt64? {
        guard offset < bytes.count else { return nil }
        let value = bytes[offset] &- UInt8(ascii: "0")
        return value < 10 ? UInt64(value) : nil
    }

    private func endOfDigits(from start: Int) throws(JSONError) -> Int {
        var end = start
        while digit(at: end) != nil { end += 1 }
        guard end > start else { throw expected(at: end, "a digit") }
        return end
    }

    /// Reads a string.
    package mutating func readString() throws(JSONError) -> JSONString {
        guard nextByte() == UInt8(ascii: "\"") else { throw mismatch("a string") }
        let quote = position.offset
        var end = quote + 1
        while true {
            end = JSONText.endOfPlainRun(bytes, from: end)
            guard end < bytes.count else { throw JSONError(.syntax, at: quote, "a string that is not closed") }
            switch bytes[end] {
            case UInt8(ascii: "\""):
                position.offset = end + 1
                return JSONString(utf8: slice(quote + 1, end), offset: quote, isPartOfText: true)
            case UInt8(ascii: "\\"): return try readEscapedString(quote: quote)
            default: end = try JSONText.endOfScalar(bytes, at: end)
            }
        }
    }

    /// Reads a string with escapes, resolved into the scratch memory. No escape is longer resolved than written, so the
    /// length up to the closing quote suffices.
    private mutating func readEscapedString(quote: Int) throws(JSONError) -> JSONString {
        var end = quote + 1
        while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
            end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard end < bytes.count else { throw JSONError(.syntax, at: quote, "a string that is not closed") }
        reserveScratch(end - quote)

        var count = 0
        var next = quote + 1
        while next < end {
            if bytes[next] == UInt8(ascii: "\\") {
                let (scalar, after) = try JSONText.unescape(bytes, at: next)
                for byte in scalar.utf8 {
                    scratch[count] = byte
                    count += 1
                }
                next = after
            } else {
                let after = try JSONText.endOfScalar(bytes, at: next)
                for offset in next..<after {
                    scratch[count] = bytes[offset]
                    count += 1
                }
                next = after
            }
        }
        position.offset = end + 1
        return JSONString(utf8: UnsafeBufferPointer(rebasing: scratch[..<count]), offset: quote, isPartOfText: false)
    }

    private mutating func reserveScratch(_ count: Int) {
        guard scratch.count < count else { return }
        scratch.deallocate()
        scratch = .allocate(capacity: max(count, 256))
        scratch.initialize(repeating: 0)
    }

    // MARK: Bytes

    /// The first byte that is not white space, without consuming it; nil at the end.
    private mutating func nextByte() -> UInt8? {
        while position.offset < bytes.count {
            let byte = bytes[position.offset]
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): position.offset += 1
            default: return byte
            }
        }
        return nil
    }

    private func slice(_ start: Int, _ end: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: bytes[start..<end])
    }

    /// A syntax error at the current position.
    private func expected(_ what: StaticString) -> JSONError { expected(at: position.offset, what) }

    private func expected(at offset: Int, _ what: StaticString) -> JSONError {
        if offset >= bytes.count { return JSONError(.syntax, at: offset, "expected \(what), but the text ends") }
        if offset == 0, bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            return JSONError(.syntax, at: 0, "expected \(what), found a byte order mark")
        }
        return JSONError(.syntax, at: offset, "expected \(what)")
    }

    /// The error for a next value of another kind than requested: unusable if it is a value, otherwise a syntax error.
    private mutating func mismatch(_ what: StaticString) -> JSONError {
        do throws(JSONError) {
            _ = try peek()
            return JSONError(.unusable, at: position.offset, "expected \(what) at byte \(position.offset)")
        } catch {
            return error
        }
    }
}
