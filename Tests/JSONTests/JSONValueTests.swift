// JSON as a tree: strict parsing, and writing that parses to the same value.

import Testing

@testable import JSON

private func parse(_ bytes: some Collection<UInt8>) throws -> JSONValue {
    try Array(bytes).withUnsafeBytes { try JSONValue(parsing: $0) }
}

@Suite struct JSONValueTests {
    @Test(arguments: [
        ("null", JSONValue.null),
        (" true ", .boolean(true)),
        ("false", .boolean(false)),
        ("0", .integer(0)),
        ("-0", .integer(0)),
        ("9223372036854775807", .integer(Int64.max)),
        ("-9223372036854775808", .integer(Int64.min)),
        ("9223372036854775808", .real(9_223_372_036_854_775_808)),
        ("-9223372036854775809", .real(-9_223_372_036_854_775_808)),
        ("1e3", .real(1000)),
        ("-1.5E-2", .real(-0.015)),
        ("1.0", .real(1)),
        ("\"\"", .string("")),
        (#""a\"\\\/\b\f\n\r\tb""#, .string("a\"\\/\u{8}\u{c}\n\r\tb")),
        (#""\u00e9\u4e2d\ud83d\uDE00""#, .string("é中😀")),
        ("\"é中😀\"", .string("é中😀")),
        ("[]", .array([])),
        ("[1, [2], {}]", .array([.integer(1), .array([.integer(2)]), .object([])])),
        ("{\"a\":1,\r\n\t\"b\" : null}", .object([JSONMember("a", .integer(1)), JSONMember("b", .null)])),
    ])
    func text_IsRead(text: String, expected: JSONValue) throws {
        #expect(try parse(text.utf8) == expected)
    }

    @Test(arguments: [
        "", " ", "nul", "nulll", "tru", "True", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "1e999", "NaN",
        "\"", "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "\"\u{1}\"", "\"a\nb\"", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", "{\"a\"", "{\"a\":", "{\"a\":1",
        "{\"a\":1,", "{\"a\":1,}", "{,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1,\"a\":2}",
        "1 2",
        "// c", "'a'",
    ])
    func textThatIsNotJSON_IsRefused(text: String) {
        #expect(throws: JSONError.self) { try parse(text.utf8) }
    }

    @Test(
        arguments: [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xE4, 0x22],
        ] as [[UInt8]]
    )
    func bytesThatAreNotUTF8_AreRefused(bytes: [UInt8]) {
        let error = #expect(throws: JSONError.self) { try parse(bytes) }
        #expect(error?.description == "byte 1: not valid UTF-8")
    }

    @Test func depth_EndsAtTheLimit() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(64).utf8)
        let error = #expect(throws: JSONError.self) { try parse(nested(65).utf8) }
        #expect(error?.description == "byte 64: nested deeper than 64 levels")
        #expect(throws: JSONError.self) { try parse(String(repeating: "{\"a\":", count: 100_000).utf8) }
    }

    @Test func written_IsReadBackAsItWas() throws {
        let value = JSONValue.object([
            JSONMember("text", .string("quote \" slash \\ line \n bell \u{7} é 😀")),
            JSONMember("numbers", .array([.integer(-5), .real(1e-6), .real(0.1)])),
            JSONMember("nested", .array([.object([]), .array([]), .object([JSONMember("a", .boolean(true))])])),
            JSONMember("none", .null),
        ])
        #expect(try parse(value.prettyPrinted.utf8) == value)
        #expect(
            JSONValue.object([JSONMember("a", .array([.integer(1), .integer(2)]))]).prettyPrinted
                == "{\n  \"a\": [1, 2]\n}\n"
        )
    }

    @Test func quotedText_StaysOnOneLineAndShort() {
        #expect(quoted("a\"b\\c\n\u{1B}\u{202E}") == #""a\"b\\c\u{a}\u{1b}\u{202e}""#)
        #expect(quoted(String(repeating: "x", count: 500)).count == 99)
    }
}
