// The byte classes of RFC 9110 §5.6 and the parser's few searches over them. Everything works on bytes, never on
// characters or strings.

import Glibc

/// Bytes by name.
package enum Byte {
    static let tab: UInt8 = 0x09
    package static let lineFeed: UInt8 = 0x0A
    package static let carriageReturn: UInt8 = 0x0D
    package static let space: UInt8 = 0x20
    static let percent: UInt8 = 0x25
    static let comma: UInt8 = 0x2C
    static let point: UInt8 = 0x2E
    static let slash: UInt8 = 0x2F
    static let zero: UInt8 = 0x30
    package static let colon: UInt8 = 0x3A
    static let semicolon: UInt8 = 0x3B
    static let question: UInt8 = 0x3F
    static let numberSign: UInt8 = 0x23
    static let asterisk: UInt8 = 0x2A
    static let leftBracket: UInt8 = 0x5B
    static let rightBracket: UInt8 = 0x5D
    static let delete: UInt8 = 0x7F
}

extension UInt8 {
    /// tchar of RFC 9110 §5.6.2, as a bit map over the 128 ASCII bytes.
    package var isToken: Bool {
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        if self < 64 { return (low >> UInt64(self)) & 1 == 1 }
        return self < 128 && (high >> UInt64(self & 63)) & 1 == 1
    }

    /// A control other than HTAB, which no line may contain. The line scanner handles CR and LF.
    package var isControl: Bool { (self < Byte.space && self != Byte.tab) || self == Byte.delete }

    package var isSpaceOrTab: Bool { self == Byte.space || self == Byte.tab }

    package var isDigit: Bool { self &- Byte.zero < 10 }

    /// The value of a hexadecimal digit; nil for any other byte.
    var hexadecimalValue: UInt8? {
        if isDigit { return self &- Byte.zero }
        let letter = (self | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }

    /// ASCII upper case folded to lower; every other byte unchanged.
    var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether there may be control bytes; also true for a tab.
    var mayHaveControls: Bool {
        guard count >= 8, let start = UnsafeRawPointer(baseAddress) else { return contains { $0.isControl } }
        var marks: UInt64 = 0
        var offset = 0
        while offset + 8 <= count {
            marks |= Self.controls(in: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        // The last eight bytes, some of which may have been checked already.
        marks |= Self.controls(in: start.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self))
        return marks != 0
    }

    /// Sets the top bit of every byte below 0x20 and of DEL. A borrow can only falsify bytes above one that is marked
    /// correctly (Mycroft's test, as in JSON's reader).
    private static func controls(in word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let deletes = word ^ (ones &* UInt64(Byte.delete))
        return (((word &- (ones &* UInt64(Byte.space))) & ~word) | ((deletes &- ones) & ~deletes)) & (ones << 7)
    }
}

extension Span<UInt8> {
    /// The first place of `byte` in `range`; nil if it does not occur.
    package func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside the span")
        guard !range.isEmpty else { return nil }
        return withUnsafeBufferPointer { buffer in
            // A span that holds a non-empty range has a base address.
            guard let base = buffer.baseAddress,
                let found = memchr(base + range.lowerBound, Int32(byte), range.count)
            else { return nil }
            return UnsafeRawPointer(base).distance(to: UnsafeRawPointer(found))
        }
    }

    /// The first control byte in `range`; nil if there is none.
    func firstControl(in range: Range<Int>) -> Int? {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside the span")
        let isClean = withUnsafeBufferPointer { buffer in
            !UnsafeBufferPointer(rebasing: buffer[range]).mayHaveControls
        }
        // Lines are almost always clean.
        if isClean { return nil }
        for index in range where self[index].isControl { return index }
        return nil
    }

    /// Byte by byte equality with a literal.
    package func equals(_ literal: StaticString) -> Bool {
        guard count == literal.utf8CodeUnitCount else { return false }
        let other = literal.utf8Start
        for index in 0..<count where self[index] != other[index] { return false }
        return true
    }

    /// Equality with a lower-case literal, ASCII letters compared without case.
    package func equalsIgnoringCase(_ lowercase: StaticString) -> Bool {
        guard count == lowercase.utf8CodeUnitCount else { return false }
        let other = lowercase.utf8Start
        for index in 0..<count where self[index].lowercased != other[index] { return false }
        return true
    }

    /// Calls `body` with each element of a comma-separated list (RFC 9110 §5.6.1), trimmed. Empty elements are passed
    /// too.
    package func forEachListElement(_ body: (Span<UInt8>) -> Void) {
        var start = 0
        while start <= count {
            let end = firstIndex(of: Byte.comma, in: start..<count) ?? count
            body(extracting(trimming(start..<end)))
            start = end + 1
        }
    }

    /// `range` without leading and trailing spaces and tabs.
    func trimming(_ range: Range<Int>) -> Range<Int> {
        var (lower, upper) = (range.lowerBound, range.upperBound)
        while lower < upper, self[lower].isSpaceOrTab { lower += 1 }
        while upper > lower, self[upper - 1].isSpaceOrTab { upper -= 1 }
        return lower..<upper
    }
}
