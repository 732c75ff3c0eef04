// The reader's output: strings and numbers as views of the bytes they were read from.

import Glibc

/// The kind of the next value.
package enum JSONKind: Sendable {
    case object, array, string, number, bool, null
}

/// A string's bytes with escapes resolved; valid UTF-8. They are part of the text or in the reader's scratch memory; in
/// the latter case use or copy them before reading on.
package struct JSONString {
    /// The bytes; may be empty, may contain NUL.
    package let utf8: UnsafeBufferPointer<UInt8>
    /// The position of the string's opening quote in the text.
    package let offset: Int
    /// Whether the bytes are part of the text and live as long as it does.
    package let isPartOfText: Bool

    package init(utf8: UnsafeBufferPointer<UInt8>, offset: Int, isPartOfText: Bool) {
        self.utf8 = utf8
        self.offset = offset
        self.isPartOfText = isPartOfText
    }

    /// A copy of the string.
    package var string: String { String(decoding: utf8, as: UTF8.self) }

    /// Lets `switch` compare with literals byte by byte, without creating a string.
    package static func ~= (pattern: StaticString, value: JSONString) -> Bool {
        guard pattern.utf8CodeUnitCount == value.utf8.count, let bytes = value.utf8.baseAddress else {
            return pattern.utf8CodeUnitCount == 0 && value.utf8.isEmpty
        }
        return memcmp(pattern.utf8Start, bytes, value.utf8.count) == 0
    }
}

/// A number as written; valid as long as the text.
package struct JSONNumber {
    /// Every integer up to this magnitude is exact as a `Double`: 2⁵³.
    package static let exactIntegerLimit: Int64 = 1 << 53

    /// The characters.
    let literal: UnsafeBufferPointer<UInt8>
    /// A copy of the characters.
    package var text: String { String(decoding: literal, as: UTF8.self) }
    /// The value of a literal without fraction and exponent, if it fits.
    package let integer: Int64?

    /// The value if it is an integer in the sense of JSON Schema: any `Int64` written as an integer, and also a literal
    /// with a fraction or exponent (`1.7e9`, `5.0`) whose nearest `Double` is whole and within ±2⁵³.
    package var wholeValue: Int64? {
        if let integer { return integer }
        let value = doubleValue
        guard value.magnitude <= Double(Self.exactIntegerLimit), value.rounded(.towardZero) == value else { return nil }
        return Int64(value)
    }

    /// The nearest `Double`; infinite if the number is out of range.
    package var doubleValue: Double {
        if let integer { return Double(integer) }
        // The grammar was checked and is a subset of what `Double` parses; NaN would show that this no longer holds.
        return Double(String(decoding: literal, as: UTF8.self)) ?? .nan
    }
}
