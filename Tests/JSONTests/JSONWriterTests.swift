// The writer's output to the byte, and its parsing by other readers.

import Foundation
import Random
import TestSupport
import Testing

@testable import JSON

@Suite struct JSONWriterTests {
    private func written(_ body: (inout JSONWriter) throws -> Void) rethrows -> String {
        var writer = JSONWriter()
        try body(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test func commasStandBetweenMembersOnly() {
        let text = written { writer in
            writer.beginObject()
            writer.key("a")
            writer.beginArray()
            writer.integer(1)
            writer.bool(false)
            writer.beginObject()
            writer.endObject()
            writer.string("x")
            writer.endArray()
            writer.key("b")
            writer.value { $0 += Array("\"raw\"".utf8) }
            writer.key("c")
            writer.beginArray()
            writer.endArray()
            writer.endObject()
            writer.endLine()
            writer.beginArray()
            writer.endArray()
        }
        #expect(text == #"{"a":[1,false,{},"x"],"b":"raw","c":[]}"# + "\n[]")
    }

    @Test(arguments: [
        ("", #""""#), ("abc", #""abc""#), ("é 漢 🚀", #""é 漢 🚀""#), ("\"\\/", #""\"\\/""#), ("\n\r\t", #""\n\r\t""#),
        ("\u{0}\u{8}\u{c}\u{1f}\u{7f}", "\"\\u0000\\u0008\\u000c\\u001f\u{7f}\""), ("a\nb", #""a\nb""#),
    ])
    func stringsAreEscapedAsFarAsNeeded(value: String, text: String) {
        #expect(written { $0.string(value) } == text)
    }

    @Test(arguments: [(0, "0"), (-1, "-1"), (Int.max, "9223372036854775807"), (Int.min, "-9223372036854775808")])
    func integersAreWritten(value: Int, text: String) {
        #expect(written { $0.integer(value) } == text)
    }

    @Test(arguments: [
        (0, "0.0"), (1, "0.001"), (10, "0.01"), (100, "0.1"), (1_900, "1.9"), (2_000, "2.0"), (12_345, "12.345"),
        (1_050, "1.05"), (-1_500, "-1.5"), (-1, "-0.001"), (Int.max, "9223372036854775.807"),
        (Int.min, "-9223372036854775.808"),
    ])
    func thousandthsAreExact(value: Int, text: String) {
        #expect(written { $0.thousandths(value) } == text)
    }

    @Test(
        arguments: [
            (0, "0.0"), (-0.0, "-0.0"), (5, "5.0"), (0.8312, "0.8312"), (1e-5, "1e-05"), (1e16, "1e+16"),
            (3.4028235e38, "3.4028235e+38"),
            (.leastNonzeroMagnitude, "1e-45"),
        ] as [(Float, String)]
    )
    func floatsAreWrittenShortest(value: Float, text: String) throws {
        #expect(try written { try $0.number(value) } == text)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func whatJSONCannotSayIsRefused(value: Double) {
        #expect(throws: JSONError(.notFinite, at: 0, "")) { try written { try $0.number(value) } }
        #expect(throws: JSONError(.notFinite, at: 0, "")) { try written { try $0.number(Float(value)) } }
    }

    @Test func everyFloatReadsBackTheSame_ByUsAndByFoundation() throws {
        var random = SplitMix64(seed: 3)
        var values: [Float] = []
        while values.count < 2_000 {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            if value.isFinite { values.append(value) }
        }
        let text = try written { writer in
            writer.beginArray()
            for value in values { try writer.number(value) }
            writer.endArray()
        }
        guard case .array(let ours) = try JSONTree.read(text) else {
            Issue.record("no array")
            return
        }
        let numbers: [Float] = ours.compactMap { if case .number(let value) = $0 { Float(value) } else { nil } }
        #expect(numbers == values)
        #expect(try JSONDecoder().decode([Float].self, from: Data(text.utf8)) == values)
    }

    @Test func everyStringReadsBackTheSame_ByUsAndByFoundation() throws {
        var random = SplitMix64(seed: 4)
        var values: [String] = []
        for _ in 0..<300 {
            var scalars = String.UnicodeScalarView()
            for _ in 0..<(random.next() % 20) {
                // Mostly where escaping happens, sometimes anywhere.
                let range: UInt64 = random.next() % 4 == 0 ? 0x110000 : 0x80
                if let scalar = Unicode.Scalar(UInt32(random.next() % range)) { scalars.append(scalar) }
            }
            values.append(String(scalars))
        }
        let text = written { writer in
            writer.beginArray()
            for value in values { writer.string(value) }
            writer.endArray()
        }
        // By scalars, since String compares by canonical equivalence.
        let scalars = values.map { Array($0.unicodeScalars) }
        guard case .array(let ours) = try JSONTree.read(text) else {
            Issue.record("no array")
            return
        }
        let strings: [String] = ours.compactMap { if case .string(let value) = $0 { value } else { nil } }
        #expect(strings.map { Array($0.unicodeScalars) } == scalars)
        let theirs = try JSONDecoder().decode([String].self, from: Data(text.utf8))
        #expect(theirs.map { Array($0.unicodeScalars) } == scalars)
    }
}
