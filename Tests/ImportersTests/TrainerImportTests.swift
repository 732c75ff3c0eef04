// Checkpoints of every trainer except Meta's HSTU: each imports, and every weight equals, bit for bit, the result of a
// second reader (Tests/Fixtures/make_fixtures.py), joined in the same way.

import Compute
import Files
import Foundation
import JSON
import Models
import TestSupport
import Testing

@testable import Importers

@Suite struct TrainerImportTests {
    /// A checkpoint in the fixtures.
    struct Checkpoint: Sendable, CustomTestStringConvertible {
        let format: String
        let path: String
        let describe: String
        let expected: String
        var file = "model.safetensors"
        var ignored: [String] = []

        var testDescription: String { path }
    }

    private static let checkpoints = [
        Checkpoint(
            format: "meta",
            path: "sasrec-meta/checkpoint.pt",
            describe: "sasrec-meta/cases.json",
            expected: "sasrec-meta/imported.json",
            file: "checkpoint.pt",
            ignored: ["_attn_mask"]
        ),
        sasrec("original"), sasrec("pre"), sasrec("post"),
        Checkpoint(
            format: "huggingface",
            path: "llama-small",
            describe: "llama-small/cases.json",
            expected: "llama-small/imported.json"
        ),
        Checkpoint(
            format: "huggingface",
            path: "gpt2-small/model.safetensors",
            describe: "gpt2-small/cases.json",
            expected: "gpt2-small/imported.json"
        ),
        directory("llama-bfloat16", ignored: ["model.layers.0.self_attn.rotary_emb.inv_freq"]),
        directory("llama-sharded", file: "model.safetensors.index.json", ignored: ["lm_head.weight"]),
        directory("gpt2-bare", ignored: ["h.0.attn.bias", "h.0.attn.masked_bias"]),
    ]

    private static func sasrec(_ order: String) -> Checkpoint {
        Checkpoint(
            format: "sasrec.pytorch",
            path: "sasrec-\(order)/checkpoint.pth",
            describe: "sasrec-\(order)/cases.json",
            expected: "sasrec-\(order)/imported.json",
            file: "checkpoint.pth"
        )
    }

    private static func directory(
        _ name: String,
        file: String = "model.safetensors",
        ignored: [String]
    ) -> Checkpoint {
        Checkpoint(
            format: "huggingface",
            path: "trainer-forms/\(name)/",
            describe: "trainer-forms/\(name)/import.json",
            expected: "trainer-forms/\(name)/imported.json",
            file: file,
            ignored: ignored
        )
    }

    private func json(_ path: String) throws -> JSONValue {
        try InputFile.contents(of: path).withBytes { try JSONValue(parsing: $0) }
    }

    /// Compares every tensor of the bundle with the second reader's, and expects no others.
    private func check(_ bundle: ModelBundle, against expected: String) throws {
        var facts = try JSONFields(try json(fixture(expected)))
        for name in bundle.weights.names {
            var fact = try facts.object(name)
            let tensor = try bundle.tensor(name)
            #expect(try fact.value("shape") == .array(tensor.shape.map { .integer($0) }), "\(name)")
            #expect(widenedSHA256(tensor) == (try fact.string("sha256")), "\(name)")
        }
        try facts.end()
    }

    @Test(arguments: checkpoints)
    func checkpoint_GivesItsTensorsBitForBit(_ checkpoint: Checkpoint) throws {
        let folder = try TemporaryDirectory()
        let summary = try runImport(
            fixture(checkpoint.path),
            describe: fixture(checkpoint.describe),
            format: checkpoint.format,
            into: folder
        )
        #expect(summary.ignoredTensors == checkpoint.ignored)
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        #expect(bundle.configuration == summary.configuration)
        try check(bundle, against: checkpoint.expected)
        let provenance = bundle.configuration.provenance
        #expect(provenance.source == checkpoint.format)
        #expect(provenance.file == checkpoint.file)
        let path = fixture(checkpoint.path)
        let source = path.hasSuffix(checkpoint.file) ? path : path + "/" + checkpoint.file
        #expect(provenance.sha256 == (try sha256(of: InputFile(path: source))))
    }

    @Test func sasrecOfMeta_IsConfiguredAsDescribed() throws {
        let architecture = try architecture("meta", "sasrec-meta/checkpoint.pt", "sasrec-meta/cases.json")
        let expected = try SASRecConfiguration {
            $0.width = 32
            $0.layers = 2
            $0.heads = 2
            $0.feedForward = 48
            $0.layerOrder = .original
            $0.affineNorms = false
            $0.positions = .fromOldest
            $0.maxSequenceLength = 30
            $0.maxOutputLength = 11
            $0.outputNormalization = .l2
            $0.itemL2Norm = true
            $0.rows = 251
            $0.layerNormEpsilon = 1e-8
            $0.outputEpsilon = 1e-6
        }
        #expect(architecture == Architecture(expected))
    }

    @Test(arguments: [("original", 2), ("pre", 1), ("post", 2)])
    func sasrecOfPyTorch_IsConfiguredAsDescribed(order: String, heads: Int) throws {
        let architecture = try architecture(
            "sasrec.pytorch",
            "sasrec-\(order)/checkpoint.pth",
            "sasrec-\(order)/cases.json"
        )
        let layerOrder = try #require(SASRecConfiguration.LayerOrder(rawValue: order))
        let expected = try SASRecConfiguration {
            $0.width = 24
            $0.layers = 2
            $0.heads = heads
            $0.feedForward = 24
            $0.layerOrder = layerOrder
            $0.affineNorms = true
            $0.positions = .fromNewest
            $0.maxSequenceLength = 20
            $0.maxOutputLength = 0
            $0.outputNormalization = .affineLayerNorm
            $0.itemL2Norm = false
            $0.rows = 201
            $0.layerNormEpsilon = 1e-8
            $0.outputEpsilon = 1e-8
        }
        #expect(architecture == Architecture(expected))
    }

    @Test func llama_IsConfiguredByItsOwnConfiguration() throws {
        let small = try LlamaConfiguration {
            $0.width = 32
            $0.layers = 2
            $0.heads = 4
            $0.keyValueHeads = 2
            $0.headDimension = 8
            $0.feedForward = 64
            $0.rope = RotaryEmbedding(theta: 10_000, pairing: .halves)
            $0.maxSequenceLength = 32
            $0.tied = true
            $0.rows = 301
            $0.rmsNormEpsilon = 1e-6
        }
        #expect(try architecture("huggingface", "llama-small", "llama-small/cases.json") == Architecture(small))
        let scaling = RotaryEmbedding.Scaling.llama3(
            factor: 8,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            originalLength: 8
        )
        let everything = try LlamaConfiguration {
            $0.width = 4
            $0.layers = 1
            $0.heads = 2
            $0.keyValueHeads = 1
            $0.headDimension = 2
            $0.feedForward = 6
            $0.rope = RotaryEmbedding(theta: 500_000, scaling: scaling, pairing: .halves)
            $0.attentionBias = true
            $0.mlpBias = true
            $0.maxSequenceLength = 8
            $0.tied = false
            $0.embeddingScale = .squareRootOfWidth
            $0.scoreNormalization = .l2
            $0.rows = 7
            $0.rmsNormEpsilon = 1e-5
        }
        let folder = "trainer-forms/llama-bfloat16"
        #expect(try architecture("huggingface", folder, folder + "/import.json") == Architecture(everything))
    }

    @Test func gpt2_IsConfiguredByItsOwnConfiguration() throws {
        let small = try GPTConfiguration {
            $0.width = 32
            $0.layers = 2
            $0.heads = 4
            $0.feedForward = 128
            $0.positionRows = 32
            $0.maxSequenceLength = 32
            $0.tied = true
            $0.rows = 301
        }
        #expect(try architecture("huggingface", "gpt2-small", "gpt2-small/cases.json") == Architecture(small))
        let bare = try GPTConfiguration {
            $0.width = 4
            $0.layers = 1
            $0.heads = 2
            $0.feedForward = 6
            $0.scaleAttentionByLayer = true
            $0.positionRows = 8
            $0.maxSequenceLength = 8
            $0.tied = false
            $0.rows = 7
        }
        let folder = "trainer-forms/gpt2-bare"
        #expect(try architecture("huggingface", folder, folder + "/import.json") == Architecture(bare))
    }

    @Test func positionTableAsLongAsTheWindow_IsTheOlderNumbering() throws {
        let folder = try TemporaryDirectory()
        let describe = try folder.write(
            "import.json",
            """
            {"architecture": "sasrec", "source": "sasrec.pytorch", "max_sequence_length": 5, "d": 4, "blocks": 1,
             "heads": 1, "layer_order": "original"}
            """.utf8
        )
        let path = fixture("trainer-forms/sasrec-every-slot.pth")
        let summary = try runImport(path, describe: describe, format: "sasrec.pytorch", into: folder)
        guard let configuration = summary.configuration.architecture.configuration as? SASRecConfiguration else {
            Issue.record("not SASRec")
            return
        }
        #expect(configuration.positions == .everySlot)
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        try check(bundle, against: "trainer-forms/sasrec-every-slot.json")
    }

    @Test func performanceLaw_ImportsWithItsConventions() throws {
        let folder = try TemporaryDirectory()
        let describe = try folder.write(
            "import.json",
            """
            {"architecture": "llama", "source": "performance-law", "max_sequence_length": 50, "d": 8, "blocks": 1,
             "heads": 4}
            """.utf8
        )
        let path = fixture("trainer-forms/performance-law.pth")
        let summary = try runImport(path, describe: describe, format: "performance-law", into: folder)
        let expected = try LlamaConfiguration {
            $0.width = 8
            $0.layers = 1
            $0.heads = 4
            $0.keyValueHeads = 2
            $0.headDimension = 2
            $0.feedForward = 32
            $0.rope = RotaryEmbedding(theta: 10_000, pairing: .interleaved)
            $0.maxSequenceLength = 50
            $0.attendsPadding = true
            $0.tied = true
            $0.embeddingScale = .squareRootOfWidth
            $0.rows = 7
            $0.rmsNormEpsilon = 1e-5
        }
        #expect(summary.configuration.architecture == Architecture(expected))
        #expect(summary.ignoredTensors == ["output.weight"])
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        try check(bundle, against: "trainer-forms/performance-law.json")
    }

    @Test func inspection_ShowsTheVariantOfEachArchitecture() throws {
        for (format, path, describe, words) in [
            (
                "meta", "sasrec-meta/checkpoint.pt", "sasrec-meta/cases.json",
                "original layer order, norms without weights"
            ),
            ("sasrec.pytorch", "sasrec-pre/checkpoint.pth", "sasrec-pre/cases.json", "pre layer order, norms with"),
            ("huggingface", "llama-small", "llama-small/cases.json", "rotary, halves, theta 10000.0"),
            ("huggingface", "gpt2-small", "gpt2-small/cases.json", "tied head"),
        ] {
            let folder = try TemporaryDirectory()
            try runImport(fixture(path), describe: fixture(describe), format: format, into: folder)
            let inspection = BundleInspection(try ModelBundle.load(directory: folder.path + "/bundle"))
            #expect(inspection.text.contains(words), "\(inspection.text)")
            #expect(inspection.text.contains("bytes of float32 per event"))
        }
    }

    /// The tables of formats in the documentation.
    @Test func everyFormat_IsInTheReadmeAndOnThePageOfImporters() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let readme = try String(contentsOfFile: root + "/README.md", encoding: .utf8)
        let page = try String(contentsOfFile: root + "/Sources/Importers/Importers.docc/Importers.md", encoding: .utf8)
        for importer in ImporterRegistry.importers {
            #expect(readme.contains("`genrec import --from \(importer.format)`"), "README.md lacks \(importer.format)")
            #expect(page.contains("| `\(importer.format)` |"), "Importers.md lacks \(importer.format)")
            for word in importer.architectures + [importer.source] {
                #expect(page.contains("`\(word)`"), "Importers.md lacks \(word)")
            }
        }
    }

    private func architecture(_ format: String, _ path: String, _ describe: String) throws -> Architecture {
        let folder = try TemporaryDirectory()
        return try runImport(fixture(path), describe: fixture(describe), format: format, into: folder)
            .configuration.architecture
    }
}
