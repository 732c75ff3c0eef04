// Randomly damaged input for every reader of foreign files: the result is a value or one sentence, never a crash, and a
// value keeps its guarantees. Each test runs a fixed number of inputs from a fixed seed; with GENREC_FUZZ_SECONDS=60
// each runs that long, with GENREC_FUZZ_SEED from another seed. The readers of Models are tested here too, because the
// mutator is here.

import Catalogue
import Compute
import Files
import Foundation
import JSON
import TestSupport
import Testing

@testable import Importers
@testable import Models

@Suite struct FuzzTests {
    private let folder: TemporaryDirectory
    private let environment = ProcessInfo.processInfo.environment

    init() throws {
        folder = try TemporaryDirectory(inMemory: true)
    }

    /// Runs `body` on mutated inputs; accepts the reader's errors, and records everything else.
    ///
    /// - Parameter count: inputs in an ordinary run.
    /// - Returns: how many inputs the reader accepted.
    @discardableResult
    private func fuzz(
        _ corpus: [[UInt8]],
        words: [String] = [],
        count: Int,
        _ body: ([UInt8]) throws -> Void
    ) throws -> Int {
        let seed = environment["GENREC_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
        let seconds = environment["GENREC_FUZZ_SECONDS"].flatMap { Double($0) }
        let end = seconds.map { ContinuousClock.now + .seconds($0) }
        var mutator = Mutator(seed: seed, corpus: corpus, dictionary: words.map { Array($0.utf8) })
        var accepted = 0
        var done = 0
        while end.map({ ContinuousClock.now < $0 }) ?? (done < count) {
            do {
                try body(mutator.next())
                accepted += 1
            } catch let error as any CustomStringConvertible {
                let sentence = error.description
                #expect(!sentence.isEmpty && !sentence.contains { $0.isNewline }, "\(sentence)")
            }
            done += 1
        }
        for good in corpus { try body(good) }
        return accepted
    }

    /// A new file for one input, removed when `body` returns. (Overwriting the same file would make the file system
    /// flush it each time.)
    private func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
        let path = try folder.write("input", bytes)
        defer { unlink(path) }
        return try body(path)
    }

    @Test func pickleReader() throws {
        let corpus = try ["protocol1", "protocol2", "protocol4", "protocol5", "adamw", "parameters"].map { form in
            let archive = try ZipArchive(InputFile(path: fixture("torch-forms/\(form).pt")))
            let content = try archive.read(try #require(archive["tiny/data.pkl"]))
            return withExtendedLifetime(content) { Array(content.bytes) }
        }
        let words = [
            "ctorch._utils\n_rebuild_tensor_v2\n", "ccollections\nOrderedDict\n", "(", "t", "R", "Q", "e", "u",
            "h\u{1}",
        ]
        try fuzz(corpus, words: words, count: 20_000) { bytes in
            let graph = try bytes.withUnsafeBytes { try PickleReader.read($0, source: "p") }
            #expect(graph.nodes.count <= bytes.count)
            #expect(graph.arrays.allSatisfy { $0.allSatisfy { graph.nodes.indices.contains(Int($0.index)) } })
            _ = graph.entries(graph.root)
        }
    }

    @Test func zipArchive() throws {
        let forms = ["deflated", "streamed", "zip64", "streamed-zip64-deflated", "protocol2"]
        let corpus = try forms.map { try contents(of: fixture("torch-forms/\($0).pt")) }
        let words = ["PK\u{1}\u{2}", "PK\u{3}\u{4}", "PK\u{5}\u{6}", "PK\u{6}\u{6}", "PK\u{6}\u{7}", "PK\u{7}\u{8}"]
        try fuzz(corpus, words: words, count: 8000) { bytes in
            let archive = try withFile(bytes) { try ZipArchive(InputFile(path: $0)) }
            for entry in archive.entries {
                let content = try archive.read(entry)
                #expect(content.bytes.count == entry.size)
            }
        }
    }

    @Test func checkpoint() throws {
        // Only the pickle is damaged, not the archive, so that its claims reach the later checks.
        let whole = TinyCheckpoint()
        let describe = try folder.write("import.json", tinyDescription.utf8)
        let description = try ImportDescription(path: describe)
        try fuzz([whole.pickle], count: 4000) { pickle in
            var entries = whole.entries
            entries[0] = ZipBuilderEntry("tiny/data.pkl", pickle)
            let model = try withFile(zip(entries)) { path in
                try MetaImporter().open(try InputFile(path: path), description: description, weights: nil)
            }
            for specification in model.architecture.configuration.tensorSpecifications {
                let content = try model.read(specification)
                #expect(content.bytes.count == model.dtype.byteCount * specification.count)
            }
        }
    }

    @Test func description() throws {
        let document = "{\"catalogue_size\": 6, \"model\": \(tinyDescription), \"cases\": [[1, -2.5e3, null]]}"
        let words = ["\"", "{", "}", "1e9", "\\u"]
        try fuzz([tinyDescription, document].map { Array($0.utf8) }, words: words, count: 4000) { bytes in
            _ = try withFile(bytes) { try ImportDescription(path: $0) }
        }
    }

    @Test func safetensors() throws {
        let path = folder.path + "/good.safetensors"
        let configuration = try HSTUConfiguration {
            $0.width = 4
            $0.layers = 1
            $0.heads = 2
            $0.attentionDimension = 1
            $0.linearDimension = 2
            $0.maxSequenceLength = 5
            $0.maxOutputLength = 1
            $0.concatUA = false
            $0.relativeBias = .positionAndTime
            $0.outputNormalization = .l2
            $0.itemL2Norm = true
            $0.rows = 7
        }
        let specifications = configuration.tensorSpecifications
        var writer = try SafetensorsWriter(path: path, tensors: specifications, dtype: .float32)
        for specification in specifications {
            try [Float](repeating: 1, count: specification.count).withUnsafeBytes { bytes in
                try writer.append(
                    HostTensor(name: specification.name, dtype: .float32, shape: specification.shape, bytes: bytes)
                )
            }
        }
        try writer.finish()
        let words = ["\"shape\":[", "\"dtype\":\"I64\"", "data_offsets", "__metadata__", "9223372036854775807", "-1"]
        try fuzz([try contents(of: path)], words: words, count: 6000) { bytes in
            let file = try withFile(bytes) { try SafetensorsFile(path: $0) }
            var total = 0
            for name in file.names {
                let tensor = try #require(try file.tensor(name))
                #expect(tensor.bytes.count == tensor.shape.reduce(tensor.dtype.byteCount, *))
                #expect(UInt(bitPattern: tensor.bytes.baseAddress).isMultiple(of: UInt(tensor.dtype.byteCount)))
                total += withExtendedLifetime(tensor) { tensor.bytes.reduce(0) { $0 + Int($1) } }
            }
            #expect(total >= 0)
        }
    }

    @Test func catalogue() throws {
        let corpus = [
            """
            {"index": 1, "id": "a", "title": "A", "tags": ["x", "y"], "popularity": 5}
            {"index": 2, "id": "b\\u00e9\\ud83d\\ude00", "tags": ["x"], "popularity": 0.25, "more": [1, {"c": null}]}
            {"index": 9, "id": "c", "title": "\\"C\\""}
            """,
            "{\"index\": 3, \"id\": 3}\n{\"index\": 4, \"id\": -4, \"tags\": []}\r\n\n",
        ].map { Array($0.utf8) }
        let words = ["\"index\":", "\"id\":", "\"tags\":[", "\\u", "\n", "1e400", "9223372036854775808", "\u{0}"]
        try fuzz(corpus, words: words, count: 20_000) { bytes in
            let items = try bytes.withUnsafeBytes { try Catalogue(reading: $0, path: "c", rowCount: 10) }
            #expect(items.popularityOrder.count == items.count)
            for row in 0..<Int32(10) where items.contains(row) {
                #expect(items.row(of: items.idDescription(row)) == row)
                // The id's JSON is valid, and contains the id.
                let id = try items.withIDJSON(row) { try JSONValue(parsing: UnsafeRawBufferPointer($0)) }
                let isID = items.idsAreIntegers ? id.isInteger : id == .string(items.idDescription(row))
                #expect(isID)
            }
            for tag in 0..<Int32(items.tagCount) {
                let rows = items.rows(withTag: tag)
                #expect(!rows.isEmpty && rows.allSatisfy(items.contains) && rows.elementsEqual(Set(rows).sorted()))
                #expect(items.tag(of: items.tagNames[Int(tag)]) == tag)
            }
        }
    }
}

extension JSONValue {
    fileprivate var isInteger: Bool {
        if case .integer = self { return true }
        return false
    }
}
