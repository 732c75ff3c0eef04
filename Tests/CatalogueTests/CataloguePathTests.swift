// Catalogues whose items are token paths.

import Catalogue
import Files
import TestSupport
import Testing

@Suite struct CataloguePathTests {
    private let rules = PathRules(levels: 2, vocabulary: 30, ranges: [10..<13, 20..<23])

    private func read(_ text: String) throws -> Catalogue {
        let folder = try TemporaryDirectory()
        return try Catalogue.load(path: folder.write("c.jsonl", text.utf8), paths: rules)
    }

    @Test func paths_AreReadAndWritten() throws {
        let catalogue = try read(
            """
            {"index": 2, "id": "b", "tokens": [12, 20]}

            {"tokens": [10, 22], "id": "a", "title": "A", "index": 1}
            """
        )
        #expect(catalogue.count == 2 && catalogue.rowCount == 3 && catalogue.levels == 2)
        #expect(catalogue.tokens == [10, 22, 12, 20])
        #expect(catalogue.path(2).elementsEqual([12, 20]))
        #expect(catalogue.path(3).isEmpty)
        let folder = try TemporaryDirectory()
        try catalogue.write(path: folder.path + "/c.jsonl")
        #expect(
            String(decoding: try contents(of: folder.path + "/c.jsonl"), as: UTF8.self) == """
                {"index":1,"id":"a","tokens":[10,22],"title":"A"}
                {"index":2,"id":"b","tokens":[12,20]}

                """
        )
    }

    @Test func file_MayBeCompressed_AndHaveAByteOrderMark() throws {
        let folder = try TemporaryDirectory()
        let text = Array("\u{FEFF}{\"index\":1,\"id\":\"a\",\"tokens\":[10,20]}\r\n".utf8)
        for bytes in [text, try gzip(text)] {
            #expect(
                try Catalogue.load(path: folder.write("c.jsonl", bytes), paths: rules).path(1).elementsEqual([10, 20])
            )
        }
    }

    @Test(arguments: [
        (#"{"index": 1, "id": 1}"#, "line 1: tokens is missing"),
        (#"{"index": 1, "id": 1, "tokens": [10]}"#, "line 1: tokens: a path of 1 tokens, but there are 2 levels"),
        (#"{"index": 1, "id": 1, "tokens": [10, 20, 21]}"#, "tokens must be an array of 2 token ids"),
        (#"{"index": 1, "id": 1, "tokens": [10, "a"]}"#, "tokens must be an array of 2 token ids"),
        (#"{"index": 1, "id": 1, "tokens": [10, 20.5]}"#, "tokens must be an array of 2 token ids"),
        (#"{"index": 1, "id": 1, "tokens": 10}"#, "tokens must be an array of 2 token ids"),
        (#"{"index": 1, "id": 1, "tokens": [10, 99999999999]}"#, "tokens must be an array of 2 token ids"),
        (#"{"index": 1, "id": 1, "tokens": [10, -1]}"#, "token -1 is outside the vocabulary of 30 rows"),
        (#"{"index": 1, "id": 1, "tokens": [10, 30]}"#, "token 30 is outside the vocabulary of 30 rows"),
        (#"{"index": 1, "id": 1, "tokens": [13, 20]}"#, "token 13 does not belong to level 1, which has 10 to 12"),
        (
            "{\"index\": 1, \"id\": 1, \"tokens\": [10, 20]}\n{\"index\": 3, \"id\": 2, \"tokens\": [10, 20]}",
            "line 2: index 3"
        ),
        ("", "no room for an item"),
    ])
    func line_ThatDoesNotFit(text: String, expected: String) throws {
        do {
            _ = try read(text)
            Issue.record("no error")
        } catch let error as FileError {
            #expect(error.message.contains(expected), "\(error.message)")
        }
    }
}
