// Accepted texts, refused texts and the sentences of refusals.

import TestSupport
import Testing

@testable import JSON

@Suite struct JSONReaderTests {
    /// The sentence with which a text is refused; nil if it is accepted.
    private func refusal(_ text: [UInt8]) -> String? {
        var ignored = false
        do {
            _ = try JSONTree.read(text, hasDoubtfulMeaning: &ignored)
            return nil
        } catch {
            return error.description
        }
    }

    private func refusal(_ text: String) -> String? { refusal(Array(text.utf8)) }

    // MARK: Grammar

    @Test(
        arguments: [
            ("null", .null), ("true", .bool(true)), (" \t\r\n false \n", .bool(false)), ("[]", .array([])),
            ("[ ]", .array([])), ("{}", .object([:])), ("{ }", .object([:])),
            ("[[],[[]]]", .array([.array([]), .array([.array([])])])),
            ("[1,2]", .array([.number(1), .number(2)])), (" [ 1 , 2 ] ", .array([.number(1), .number(2)])),
            (#"{"a":1,"b":[true,null]}"#, .object(["a": .number(1), "b": .array([.bool(true), .null])])),
            (#" { "a" : { "" : "x" } } "#, .object(["a": .object(["": .string("x")])])),
        ] as [(String, JSONTree)]
    )
    func wellFormedTextIsRead(text: String, tree: JSONTree) throws {
        #expect(try JSONTree.read(text) == tree)
    }

    @Test(arguments: [
        ("", "byte 0: expected a value, but the text ends"),
        ("  ", "byte 2: expected a value, but the text ends"),
        ("\u{feff}[]", "byte 0: expected a value, found a byte order mark"),
        ("x", "byte 0: expected a value"),
        ("nul", "byte 0: expected a value"),
        ("nulL", "byte 0: expected a value"),
        ("True", "byte 0: expected a value"),
        ("NaN", "byte 0: expected a value"),
        ("'a'", "byte 0: expected a value"),
        ("// c\n1", "byte 0: expected a value"),
        ("nullx", "byte 4: expected the end"),
        ("1 2", "byte 2: expected the end"),
        ("[] ]", "byte 3: expected the end"),
        ("{}\u{0}", "byte 2: expected the end"),
        ("\u{a0}1", "byte 0: expected a value"),
        ("\u{c}1", "byte 0: expected a value"),
        ("[", "byte 1: expected a value, but the text ends"),
        ("[1", "byte 2: expected ',' or ']', but the text ends"),
        ("[1 2]", "byte 3: expected ',' or ']'"),
        ("[1,]", "byte 3: expected a value"),
        ("[,1]", "byte 1: expected a value"),
        ("[1,,2]", "byte 3: expected a value"),
        ("[1}", "byte 2: expected ',' or ']'"),
        ("{", "byte 1: expected a key in double quotes, but the text ends"),
        ("{a:1}", "byte 1: expected a key in double quotes"),
        ("{1:1}", "byte 1: expected a key in double quotes"),
        (#"{"a""#, "byte 4: expected ':', but the text ends"),
        (#"{"a" 1}"#, "byte 5: expected ':'"),
        (#"{"a":}"#, "byte 5: expected a value"),
        (#"{"a":1 "b":2}"#, "byte 7: expected ',' or '}'"),
        (#"{"a":1,}"#, "byte 7: expected a key in double quotes"),
        (#"{,"a":1}"#, "byte 1: expected a key in double quotes"),
        (#"{"a":1]"#, "byte 6: expected ',' or '}'"),
        (#"{"a":1,,"b":2}"#, "byte 7: expected a key in double quotes"),
    ])
    func brokenGrammarIsRefused_NamingTheByte(text: String, sentence: String) {
        #expect(refusal(text) == sentence)
    }

    @Test func textCutAnywhereIsRefused() {
        let text = Array(#" {"a\n": [1.5e-3, "é\ud83d\ude80", true, null, {"b": false}], "c": ""}"#.utf8)
        #expect(refusal(text) == nil)
        for count in 0..<text.count {
            #expect(refusal(Array(text[..<count])) != nil, "cut after \(count) bytes")
        }
    }

    // MARK: Depth

    @Test(arguments: ["[": "]", #"{"a":"#: "}"].sorted { $0.key < $1.key })
    func depthIsLimited(opening: String, closing: String) {
        func nested(_ depth: Int) -> String {
            String(repeating: opening, count: depth) + "1" + String(repeating: closing, count: depth)
        }
        #expect(refusal(nested(32)) == nil)
        #expect(refusal(nested(33)) == "byte \(32 * opening.utf8.count): nested deeper than 32 levels")
    }

    @Test func tenMegabytesOfOpenBracketsAreRefusedAtOnce() throws {
        let text = [UInt8](repeating: UInt8(ascii: "["), count: 10_000_000)
        text.withUnsafeBufferPointer { bytes in
            var reader = JSONReader(bytes, depthLimit: 512)
            #expect(throws: JSONError(.limit, at: 512, "")) { try reader.skipValue() }
            #expect(reader.offset == 512)
        }
    }

    @Test func depthCountsOpenLevelsOnly() {
        #expect(refusal("[" + Array(repeating: "[{}]", count: 1_000).joined(separator: ",") + "]") == nil)
    }

    // MARK: Numbers

    @Test(
        arguments: [
            ("0", 0), ("-0", 0), ("7", 7), ("-7", -7), ("1700000000", 1_700_000_000),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9223372036854775807", .max), ("-9223372036854775808", .min), ("1.7e9", 1_700_000_000),
            ("1.7E+9", 1_700_000_000),
            ("1700000000.0", 1_700_000_000), ("0.0", 0), ("-0.0e5", 0), ("10e-1", 1), ("9007199254740992.0", 1 << 53),
            ("-9007199254740992e0", -(1 << 53)),
        ] as [(String, Int64)]
    )
    func wholeNumbersAreRead_HoweverTheyAreWritten(text: String, value: Int64) throws {
        #expect(try number(text).wholeValue == value)
    }

    @Test(arguments: [
        "9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999999", "1.5", "-0.1",
        "1e-1", "9007199254740994.0", "1e19", "1e999", "-1e999", "1e-400",
    ])
    func otherNumbersAreNotWhole(text: String) throws {
        let value = try number(text)
        // Underflow is the only number here whose nearest value is a whole number.
        #expect(value.wholeValue == (text == "1e-400" ? 0 : nil))
    }

    @Test(arguments: [
        ("0.1", 0.1), ("-2.5e-3", -0.0025), ("1e308", 1e308), ("5e-324", .leastNonzeroMagnitude), ("1e999", .infinity),
        ("-1e999", -.infinity), ("123456789012345678901234567890", 0x1.8ee90ff6c373ep96),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
    ])
    func numbersAreTheNearestDouble(text: String, value: Double) throws {
        #expect(try number(text).doubleValue == value)
    }

    /// Eight digits are read at a time; wherever the number ends, and whatever replaces a digit, the value is the same
    /// as digit by digit.
    @Test func integersAreReadWhateverTheirLength() throws {
        let digits = "1234567890987654321"
        for length in 1...digits.count {
            let text = String(digits.prefix(length))
            #expect(try number(text).wholeValue == Int64(text))
            #expect(try number("-" + text + " ").wholeValue == Int64("-" + text))
            for byte in UInt8.min...UInt8.max where !(0x30...0x39).contains(byte) {
                var broken = Array(text.utf8)
                broken[length / 2] = byte
                broken.withUnsafeBufferPointer { bytes in
                    #expect(JSONText.eightDigits(bytes, at: max(0, length / 2 - 7)) == nil)
                }
            }
        }
    }

    private func number(_ text: String) throws -> (wholeValue: Int64?, doubleValue: Double) {
        var text = text
        return try text.withUTF8 { bytes in
            var reader = JSONReader(bytes)
            let number = try reader.readNumber()
            try reader.finish()
            return (number.wholeValue, number.doubleValue)
        }
    }

    @Test(arguments: [
        ("-", "byte 1: expected a digit, but the text ends"), ("-x", "byte 1: expected a digit"),
        ("+1", "byte 0: expected a value"),
        (".5", "byte 0: expected a value"), ("1.", "byte 2: expected a digit, but the text ends"),
        ("1.e5", "byte 2: expected a digit"),
        ("1e", "byte 2: expected a digit, but the text ends"), ("1e+", "byte 3: expected a digit, but the text ends"),
        ("[1e-]", "byte 4: expected a digit"), ("01", "byte 0: a leading zero"), ("-012", "byte 1: a leading zero"),
        ("00", "byte 0: a leading zero"), ("0x10", "byte 1: expected the end"), ("1_000", "byte 1: expected the end"),
        ("1.2.3", "byte 3: expected the end"), ("1e5e5", "byte 3: expected the end"),
        ("--1", "byte 1: expected a digit"),
        ("- 1", "byte 1: expected a digit"), ("Infinity", "byte 0: expected a value"),
        ("-Infinity", "byte 1: expected a digit"),
    ])
    func malformedNumbersAreRefused(text: String, sentence: String) {
        #expect(refusal(text) == sentence)
    }

    @Test func numbersAreLimitedInLength() {
        #expect(refusal(String(repeating: "1", count: 128)) == nil)
        #expect(refusal("[" + String(repeating: "1", count: 129)) == "byte 1: a number of more than 128 characters")
        #expect(
            refusal("0." + String(repeating: "0", count: 10_000_000)) == "byte 0: a number of more than 128 characters"
        )
    }

    // MARK: Strings

    @Test(arguments: [
        (#""""#, ""), (#""abc""#, "abc"), (#""é 漢 🚀""#, "é 漢 🚀"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (#""\u0041\u00e9\u6F22""#, "Aé漢"), (#""a\u0000b""#, "a\u{0}b"), (#""\ud83d\ude80x""#, "🚀x"),
        (#""\uD834\uDD1E""#, "𝄞"),
        (#""\udbff\udfff""#, "\u{10ffff}"),
        ("\"\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\"", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}"),
        (#""\\u0041""#, #"\u0041"#), (#""x\\""#, #"x\"#),
    ])
    func stringsAreRead(text: String, value: String) throws {
        #expect(try JSONTree.read(text) == .string(value))
    }

    @Test func longStringWithEscapesIsReadWhole() throws {
        let value = String(repeating: "héllo\n\"🚀\" ", count: 5_000)
        let text = "\"" + value.replacing("\"", with: "\\\"").replacing("\n", with: "\\n") + "\""
        #expect(
            try JSONTree.read("[" + text + "," + #""\t""# + "," + text + "]")
                == .array([.string(value), .string("\t"), .string(value)])
        )
    }

    @Test(arguments: [
        (#"""#, "byte 0: a string that is not closed"), (#"["ab"#, "byte 1: a string that is not closed"),
        (#""a\"#, "byte 0: a string that is not closed"), (#""a\""#, "byte 0: a string that is not closed"),
        (#""\x""#, "byte 1: an escape that JSON does not define"),
        (#""\U0041""#, "byte 1: an escape that JSON does not define"),
        (#""\u004""#, "byte 1: \\u without four hexadecimal digits"),
        (#""\u00g0""#, "byte 1: \\u without four hexadecimal digits"),
        (#""\u+041""#, "byte 1: \\u without four hexadecimal digits"), (#""\ud83d""#, "byte 1: a lone surrogate"),
        (#""\ude80""#, "byte 1: a lone surrogate"), (#""\ud83dx""#, "byte 1: a lone surrogate"),
        (#""\ud83d\n""#, "byte 1: a lone surrogate"), (#""\ud83d\u0041""#, "byte 1: a lone surrogate"),
        (#""\ud83d\ud83d""#, "byte 1: a lone surrogate"), (#""\ude80\ud83d""#, "byte 1: a lone surrogate"),
        (#""\ud83d\u""#, "byte 1: a lone surrogate"),
        ("\"a\nb\"", "byte 2: a control character in a string, which must be escaped"),
        ("\"a\u{0}\"", "byte 2: a control character in a string, which must be escaped"),
        ("\"\\n\u{1f}\"", "byte 3: a control character in a string, which must be escaped"),
        ("{\"\t\":1}", "byte 2: a control character in a string, which must be escaped"),
    ])
    func malformedStringsAreRefused(text: String, sentence: String) {
        #expect(refusal(text) == sentence)
    }

    /// Every class of invalid UTF-8, alone in a string and after an escape (which takes another path).
    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x20], [0xC2, 0xC2], [0xE0, 0x80, 0x80],
            [0xE0, 0x9F, 0xBF], [0xE1, 0x80], [0xE1, 0x80, 0x20], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
            [0xEF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x9A],
            [0xF1, 0x80, 0x80, 0x7F],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],
        ] as [[UInt8]],
        ["", "\\n"]
    )
    func invalidUTF8IsRefused(bytes: [UInt8], before: String) {
        let start = Array("\"\(before)".utf8)
        #expect(refusal(start + bytes + Array("\"".utf8)) == "byte \(start.count): not valid UTF-8")
        #expect(refusal(start + bytes) != nil)
    }

    // MARK: Pulling

    @Test func kindThatWasNotAskedFor_IsUnusableAndNotSyntax() throws {
        var text = "[7]"
        try text.withUTF8 { bytes in
            var reader = JSONReader(bytes)
            #expect(throws: JSONError(.unusable, at: 0, "")) { try reader.beginObject() }
            try reader.beginArray()
            #expect(try reader.nextElement())
            #expect(throws: JSONError(.unusable, at: 1, "")) { _ = try reader.readString() }
            #expect(throws: JSONError(.unusable, at: 1, "")) { _ = try reader.readBool() }
            #expect(try reader.readNull() == false)
            #expect(try reader.readNumber().wholeValue == 7)
            #expect(try reader.nextElement() == false)
        }
    }

    /// Reads an array of strings, plain ones first.
    private func strings(_ text: String, usesPlain: Bool) throws -> [String] {
        var text = text
        return try text.withUTF8 { bytes in
            var reader = JSONReader(bytes)
            var strings: [String] = []
            try reader.beginArray()
            while true {
                if usesPlain, let plain = reader.readPlainElement() {
                    strings.append(plain.string)
                } else if try reader.nextElement() {
                    strings.append(try reader.readString().string)
                } else {
                    try reader.finish()
                    return strings
                }
            }
        }
    }

    @Test(arguments: [
        #"[]"#, #"["a"]"#, #"["a","b","long enough for a word"]"#, #"[ "a" , "b","c"]"#, #"["a\n","b","\u00e9"]"#,
        #"["é","b"]"#, #"["","",""]"#, #"["12345678","1234567"]"#,
    ])
    func plainElements_AreWhatStringsAre(_ text: String) throws {
        #expect(try strings(text, usesPlain: true) == strings(text, usesPlain: false))
    }

    @Test(arguments: [
        #"["a"#, #"["a",]"#, #"["a""b"]"#, #"[,"a"]"#, #"["a",,"b"]"#, #"["a"#, #"["a","#, #"["a"] x"#, "[\"a\nb\"]",
        #"["a",1]"#,
    ])
    func plainElements_AreRefusedAsStringsAre(_ text: String) {
        func error(_ usesPlain: Bool) -> JSONError? {
            do {
                _ = try strings(text, usesPlain: usesPlain)
                return nil
            } catch {
                return error as? JSONError
            }
        }
        #expect(error(true) != nil && error(true) == error(false))
    }

    @Test func readerGoesOnFromAMark_AfterAnError() throws {
        var text = #"[{"a":[1,"x"]},2]"#
        try text.withUTF8 { bytes in
            var reader = JSONReader(bytes, depthLimit: 3)
            try reader.beginArray()
            #expect(try reader.nextElement())
            let mark = reader.mark
            try reader.beginObject()
            _ = try reader.nextKey()
            #expect(throws: JSONError.self) { _ = try reader.readString() }
            reader.rewind(to: mark)
            try reader.skipValue()
            #expect(try reader.nextElement())
            #expect(try reader.readNumber().wholeValue == 2)
            #expect(try !reader.nextElement())
            try reader.finish()
        }
    }

    @Test func keysAreComparedByBytes() throws {
        var text = #"{"k\u0065y":1,"kex":2}"#
        try text.withUTF8 { bytes in
            var reader = JSONReader(bytes)
            try reader.beginObject()
            let first = try #require(try reader.nextKey())
            #expect("key" ~= first)
            #expect(!("ke" ~= first) && !("keys" ~= first) && !("" ~= first))
            try reader.skipValue()
            let second = try #require(try reader.nextKey())
            #expect(!("key" ~= second))
            #expect(second.offset == 14)
        }
    }
}
