// The fixtures: small checkpoints in their trainers' formats, with answers from their trainers' own code.

import Foundation
import Importers
import Models

/// One folder of Tests/Fixtures.
struct Fixture: Sendable {
    struct Answer: Decodable, Sendable {
        var item: Int32
        var score: Double
    }

    struct Case: Decodable, Sendable {
        struct History: Decodable, Sendable {
            var items: [Int32]
            var timestamps: [Int64]
        }

        var history: History
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var request_time: Int64
        var top: [Answer]
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var top_unseen: [Answer]
        /// Of items 1 … V, in order; only for small catalogues.
        var scores: [Double]?
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var greedy_unseen: [Answer]
    }

    private struct File: Decodable {
        var cases: [Case]
    }

    let name: String
    let cases: [Case]
    private let directory: String

    static let names = [
        "hstu-small", "hstu-concat-ua", "hstu-uneven", "hstu-layernorm", "hstu-ml1m-shape", "sasrec-meta",
        "sasrec-original", "sasrec-pre", "sasrec-post", "llama-small", "gpt2-small",
    ]

    /// The checkpoint's format and its path in the folder, both as the trainer names them.
    private var source: (format: String, path: String) {
        switch name {
        case "sasrec-original", "sasrec-pre", "sasrec-post": ("sasrec.pytorch", directory + "/checkpoint.pth")
        case "llama-small", "gpt2-small": ("huggingface", directory)
        default: ("meta", directory + "/checkpoint.pt")
        }
    }

    /// The allowed error of a float32 score against the reference's float64: 1e-4 of the largest score that a case
    /// shows.
    func tolerance(_ example: Case) -> Double {
        1e-4 * max(1, example.top.map { abs($0.score) }.max() ?? 1)
    }

    init(_ name: String) throws {
        self.name = name
        directory =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/\(name)").path
        let data = try Data(contentsOf: URL(fileURLWithPath: directory + "/cases.json"))
        cases = try JSONDecoder().decode(File.self, from: data).cases
    }

    /// Imports the checkpoint into a temporary folder, which is removed when `body` returns.
    func withBundle<Result>(_ body: (ModelBundle) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let output = folder.appendingPathComponent(name).path
        _ = try importCheckpoint(
            format: source.format,
            checkpointPath: source.path,
            describePath: directory + "/cases.json",
            cataloguePath: nil,
            name: name,
            version: "1",
            outputDirectory: output
        )
        return try body(try ModelBundle.load(directory: output))
    }
}
