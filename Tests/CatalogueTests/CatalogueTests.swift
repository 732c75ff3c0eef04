// The catalogue: reading its lines, finding rows, and contradictory input.

import Files
import TestSupport
import Testing

@testable import Catalogue

private func catalogue(_ text: String, rows: Int = 10) throws -> Catalogue {
    try Array(text.utf8).withUnsafeBytes { try Catalogue(reading: $0, path: "c.jsonl", rowCount: rows) }
}

private func idJSON(_ catalogue: Catalogue, _ row: Int32) -> String {
    catalogue.withIDJSON(row) { String(decoding: $0, as: UTF8.self) }
}

@Suite struct CatalogueTests {
    @Test func fullLine_IsKept() throws {
        let items = try catalogue(
            """
            {"index": 1, "id": "scifi-1-01", "title": "The \\"first\\"", "tags": ["scifi", "new"], "popularity": 12}
            {"popularity": 0.5, "tags": ["scifi", "scifi"], "id": "a\\u00e9\\n\\"", "index": 9, "other": {"deep": [1]}}\r

            {"index": 3, "id": "z", "tags": [], "title": ""}
            """
        )
        #expect(items.rowCount == 10)
        #expect(items.count == 3)
        #expect(!items.idsAreIntegers)
        #expect(items.presentMask == [1 << 1 | 1 << 3 | 1 << 9])
        #expect(items.popularityOrder == [1, 9, 3])
        #expect((0..<10).map { items.popularity($0) } == [0, 12, 0, 0, 0, 0, 0, 0, 0, 0.5])
        #expect(items.row(of: "scifi-1-01") == 1)
        #expect(items.row(of: "aé\n\"") == 9)
        #expect(items.row(of: "z") == 3)
        #expect(items.row(of: "") == nil)
        #expect(items.row(of: "zz") == nil)
        #expect(items.row(ofInteger: 1) == nil)
        #expect(items.title(1) == "The \"first\"")
        #expect(items.title(3) == "")
        #expect(items.title(9) == nil)
        #expect(idJSON(items, 1) == "\"scifi-1-01\"")
        #expect(idJSON(items, 9) == "\"aé\\n\\\"\"")
        #expect(items.idDescription(9) == "aé\n\"")
        #expect(items.tagNames == ["scifi", "new"])
        #expect(items.tag(of: "new") == 1)
        #expect(items.tag(of: "old") == nil)
        #expect(Array(items.rows(withTag: 0)) == [1, 9])
        #expect(Array(items.rows(withTag: 1)) == [1])
    }

    /// Data frames write null where a column has nothing.
    @Test func null_MeansAbsent_WhereSomethingMayBe() throws {
        let items = try catalogue(#"{"index":1,"id":"a","title":null,"tags":null,"popularity":null}"#)
        #expect(items.title(1) == nil && items.popularity(1) == 0 && items.tagNames.isEmpty)
        for line in [#"{"index":1,"id":null}"#, #"{"index":null,"id":"a"}"#] {
            #expect(throws: FileError.self) { try catalogue(line) }
        }
    }

    @Test(arguments: [-1, 0, 2, 10, Int32.max, Int32.min] as [Int32])
    func rowThatIsNoItem_HasNothing(row: Int32) throws {
        let items = try catalogue(#"{"index":1,"id":"a","title":"t","popularity":5}"#)
        #expect(!items.contains(row))
        #expect(idJSON(items, row) == "")
        #expect(items.idDescription(row) == "")
        #expect(items.title(row) == nil)
        #expect(items.popularity(row) == 0)
    }

    @Test func integerIDs_AreFoundAsIntegersAndAsText() throws {
        let items = try catalogue(
            """
            {"index": 2, "id": -9223372036854775808}
            {"index": 1, "id": 42}
            """
        )
        #expect(items.idsAreIntegers)
        #expect(items.row(ofInteger: 42) == 1)
        #expect(items.row(ofInteger: Int64.min) == 2)
        #expect(items.row(ofInteger: 0) == nil)
        #expect(items.row(of: "42") == 1)
        #expect(items.row(of: "x") == nil)
        #expect(items.row(of: "-9223372036854775808") == 2)
        for text in ["042", "+42", "42.0", " 42", "-42", "", "-", "4294967338", "92233720368547758080", "-0"] {
            #expect(items.row(of: text) == nil, "\(text)")
        }
        #expect(idJSON(items, 2) == "-9223372036854775808")
        #expect(items.idDescription(1) == "42")
        #expect(items.popularityOrder == [1, 2])
        #expect(!items.hasPopularity)
    }

    /// Enough items that some searches start in slots taken by other items.
    @Test(arguments: [true, false])
    func idsThatAreFoundTogether_HaveTheRowsOfEachAlone(idsAreIntegers: Bool) throws {
        let ids = (1..<5_000).map { idsAreIntegers ? "\($0 * 7 - 9_000)" : "\"\($0 * 7 - 9_000)\"" }
        let items = try catalogue(
            ids.enumerated().map { "{\"index\": \($0 + 1), \"id\": \($1)}" }.joined(separator: "\n"),
            rows: 5_001
        )
        let texts =
            ["", "x", "017", "-0", "9223372036854775808", "-9223372036854775808"] + (-9_100..<26_100).map(String.init)
        var keys: [ItemKey] = []
        var memory: [[UInt8]] = []
        for text in texts {
            memory.append(Array(text.utf8))
            if let number = Int64(text) { keys.append(ItemKey(number)) }
        }
        let buffers = memory.map { bytes in
            let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
            _ = copy.initialize(from: bytes)
            return copy
        }
        defer { for buffer in buffers { buffer.deallocate() } }
        keys += buffers.map { ItemKey(UnsafeBufferPointer($0)) }
        var found = [Int32](repeating: -7, count: keys.count)
        for first in stride(from: 0, to: keys.count, by: 32) {
            let group = first..<min(first + 32, keys.count)
            keys[group].withUnsafeBufferPointer { keys in
                found[group].withUnsafeMutableBufferPointer { items.rows(of: keys, into: $0) }
            }
        }
        #expect(found == keys.map { items.row(of: $0) ?? 0 })
        #expect(found.count { $0 > 0 } == 2 * 4_999)
    }

    @Test func stringIDs_AreFoundAsIntegers() throws {
        let items = try catalogue(
            """
            {"index": 1, "id": "17"}
            {"index": 2, "id": "017"}
            {"index": 3, "id": "-9223372036854775808"}
            {"index": 4, "id": "0"}
            """
        )
        #expect(items.row(ofInteger: 17) == 1)
        #expect(items.row(ofInteger: Int64.min) == 3)
        #expect(items.row(ofInteger: 0) == 4)
        #expect(items.row(ofInteger: 7) == nil)
        #expect(items.row(of: "017") == 2)
        #expect(idJSON(items, 1) == "\"17\"")
    }

    @Test func file_MayBeCompressed_HaveAByteOrderMark_AndWindowsLineEnds() throws {
        let folder = try TemporaryDirectory()
        let text = "\u{FEFF}{\"index\":1,\"id\":\"a\"}\r\n{\"index\":2,\"id\":\"b\",\"title\":\"é\"}"
        for (name, bytes) in [("c.jsonl", Array(text.utf8)), ("c.jsonl.gz", try gzip(Array(text.utf8)))] {
            let items = try Catalogue.load(path: try folder.write(name, bytes), rowCount: 3)
            #expect(items.count == 2)
            #expect(items.title(2) == "é")
        }
    }

    @Test func bytesOfWindows1252_AreNamedByLineAndByte() throws {
        let folder = try TemporaryDirectory()
        let bytes = Array("{\"index\":1,\"id\":\"a\"}\n{\"index\":2,\"id\":\"caf".utf8) + [0xE9] + Array("\"}\n".utf8)
        let path = try folder.write("c.jsonl", bytes)
        do {
            _ = try Catalogue.load(path: path, rowCount: 3)
            Issue.record("no error")
        } catch {
            #expect(
                error.message
                    == "\(path), line 2: byte 20 (0xE9) is not UTF-8; if the file is in Windows-1252, convert it with "
                    + "iconv -f WINDOWS-1252 -t UTF-8"
            )
        }
    }

    @Test func equalPopularity_BreaksTowardTheSmallerRow() throws {
        let items = try catalogue(
            (1...9).reversed().map { "{\"index\":\($0),\"id\":\"\($0)\",\"popularity\":\($0 % 3)}" }
                .joined(separator: "\n")
        )
        #expect(items.popularityOrder == [2, 5, 8, 1, 4, 7, 3, 6, 9])
    }

    @Test func rowsOfATag_AscendWhateverTheOrderOfTheLines() throws {
        let items = try catalogue(
            [5, 2, 9, 1].map { "{\"index\":\($0),\"id\":\"\($0)\",\"tags\":[\"t\"]}" }.joined(separator: "\n")
        )
        #expect(Array(items.rows(withTag: 0)) == [1, 2, 5, 9])
    }

    @Test func numbered_HasEveryRow() {
        let items = Catalogue.numbered(rows: 70)
        #expect(items.count == 69)
        #expect(items.idsAreIntegers)
        #expect(items.presentMask == [~1, 0x3F])
        #expect(items.row(ofInteger: 69) == 69)
        #expect(items.row(ofInteger: 70) == nil)
        #expect(items.row(ofInteger: 0) == nil)
        #expect(items.popularityOrder == Array(1...69))
    }

    @Test func manyItems_AreAllFound() throws {
        let count = 20_000
        let text = (1...count).map { "{\"index\":\($0),\"id\":\"item-\($0)\",\"tags\":[\"t\($0 % 7)\"]}" }
        let items = try catalogue(text.joined(separator: "\n"), rows: count + 1)
        #expect((1...count).allSatisfy { items.row(of: "item-\($0)") == Int32($0) })
        #expect(items.row(of: "item-0") == nil)
        #expect(items.rows(withTag: 3).count == (1...count).filter { $0 % 7 == 4 }.count)
        #expect(items.tagNames[3] == "t4")
    }

    @Test(arguments: [
        (#"{"index":1,"id":"b"}"#, "index 1 is already on line 1"),
        (#"{"index":2,"id":"a"}"#, "id \"a\" is already on line 1"),
        (#"{"index":2,"id":"\u0061"}"#, "id \"a\" is already on line 1"),
        (#"{"index":2,"id":7}"#, "id 7 is an integer, but the ids of the lines before it are strings"),
        (#"{"index":0,"id":"b"}"#, "index 0 is the padding row"),
        (#"{"index":10,"id":"b"}"#, "index 10 is outside the item table, whose rows are 1 to 9"),
        (#"{"index":-1,"id":"b"}"#, "index -1 is outside"),
        (#"{"index":1.0,"id":"b"}"#, "index must be an integer"),
        (#"{"index":"1","id":"b"}"#, "index must be an integer"),
        (#"{"index":99999999999999999999,"id":"b"}"#, "index must be an integer"),
        (#"{"id":"b"}"#, "index is missing"),
        (#"{"index":2}"#, "id is missing"),
        (#"{"index":2,"id":""}"#, "id must have 1 to 1024 bytes"),
        (#"{"index":2,"id":1.5}"#, "id must be a string or an integer"),
        (#"{"index":2,"id":null}"#, "id must be a string or an integer"),
        (#"{"index":2,"id":["b"]}"#, "id must be a string or an integer"),
        (#"{"index":2,"id":99999999999999999999}"#, "id must be a string or an integer"),
        (#"{"index":2,"id":"b","id":"c"}"#, "id appears twice"),
        (#"{"index":2,"id":"b","title":5}"#, "title must be a string"),
        (#"{"index":2,"id":"b","tags":"x"}"#, "tags must be an array of strings"),
        (#"{"index":2,"id":"b","tags":[1]}"#, "tags must be an array of strings"),
        (#"{"index":2,"id":"b","tags":[""]}"#, "a tag must have 1 to 1024 bytes"),
        (#"{"index":2,"id":"b","popularity":-0.5}"#, "popularity must be a finite number, at least 0"),
        (#"{"index":2,"id":"b","popularity":"5"}"#, "popularity must be a finite number, at least 0"),
        (#"{"index":2,"id":"b","popularity":1e999}"#, "popularity must be a finite number, at least 0"),
        (#"{"index":2,"id":"b","x":}"#, "expected a value"),
        (#"{"index":2,"id":"b"} {}"#, "expected the end"),
        (#"["index"]"#, "expected an object"),
        (#"{"index":2,"id":"b""#, "expected ',' or '}'"),
    ])
    func line_ThatIsWrong(line: String, expected: String) {
        let text = "{\"index\":1,\"id\":\"a\"}\n\n" + line
        do {
            _ = try catalogue(text)
            Issue.record("no error")
        } catch {
            #expect("\(error)".hasPrefix("c.jsonl, line 3: "), "\(error)")
            #expect("\(error)".contains(expected), "\(error)")
        }
    }

    @Test func stringAfterIntegers_IsRefused() {
        #expect(throws: FileError(.malformed, "")) {
            try catalogue("{\"index\":1,\"id\":1}\n{\"index\":2,\"id\":\"2\"}")
        }
        #expect(throws: FileError(.malformed, "")) { try catalogue("{\"index\":1,\"id\":1}\n{\"index\":2,\"id\":1}") }
    }

    @Test func longTexts_EndAtTheirLimits() throws {
        func line(id: Int, title: Int, tag: Int) -> String {
            func text(_ count: Int) -> String { String(repeating: "x", count: count) }
            return "{\"index\":1,\"id\":\"\(text(id))\",\"title\":\"\(text(title))\",\"tags\":[\"\(text(tag))\"]}"
        }
        _ = try catalogue(line(id: 1024, title: 65_536, tag: 1024))
        for line in [
            line(id: 1025, title: 1, tag: 1), line(id: 1, title: 65_537, tag: 1), line(id: 1, title: 1, tag: 1025),
        ] {
            #expect(throws: FileError(.malformed, "")) { try catalogue(line) }
        }
    }

    @Test(arguments: ["", "\n\n", " \t\r\n"])
    func noItem_IsRefused(text: String) {
        #expect(throws: FileError(.malformed, "")) { try catalogue(text) }
    }

    @Test func tableWithoutPlace_IsRefused() {
        #expect(throws: FileError(.mismatched, "")) { try catalogue("", rows: 1) }
        #expect(throws: FileError(.mismatched, "")) { try catalogue("", rows: Int(Int32.max) + 1) }
    }

    @Test func written_IsReadBackAsItWas() throws {
        let folder = try TemporaryDirectory()
        let items = try catalogue(
            """
            {"index": 9, "id": "b\\"\\\\", "tags": ["x", "y\\n"], "popularity": 1e300}
            {"index": 2, "id": "a", "title": "\\ud83d\\ude00", "popularity": 3}
            """
        )
        let path = folder.path + "/c.jsonl"
        try items.write(path: path)
        #expect(
            String(decoding: try contents(of: path), as: UTF8.self) == """
                {"index":2,"id":"a","title":"😀","popularity":3}
                {"index":9,"id":"b\\"\\\\","tags":["x","y\\n"],"popularity":1e+300}

                """
        )
        let again = try Catalogue.load(path: path, rowCount: 10)
        #expect(again.row(of: "b\"\\") == 9)
        #expect(again.popularityOrder == items.popularityOrder)
        #expect(Array(again.rows(withTag: 1)) == [9])
    }
}
