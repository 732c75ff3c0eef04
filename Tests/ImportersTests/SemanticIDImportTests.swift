// Import of semantic ids: every form of index, the bundle's summary, and a sentence for each invalid input.

import Catalogue
import Files
import JSON
import Models
import TestSupport
import Testing

@testable import Importers

@Suite struct SemanticIDImportTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
        _ = try folder.write("tokenizer.json", Self.tokenizer.utf8)
    }

    /// Level 1: 10 to 12, level 2: 20 to 22.
    private static let tokenizer = """
        {"version": "1.0", "added_tokens": [{"id": 10, "content": "<a_0>", "special": false}, {"id": 11, "content": "<a_1>"},
         {"id": 12, "content": "<a_2>"}, {"id": 20, "content": "<b_0>"}, {"id": 21, "content": "<b_1>"}],
         "normalizer": null, "model": {"type": "BPE", "vocab": {"<b_2>": 22, "<b_1>": 5}, "merges": [["a", "b"]]}}
        """
    private static let index = """
        {"10": ["<a_1>", "<b_0>"], "2": ["<a_0>", "<b_2>"], "1": ["<a_1>", "<b_0>"], "3": ["<a_1>", "<b_1>"]}
        """

    private func read(
        _ index: String = SemanticIDImportTests.index,
        name: String = "index.json",
        more: String = "",
        template: String = #"{"before": [1], "between": [2], "after": [3, 4]}"#,
        rows: Int = 30,
        window: Int = 40
    ) throws -> SemanticIDImport {
        _ = try folder.write(name, index.utf8)
        let text = "{\"index\": \"\(name)\", \"template\": \(template)\(more)}"
        return try SemanticIDImport(
            try Array(text.utf8).withUnsafeBytes { try JSONValue(parsing: $0) },
            description: folder.path + "/d.json",
            folder: folder.path + "/",
            rows: rows,
            window: window
        )
    }

    private func message(_ body: () throws -> SemanticIDImport) -> String {
        do {
            _ = try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    private func ids(_ catalogue: Catalogue) -> [String] {
        (1..<Int32(catalogue.rowCount)).map { catalogue.idDescription($0) }
    }

    private func paths(_ catalogue: Catalogue) -> [[Int32]] {
        (1..<Int32(catalogue.rowCount)).map { Array(catalogue.path($0)) }
    }

    // MARK: - Forms

    @Test func objectOfStrings_IsReadInNumericOrder() throws {
        let read = try read()
        #expect(ids(read.catalogue) == ["1", "2", "3", "10"])
        #expect(!read.catalogue.idsAreIntegers)
        // Added tokens take precedence over the plain vocabulary.
        #expect(paths(read.catalogue) == [[11, 20], [10, 22], [11, 21], [11, 20]])
        let summary = read.summary
        #expect(summary.levels == 2 && summary.items == 4 && summary.paths == 3 && summary.duplicates == 1)
        #expect(summary.largestPath == 2 && summary.prefixes == [2, 3] && summary.fanOut == [2, 1.5])
        #expect(summary.example == [1, 11, 20, 2, 10, 22, 2, 11, 21, 3, 4])
        let ids = read.configuration
        #expect(
            ids.ranges == [SemanticIDs.TokenRange(first: 10, count: 2), SemanticIDs.TokenRange(first: 20, count: 3)]
        )
        #expect(ids.normalization == .vocabulary && ids.scoreTail && ids.defaultBeams == 50 && ids.itemsPerPath == nil)
        // 40 tokens, of which the template takes 3 and the generated path 2; an item takes 2 and one separator.
        #expect(ids.maxItems == 12)
    }

    @Test func keysThatAreNoNumbers_KeepTheirOrder() throws {
        let read = try read(#"{"b": [11, 20], "a": [10, 21]}"#)
        #expect(ids(read.catalogue) == ["b", "a"])
        #expect(paths(read.catalogue) == [[11, 20], [10, 21]])
    }

    @Test func addedTokensFile_IsReadToo() throws {
        _ = try folder.write("added_tokens.json", #"{"<c_0>": 25}"#.utf8)
        #expect(try paths(read(#"{"1": ["<a_0>", "<c_0>"]}"#).catalogue) == [[10, 25]])
    }

    @Test func lines_AreRead() throws {
        let read = try read(
            """
            {"item_id": 7, "token_ids": [10, 20], "metadata": {"title": "Seven", "x": 1}}

            {"item_id": 3, "token_ids": [11, 21]}\r
            """,
            name: "items.jsonl"
        )
        #expect(read.catalogue.idsAreIntegers)
        #expect(ids(read.catalogue) == ["7", "3"])
        #expect(paths(read.catalogue) == [[10, 20], [11, 21]])
        #expect(read.catalogue.title(1) == "Seven")
    }

    @Test func table_IsReadWithOffsets() throws {
        let read = try read(
            "\u{FEFF}item_id,lv1,lv2\r\n5,0,1\r\n\"4\",2,0\r\n",
            name: "items.csv",
            more: ", \"offsets\": [10, 20]"
        )
        #expect(read.catalogue.idsAreIntegers)
        #expect(ids(read.catalogue) == ["5", "4"])
        #expect(paths(read.catalogue) == [[10, 21], [12, 20]])
        #expect(try ids(self.read("lv1,iid,lv2\n10,x,20\n10,7,21\n", name: "b.csv").catalogue) == ["x", "7"])
    }

    // MARK: - Names

    @Test func rawIDsOfAnObject_TakeThePlaceOfNumbers() throws {
        _ = try folder.write("ids.json", #"{"1": "B01", "2": "B02", "3": "B03", "10": "B10"}"#.utf8)
        _ = try folder.write("items.json", #"{"1": {"title": "One"}, "2": "Two", "10": {"brand": "x"}}"#.utf8)
        let read = try read(more: ", \"ids\": \"ids.json\", \"titles\": \"items.json\"")
        #expect(ids(read.catalogue) == ["B01", "B02", "B03", "B10"])
        #expect((1...4).map { read.catalogue.title($0) } == ["One", "Two", nil, nil])
    }

    @Test func infoFile_GivesIDsAndTitlesByPath() throws {
        _ = try folder.write(
            "info.txt",
            "<a_0><b_2>\tTwo\tB02\n<a_1><b_0>\tOne\tB01\n<a_1><b_1>\tThree\tB03\n<a_1><b_0>\tTen\tB10\n".utf8
        )
        let read = try read(more: ", \"ids\": \"info.txt\"")
        #expect(ids(read.catalogue) == ["B01", "B02", "B03", "B10"])
        #expect(read.catalogue.title(4) == "Ten")
    }

    @Test func mapOfRawIDs_IsRead() throws {
        _ = try folder.write("item2id", "B01\t1\nB02\t2\nB03\t3\nB10\t10\n".utf8)
        #expect(try ids(read(more: ", \"ids\": \"item2id\"").catalogue) == ["B01", "B02", "B03", "B10"])
        _ = try folder.write("item2id", "B01\t1\n".utf8)
        #expect(
            message { try read(more: ", \"ids\": \"item2id\"") }.hasSuffix("item2id has no id for the item \"2\"")
        )
        _ = try folder.write("item2id", "B01\n".utf8)
        #expect(
            message { try read(more: ", \"ids\": \"item2id\"") }.contains("item2id, line 1: 1 tab-separated fields")
        )
    }

    // MARK: - Invalid input

    @Test(arguments: [
        ("", "the index has no items"),
        ("{}", "the index has no items"),
        (#"{"1": ["<a_9>", "<b_0>"]}"#, "the item \"1\" has the token \"<a_9>\", which "),
        (#"{"1": [10, 20], "2": [10]}"#, "the item \"2\" has 1 tokens, but the first item has 2"),
        (#"{"1": [10]}"#, "the item \"1\" has 1 tokens, but a path has 2 to 8"),
        (#"{"1": [10, 30]}"#, "the item \"1\" has the token 30, which is outside the vocabulary of 30 rows"),
        (#"{"1": [10, -1]}"#, "has the token -1, which is outside"),
        (#"{"1": [10, 99999999999]}"#, "has the token 99999999999, which is outside"),
        (#"{"1": [10, 20.5]}"#, "a token that is neither a string nor an integer"),
        (#"{"1": 10}"#, "index.json: the item \"1\" has no array of tokens"),
        (#"{"1": [10, 20], "1": [10, 21]}"#, "the item \"1\" appears twice"),
        (#"{"1": [10, 20]"#, "index.json: "),
        (
            "{\"item_id\": 1, \"token_ids\": [10, 20]}\n{\"item_id\": 1, \"token_ids\": [10, 21]}",
            "id 1 is already on line 1"
        ),
        ("{\"item_id\": 1, \"token_ids\": [10, 20]}\n{\"token_ids\": [10, 21]}", ", line 2: item_id is missing"),
        (
            "{\"item_id\": 1, \"token_ids\": [10, 20]}\n{\"item_id\": \"a\", \"token_ids\": [10, 21]}",
            "is a string, but"
        ),
        ("{\"item_id\": [], \"token_ids\": [10, 20]}", "item_id must be an integer or a string"),
        ("item,a,b\n1,10\n", ", line 2: 2 fields, but there are 3 columns"),
        ("1,10,20\n", ", line 1: expected a JSON object or a header"),
        ("[1, 2]", "line 1: expected a JSON object or a header"),
    ])
    func index_ThatDoesNotFit(index: String, expected: String) {
        let message = message { try read(index) }
        #expect(message.contains(expected), "\(message)")
        #expect(message.contains("index.json") && !message.contains("\n"))
    }

    @Test(arguments: [
        ("", #"{"before": [30]}"#, "token 30 of before is outside the vocabulary of 30 rows"),
        ("", #"{"before": [-1]}"#, "semantic_ids.template.before must contain token ids"),
        ("", #"{"before": ["<a_0>"]}"#, "semantic_ids.template.before must contain token ids"),
        ("", #"{"befor": []}"#, "the key \"befor\" is not known"),
        (", \"tail\": [31]", "{}", "token 31 of tail is outside"),
        (", \"tail\": [1]", #"{"tail": [2]}"#, "are both given"),
        (", \"normalization\": \"all\"", "{}", "normalization must be \"vocabulary\" or \"level\" or \"allowed\""),
        (
            ", \"max_items\": 21", "{}",
            "semantic_ids.max_items is 21, but the template fits only 19 items into 40 tokens"
        ),
        (", \"offsets\": [1]", "{}", "semantic_ids.offsets has 1 entries for 2 levels"),
        (", \"ranges\": [{\"first\": 10, \"count\": 1}]", "{}", "semantic_ids.ranges has 1 entries for 2 levels"),
        (
            ", \"ranges\": [{\"first\": 10, \"count\": 1}, {\"first\": 20, \"count\": 5}]", "{}",
            "the item \"1\": token 11 does not belong to level 1, which has 10 to 10"
        ),
        (", \"beams\": 3", "{}", "the key \"beams\" is not known"),
        (", \"ids\": \"absent\"", "{}", "cannot open "),
    ])
    func description_ThatDoesNotFit(more: String, template: String, expected: String) {
        let message = message { try read(more: more, template: template) }
        #expect(message.contains(expected), "\(message)")
        #expect(!message.contains("\n"))
    }

    @Test func historyThatDoesNotFitTheWindow_IsRefused() {
        #expect(
            message { try read(window: 6) }.contains("a history of one item does not fit into the window of 6 tokens")
        )
        #expect(message { try read(window: 7) } == "no error")
    }

    @Test func overlappingLevels_HaveNoRanges() throws {
        #expect(try read(#"{"1": [10, 11], "2": [11, 10]}"#).configuration.ranges == nil)
        #expect(
            message { try read(#"{"1": [10, 11], "2": [11, 10]}"#, more: ", \"normalization\": \"level\"") }.contains(
                "semantic_ids.ranges is missing"
            )
        )
    }

    @Test func manyItemsOnOnePath_AreABrokenTokenizer() {
        let items = (1...10_001).map { "\"\($0)\": [10, 20]" }.joined(separator: ", ")
        #expect(message { try read("{\(items)}") }.contains("10001 items share one path, more than 10000"))
    }

    // MARK: - Fixtures

    /// Another program formatted the prompts of the fixtures.
    @Test(arguments: [("sid-qwen2", 88), ("sid-qwen3", 136), ("sid-llama", 120)])
    func fixture_IsLaidOutAsItsCasesSay(name: String, rows: Int) throws {
        let content = try InputFile.contents(of: fixture("\(name)/cases.json"))
        var document = try JSONFields(try content.withBytes { try JSONValue(parsing: $0) })
        let read = try SemanticIDImport(
            try document.value("semantic_ids"),
            description: fixture("\(name)/cases.json"),
            folder: fixture(name) + "/",
            rows: rows,
            window: 512
        )
        guard case .array(let cases) = try document.value("cases") else { return }
        #expect(!cases.isEmpty)
        for element in cases {
            var fields = try JSONFields(element)
            var history = try fields.object("history")
            guard case .array(let items) = try history.value("items") else { return }
            var paths: [[Int32]] = []
            for case .string(let id) in items {
                paths.append(Array(read.catalogue.path(read.catalogue.row(of: id) ?? 0)))
            }
            let prompt = read.configuration.template.prompt(paths)
            let values: [JSONValue] = prompt.map { .integer(Int($0)) }
            let expected = try fields.value("prompt_tokens")
            #expect(JSONValue.array(values) == expected)
        }
    }

    @Test func bundle_HoldsWhatWasImported() throws {
        let output = try TemporaryDirectory()
        let summary = try runImport(
            fixture("sid-llama"),
            describe: fixture("sid-llama/cases.json"),
            format: "huggingface",
            into: output
        )
        let bundle = try ModelBundle.load(directory: output.path + "/bundle")
        #expect(bundle.configuration == summary.configuration)
        #expect(bundle.configuration.semanticIDs?.levels == 4)
        #expect(bundle.configuration.semanticIDs?.normalization == .allowed)
        #expect(bundle.catalogue.count == 500 && bundle.catalogue.levels == 4)
        #expect(summary.semanticIDs?.items == 500)
        // <a_9> <b_1> <c_11> <d_4>, whose codebooks of 24 start at 24.
        let first: [Int32] = [33, 49, 83, 100]
        #expect(Array(bundle.catalogue.path(1)) == first)
        #expect(bundle.catalogue.path(0).isEmpty)
        let inspection = BundleInspection(bundle)
        #expect(inspection.text.contains("4 levels, softmax over allowed tokens"))
    }

    @Test func otherTrainersAndACatalogue_AreRefused() throws {
        let describe = try folder.write("d.json", #"{"heads": 2, "semantic_ids": {}}"#.utf8)
        #expect(throws: ImportError(.badDescription, "")) {
            try runImport(fixture("hstu-small/checkpoint.pt"), describe: describe, into: folder)
        }
        let catalogue = try folder.write("c.jsonl", #"{"index": 1, "id": 1}"#.utf8)
        #expect(throws: ImportError(.badDescription, "")) {
            try runImport(
                fixture("sid-llama"),
                describe: fixture("sid-llama/cases.json"),
                catalogue: catalogue,
                format: "huggingface",
                into: folder
            )
        }
    }
}
