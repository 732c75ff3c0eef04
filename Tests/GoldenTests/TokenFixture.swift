// Fixtures of token decoders: Hugging Face folders whose vocabulary rows are tokens, an index of items as token tuples, and
// the answers of constrained beam search in float64.

import Foundation
import Importers
import Models

/// One `sid-*` folder of Tests/Fixtures.
struct TokenFixture: Sendable {
    struct Answer: Decodable, Sendable {
        var item: String
        var score: Double
    }

    struct Case: Decodable, Sendable {
        struct History: Decodable, Sendable {
            var items: [String]
        }

        struct Exclusion: Decodable, Sendable {
            var items: [String]
            var seen: Bool
        }

        var history: History
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var prompt_tokens: [Int32]
        var beams: Int
        var k: Int
        var exclude: Exclusion
        var top: [Answer]
    }

    struct SemanticIDs: Decodable, Sendable {
        var tail: [Int32]
        var normalization: String
    }

    private struct File: Decodable {
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var semantic_ids: SemanticIDs
        var cases: [Case]
    }

    private struct Tokenizer: Decodable {
        struct Token: Decodable {
            var id: Int32
            var content: String
        }

        // swift-format-ignore: AlwaysUseLowerCamelCase
        var added_tokens: [Token]
    }

    static let names = ["sid-llama", "sid-qwen2", "sid-qwen3"]

    let name: String
    let cases: [Case]
    let semanticIDs: SemanticIDs
    /// Items in the order of the catalogue.
    let items: [String]
    /// The tokens of each.
    let paths: [[Int32]]
    let directory: String

    init(_ name: String) throws {
        self.name = name
        let folder =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/\(name)")
        func content(_ file: String) throws -> Data {
            try Data(contentsOf: folder.appendingPathComponent(file))
        }
        directory = folder.path
        let file = try JSONDecoder().decode(File.self, from: content("cases.json"))
        cases = file.cases
        semanticIDs = file.semantic_ids
        let tokens = try JSONDecoder().decode(Tokenizer.self, from: content("tokenizer.json")).added_tokens
        let ids = Dictionary(uniqueKeysWithValues: tokens.map { ($0.content, $0.id) })
        let index = try JSONDecoder().decode([String: [String]].self, from: content("index.json"))
        // "item-0", "item-1" …: the file's order, which decoding loses.
        let items = index.keys.sorted { ($0.count, $0) < ($1.count, $1) }
        self.items = items
        paths = items.map { item in (index[item] ?? []).compactMap { ids[$0] } }
    }

    /// Imports the checkpoint as a decoder whose items are its tokens, into a folder that is removed when `body`
    /// returns.
    func withBundle<Result>(_ body: (ModelBundle) throws -> Result) throws -> Result {
        let architecture = name.dropFirst(4)
        return try withBundle(
            description: Data(
                #"{"architecture": "\#(architecture)", "source": "huggingface", "max_sequence_length": 512}"#.utf8
            ),
            body
        )
    }

    /// Imports the checkpoint with its semantic ids, into a folder that is removed when `body` returns.
    func withPathBundle<Result>(_ body: (ModelBundle) throws -> Result) throws -> Result {
        try withBundle(description: nil, body)
    }

    private func withBundle<Result>(description: Data?, _ body: (ModelBundle) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var describePath = directory + "/cases.json"
        if let description {
            describePath = folder.appendingPathComponent("import.json").path
            try description.write(to: URL(fileURLWithPath: describePath))
        }
        let output = folder.appendingPathComponent(name).path
        _ = try importCheckpoint(
            format: "huggingface",
            checkpointPath: directory,
            describePath: describePath,
            cataloguePath: nil,
            name: name,
            version: "1",
            outputDirectory: output
        )
        return try body(try ModelBundle.load(directory: output))
    }

    /// The tokens that lead from a prefix to an item that may answer the case.
    func tokens(after prefix: ArraySlice<Int32>, _ example: Case) -> Set<Int32> {
        let removed = Set(example.exclude.items + (example.exclude.seen ? example.history.items : []))
        return Set(
            zip(items, paths).filter { !removed.contains($0.0) && $0.1.starts(with: prefix) }.map { $0.1[prefix.count] }
        )
    }
}
