// The characters of a string: UTF-8 (RFC 3629) and escapes (RFC 8259 §7). Pure functions of the text's bytes.

enum JSONText {
    /// The end of the run of literal bytes from `offset`: ASCII without controls, quotes and backslashes.
    ///
    /// Most of a body consists of such runs, so eight bytes are tested in one register. In each term below, the top bit
    /// of a byte marks a byte to stop at. Borrows can only spoil bytes after the first marked one (Mycroft's zero-byte
    /// test, applied to the difference from the byte searched for).
    static func endOfPlainRun(_ bytes: UnsafeBufferPointer<UInt8>, from offset: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var end = offset
        if let start = UnsafeRawPointer(bytes.baseAddress) {
            while end + 8 <= bytes.count {
                let word = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: end, as: UInt64.self))
                let quotes = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
                let backslashes = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
                let controls = (word &- (ones &* 0x20)) & ~word
                let stops =
                    (word | controls | ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)) & tops
                if stops != 0 { return end + stops.trailingZeroBitCount / 8 }
                end += 8
            }
        }
        while end < bytes.count, (0x20...0x7F).contains(bytes[end]), bytes[end] != UInt8(ascii: "\""),
            bytes[end] != UInt8(ascii: "\\")
        {
            end += 1
        }
        return end
    }

    /// The value of the eight decimal digits at `offset`; nil if there are fewer.
    static func eightDigits(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) -> UInt64? {
        guard offset + 8 <= bytes.count, let start = UnsafeRawPointer(bytes.baseAddress) else { return nil }
        let word = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        // A digit's upper half is 3, and adding 6 keeps it so.
        let upper: UInt64 = 0xF0F0_F0F0_F0F0_F0F0
        let threes: UInt64 = 0x3030_3030_3030_3030
        guard word & upper == threes, (word &+ 0x0606_0606_0606_0606) & upper == threes else { return nil }
        // Combine neighbours: into two digits, then four, then eight.
        var digits = word &- threes
        digits = (digits &* 10 &+ digits >> 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits &* 100 &+ digits >> 16) & 0x0000_FFFF_0000_FFFF
        return (digits &* 10_000 &+ digits >> 32) & 0xFFFF_FFFF
    }

    /// The end of the scalar at `offset`, which is inside the text. Throws for a control character and for invalid
    /// UTF-8: a stray or missing continuation byte, an overlong form, a surrogate, a value beyond U+10FFFF.
    static func endOfScalar(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) throws(JSONError) -> Int {
        let lead = bytes[offset]
        // The range of the second byte excludes overlong forms, surrogates and values beyond Unicode (RFC 3629 §4).
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0x20...0x7F: return offset + 1
        case 0x00..<0x20:
            throw JSONError(.syntax, at: offset, "a control character in a string, which must be escaped")
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: throw invalidUTF8(offset)
        }
        guard offset + length <= bytes.count, second.contains(bytes[offset + 1]) else { throw invalidUTF8(offset) }
        for next in (offset + 2)..<max(offset + 2, offset + length) where bytes[next] & 0xC0 != 0x80 {
            throw invalidUTF8(offset)
        }
        return offset + length
    }

    private static func invalidUTF8(_ offset: Int) -> JSONError {
        JSONError(.syntax, at: offset, "not valid UTF-8")
    }

    /// The scalar of the escape at `offset` (a backslash), and the escape's end. A surrogate pair is one escape; a lone
    /// surrogate is refused.
    static func unescape(
        _ bytes: UnsafeBufferPointer<UInt8>,
        at offset: Int
    ) throws(JSONError) -> (scalar: Unicode.Scalar, end: Int) {
        let letter = offset + 1 < bytes.count ? bytes[offset + 1] : 0
        let end = offset + 2
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return (Unicode.Scalar(letter), end)
        case UInt8(ascii: "b"): return ("\u{8}", end)
        case UInt8(ascii: "f"): return ("\u{c}", end)
        case UInt8(ascii: "n"): return ("\n", end)
        case UInt8(ascii: "r"): return ("\r", end)
        case UInt8(ascii: "t"): return ("\t", end)
        case UInt8(ascii: "u"): break
        default: throw JSONError(.syntax, at: offset, "an escape that JSON does not define")
        }

        guard let unit = hexadecimal(bytes, at: end) else {
            throw JSONError(.syntax, at: offset, "\\u without four hexadecimal digits")
        }
        if let scalar = Unicode.Scalar(unit) { return (scalar, end + 4) }
        // A surrogate: it must be the first half of a pair, immediately followed by the second.
        guard unit < 0xDC00, end + 5 < bytes.count, bytes[end + 4] == UInt8(ascii: "\\"),
            bytes[end + 5] == UInt8(ascii: "u"),
            let low = hexadecimal(bytes, at: end + 6), (0xDC00...0xDFFF).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
        else { throw JSONError(.syntax, at: offset, "a lone surrogate") }
        return (scalar, end + 10)
    }

    /// The value of four hexadecimal digits; nil if there are fewer.
    private static func hexadecimal(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) -> UInt32? {
        guard offset + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for next in offset..<(offset + 4) {
            switch bytes[next] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(bytes[next] - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = value << 4 | UInt32(bytes[next] - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"):
                value = value << 4 | UInt32(bytes[next] - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }
}
