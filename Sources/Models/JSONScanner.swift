// A strict JSON reader (RFC 8259) that builds nothing: the caller walks objects and arrays and takes what it wants. A
// catalogue of a million lines and a safetensors header of a hundred megabytes are read with it without a tree.
// `JSONValue` builds the tree where one is wanted.
//
// Refused: anything after the value, comments, trailing commas, leading zeros, lone surrogates, bytes that are not
// UTF-8, control characters in strings, numbers beyond a double, more than `maximumDepth` levels.

/// Why a text is not JSON, or not the JSON that was expected.
package struct JSONError: Error, Equatable {
    /// A clause without the file's name: "expected a ':' at byte 12", "model.width is missing".
    package let reason: String

    package init(_ reason: String) {
        self.reason = reason
    }
}

/// A number as it was written.
package enum JSONNumber: Equatable, Sendable {
    /// Digits alone, within 64 bits.
    case integer(Int64)
    /// Anything else; always finite.
    case real(Double)
}

/// What a value is, told by its first byte.
package enum JSONKind: Sendable {
    case object
    case array
    case string
    case number
    case boolean
    case null
}

/// A position in a JSON text. Whoever makes it keeps the bytes alive while it is used.
package struct JSONScanner {
    package static let maximumDepth = 64

    private let bytes: UnsafeBufferPointer<UInt8>
    private(set) package var position = 0

    package init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    // The only two reads of the text; both are checked against its end.
    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func failure(_ reason: String) -> JSONError { JSONError("\(reason) at byte \(position)") }

    private mutating func skipWhitespace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipWhitespace()
        guard current == byte else { return false }
        position += 1
        return true
    }

    // MARK: - Structure

    /// What the next value is. Nothing is consumed but white space.
    package mutating func kind() throws(JSONError) -> JSONKind {
        skipWhitespace()
        switch current {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return .number
        case nil: throw failure("expected a value, found the end")
        default: throw failure("expected a value")
        }
    }

    /// Enters an object; `nextKey` follows until it answers false.
    package mutating func beginObject() throws(JSONError) {
        guard take(UInt8(ascii: "{")) else { throw failure("expected an object") }
    }

    /// Reads the next key and its colon, or leaves the object.
    ///
    /// - Parameters:
    ///   - key: takes the key's UTF-8.
    ///   - isFirst: true before the first call for an object; kept by this function from then on.
    /// - Returns: false at the object's end.
    package mutating func nextKey(into key: inout [UInt8], isFirst: inout Bool) throws(JSONError) -> Bool {
        if take(UInt8(ascii: "}")) {
            return false
        }
        if !isFirst {
            guard take(UInt8(ascii: ",")) else { throw failure("expected a ',' or a '}'") }
        }
        isFirst = false
        skipWhitespace()
        guard current == UInt8(ascii: "\"") else { throw failure("expected a key in quotes") }
        try string(into: &key)
        guard take(UInt8(ascii: ":")) else { throw failure("expected a ':'") }
        return true
    }

    /// Enters an array; `nextElement` follows until it answers false.
    package mutating func beginArray() throws(JSONError) {
        guard take(UInt8(ascii: "[")) else { throw failure("expected an array") }
    }

    /// Goes on to the next element, or leaves the array.
    ///
    /// - Parameter isFirst: true before the first call for an array; kept by this function from then on.
    /// - Returns: false at the array's end.
    package mutating func nextElement(isFirst: inout Bool) throws(JSONError) -> Bool {
        if take(UInt8(ascii: "]")) {
            return false
        }
        if !isFirst {
            guard take(UInt8(ascii: ",")) else { throw failure("expected a ',' or a ']'") }
            skipWhitespace()
            if current == UInt8(ascii: "]") { throw failure("expected a value") }
        }
        isFirst = false
        return true
    }

    /// Makes sure that only white space is left.
    package mutating func end() throws(JSONError) {
        skipWhitespace()
        guard position == bytes.count else { throw failure("expected the end") }
    }

    /// Steps over a value of any kind, checking it like any other.
    package mutating func skipValue(depth: Int = 0) throws(JSONError) {
        switch try kind() {
        case .object:
            try checkDepth(depth)
            try beginObject()
            var key: [UInt8] = []
            var isFirst = true
            while try nextKey(into: &key, isFirst: &isFirst) { try skipValue(depth: depth + 1) }
        case .array:
            try checkDepth(depth)
            try beginArray()
            var isFirst = true
            while try nextElement(isFirst: &isFirst) { try skipValue(depth: depth + 1) }
        case .string:
            var ignored: [UInt8] = []
            try string(into: &ignored)
        case .number: _ = try number()
        case .boolean: _ = try boolean()
        case .null: try null()
        }
    }

    func checkDepth(_ depth: Int) throws(JSONError) {
        if depth >= Self.maximumDepth { throw failure("nested deeper than \(Self.maximumDepth) levels") }
    }

    // MARK: - Scalars

    package mutating func null() throws(JSONError) { try word("null") }

    package mutating func boolean() throws(JSONError) -> Bool {
        skipWhitespace()
        if current == UInt8(ascii: "t") {
            try word("true")
            return true
        }
        try word("false")
        return false
    }

    private mutating func word(_ text: StaticString) throws(JSONError) {
        skipWhitespace()
        let count = text.utf8CodeUnitCount
        guard bytes.count - position >= count else { throw failure("expected \(text)") }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] {
            throw failure("expected \(text)")
        }
        position += count
    }

    package mutating func number() throws(JSONError) -> JSONNumber {
        skipWhitespace()
        let start = position
        let isNegative = current == UInt8(ascii: "-")
        if isNegative { position += 1 }
        let firstDigit = position
        // Accumulated below zero, because the range reaches further there.
        var negated: Int64 = 0
        var isInteger = true
        while let digit = digit() {
            let (product, overflow1) = negated.multipliedReportingOverflow(by: 10)
            let (difference, overflow2) = product.subtractingReportingOverflow(Int64(digit))
            if overflow1 || overflow2 { isInteger = false }
            negated = difference
            position += 1
        }
        guard position > firstDigit else { throw failure("expected a digit") }
        if bytes[firstDigit] == UInt8(ascii: "0"), position > firstDigit + 1 {
            position = firstDigit
            throw failure("a number may not start with 0")
        }
        if current == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        if isInteger {
            if isNegative { return .integer(negated) }
            if negated != Int64.min { return .integer(-negated) }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            position = start
            throw failure("a number is too large")
        }
        return .real(value)
    }

    private func digit() -> UInt8? {
        guard let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
        return byte - UInt8(ascii: "0")
    }

    private mutating func digits() throws(JSONError) {
        guard digit() != nil else { throw failure("expected a digit") }
        while digit() != nil { position += 1 }
    }

    /// Reads a string.
    ///
    /// - Parameter text: takes the string's UTF-8, escapes resolved; what it held is gone.
    package mutating func string(into text: inout [UInt8]) throws(JSONError) {
        text.removeAll(keepingCapacity: true)
        guard take(UInt8(ascii: "\"")) else { throw failure("expected a string") }
        let start = position
        var isASCII = true
        var chunk = position
        while true {
            guard let byte = current else { throw failure("a string does not end") }
            switch byte {
            case UInt8(ascii: "\""):
                text.append(contentsOf: bytes[chunk..<position])
                position += 1
                if !isASCII, !isValidUTF8(text) {
                    position = start
                    throw failure("a string is not UTF-8")
                }
                return
            case UInt8(ascii: "\\"):
                text.append(contentsOf: bytes[chunk..<position])
                try escape(into: &text)
                chunk = position
            case 0..<0x20:
                throw failure("a control character in a string")
            default:
                if byte >= 0x80 { isASCII = false }
                position += 1
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        position += 1
        guard let byte = current else { throw failure("a string does not end") }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            position += 1
            var value = try hexadecimal()
            if 0xD800...0xDBFF ~= value {
                guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { throw failure("half of a surrogate pair") }
                position += 2
                let low = try hexadecimal()
                guard 0xDC00...0xDFFF ~= low else { throw failure("half of a surrogate pair") }
                value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(value) else { throw failure("half of a surrogate pair") }
            text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            return
        default: throw failure("an unknown escape")
        }
        position += 1
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            switch current {
            case .some(let byte) where 0x30...0x39 ~= byte: value = value << 4 | UInt32(byte - 0x30)
            case .some(let byte) where 0x41...0x46 ~= byte: value = value << 4 | UInt32(byte - 0x41 + 10)
            case .some(let byte) where 0x61...0x66 ~= byte: value = value << 4 | UInt32(byte - 0x61 + 10)
            default: throw failure("expected four hexadecimal digits")
            }
            position += 1
        }
        return value
    }
}

/// Whether the bytes are well-formed UTF-8.
package func isValidUTF8(_ bytes: [UInt8]) -> Bool {
    (try? UTF8Span(validating: bytes.span)) != nil
}
