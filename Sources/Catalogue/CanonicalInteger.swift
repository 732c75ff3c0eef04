// The canonical text of an integer id. Data sets and callers turn ids into strings and back, so 17 and "17" are the
// same item. "017", "+17" and "17.0" are not: with several texts per id, one user would have several histories.

/// Decimal digits without a leading zero, after a minus sign if negative.
enum CanonicalInteger {
    /// Length of the longest text, that of `Int64.min`.
    private static let longest = 20

    /// The value of a text; nil if it is not a canonical 64-bit integer.
    static func value(of text: UnsafeBufferPointer<UInt8>) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = text.dropFirst(isNegative ? 1 : 0)
        guard let first = digits.first, digits.count < longest else { return nil }
        if first == UInt8(ascii: "0") { return text.count == 1 ? 0 : nil }
        // Nineteen digits fit into 64 bits.
        var magnitude: UInt64 = 0
        for digit in digits {
            guard 0x30...0x39 ~= digit else { return nil }
            magnitude = magnitude * 10 + UInt64(digit - 0x30)
        }
        return isNegative ? Int64(exactly: -Int128(magnitude)) : Int64(exactly: magnitude)
    }

    /// Passes the text of an integer to `body` without allocating.
    static func withText<Result>(of value: Int64, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: longest) { buffer in
            var start = longest
            var rest = value.magnitude
            repeat {
                start -= 1
                buffer[start] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            if value < 0 {
                start -= 1
                buffer[start] = UInt8(ascii: "-")
            }
            return body(UnsafeBufferPointer(rebasing: buffer[start...]))
        }
    }
}
