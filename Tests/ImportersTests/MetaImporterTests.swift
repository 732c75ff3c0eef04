// Invalid checkpoints and descriptions: one sentence each, and no files are left behind.

import Catalogue
import Files
import Models
import TestSupport
import Testing

@testable import Importers

@Suite struct MetaImporterTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func message(
        _ checkpoint: [UInt8],
        description: String? = tinyDescription,
        catalogue: String? = nil,
        format: String = "meta",
        name: String = "test"
    ) throws -> String {
        let path = try folder.write("checkpoint.pt", checkpoint)
        let describe = try description.map { try folder.write("import.json", $0.utf8) }
        let items = try catalogue.map { try folder.write("items.jsonl", $0.utf8) }
        do {
            try runImport(path, describe: describe, catalogue: items, format: format, name: name, into: folder)
            return "no error"
        } catch {
            let names = try folder.names()
            #expect(!names.contains { $0.hasPrefix("bundle") }, "nothing is left behind: \(names)")
            let message = "\(error)"
            #expect(!message.contains("\n"))
            return message
        }
    }

    private func message(_ change: (inout TinyCheckpoint) -> Void) throws -> String {
        var checkpoint = TinyCheckpoint()
        change(&checkpoint)
        return try message(checkpoint.bytes)
    }

    @Test(arguments: ["module.", ""])
    func honestCheckpoint_Imports(prefix: String) throws {
        #expect(try message(TinyCheckpoint(prefix: prefix).bytes) == "no error")
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        #expect(bundle.catalogue.idsAreIntegers)
        #expect(bundle.catalogue.row(ofInteger: 6) == 6)
    }

    @Test func bias_IsReadOffAndMayBeStated() throws {
        let without = TinyCheckpoint(relativeBias: false).bytes
        let with = TinyCheckpoint().bytes
        func described(_ isEnabled: Bool) -> String {
            tinyDescription.replacing("}", with: ", \"enable_relative_attention_bias\": \(isEnabled)}")
        }
        #expect(
            try message(without, description: described(true)).contains("_rel_attn_bias._ts_w\" is missing")
        )
        #expect(try message(with, description: described(false)).contains("_rel_attn_bias._pos_w\" is left over"))
        #expect(try message(without) == "no error")
    }

    @Test func timeBuckets_AreReadOff() throws {
        var checkpoint = TinyCheckpoint()
        checkpoint.change("_ts_w") { $0 = TinyTensor($0.name, [65], key: $0.key) }
        #expect(try message(checkpoint.bytes) == "no error")
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        guard let configuration = bundle.architecture.configuration as? HSTUConfiguration else { return }
        #expect(configuration.timeBuckets == 64)
    }

    // MARK: - Checkpoints

    @Test func missingTensor_IsNamed() throws {
        #expect(
            try message { $0.tensors.removeAll { $0.name.hasSuffix("_uvqk") } }.contains(
                "tensor \"_hstu._attention_layers.0._uvqk\" is missing"
            )
        )
        #expect(
            try message { $0.tensors.removeAll { $0.name.hasSuffix("_item_emb.weight") } }.contains(
                "nothing is close to \"_embedding_module._item_emb.weight\""
            )
        )
    }

    @Test func tensorTooMany_IsNamed() throws {
        #expect(
            try message { $0.tensors.append(TinyTensor("module.extra", [2], key: "x")) }.contains(
                "tensor \"extra\" is left over"
            )
        )
    }

    @Test func knownBuffer_IsIgnored() throws {
        #expect(try message { $0.tensors.append(TinyTensor("module._attn_mask", [6, 6], key: "x")) } == "no error")
    }

    @Test func tensorTwice_IsNamed() throws {
        #expect(
            try message { $0.tensors.append(TinyTensor("module._hstu._attention_layers.0._uvqk", [4, 12], key: "x")) }
                .contains("_uvqk\" appears twice")
        )
    }

    @Test func wrongShape_IsStatedWithBothShapes() throws {
        let message = try message { $0.change("_o.weight") { $0 = TinyTensor($0.name, [4, 5], key: $0.key) } }
        #expect(message.contains("_o.weight\" has shape (4, 5), but with "))
        #expect(message.contains("import.json it must be (4, 4)"))
    }

    @Test func positionTableOfAnotherLength_IsRefused() throws {
        let message = try message { $0.change("_pos_emb.weight") { $0 = TinyTensor($0.name, [5, 4], key: $0.key) } }
        #expect(message.contains("_pos_emb.weight\" has shape (5, 4)"))
        #expect(message.contains("it must be (6, 4)"))
    }

    @Test func itemTableOfAnotherRank_IsRefused() throws {
        #expect(
            try message { $0.change("_item_emb.weight") { $0 = TinyTensor($0.name, [28], key: $0.key) } }.contains(
                "has shape (28), not (rows, d)"
            )
        )
        #expect(
            try message { $0.change("_item_emb.weight") { $0 = TinyTensor($0.name, [1, 4], key: $0.key) } }.contains(
                "item_rows must be from 2"
            )
        )
    }

    @Test func viewBeyondItsStorage_IsRefused() throws {
        #expect(try message { $0.change("_uvqk") { $0.offset = 1 } }.contains("exceeds its storage of 48 elements"))
        #expect(try message { $0.change("_uvqk") { $0.strides = [13, 1] } }.contains("exceeds its storage"))
        #expect(try message { $0.change("_uvqk") { $0.strides = [Int.max, 1] } }.contains("exceeds its storage"))
        #expect(try message { $0.change("_uvqk") { $0.offset = Int.max } }.contains("exceeds its storage"))
    }

    @Test func hugeTableFromOneElement_IsRefusedBeforeAnythingIsSizedByIt() throws {
        let message = try message {
            $0.change("_item_emb.weight") { ($0.shape, $0.strides) = ([2_000_000_000, 4], [0, 0]) }
        }
        #expect(message.contains("of shape (2000000000, 4) exceeds its storage"))
    }

    @Test func storageOfAnotherSize_IsRefused() throws {
        #expect(
            try message { $0.change("_uvqk") { $0.content?.removeLast() } }.contains("has 191 bytes")
        )
        #expect(try message { $0.change("_uvqk") { $0.count = 47 } }.contains("storage of 47 float32"))
        #expect(try message { $0.change("_uvqk") { $0.count = Int.max } }.contains("has 192 bytes"))
        #expect(try message { $0.change("_uvqk") { $0.storageClass = "HalfStorage" } }.contains("48 float16"))
        #expect(try message { $0.change("_uvqk") { $0.content = nil } }.contains("the file does not have"))
    }

    @Test func storageKeyThatLeadsElsewhere_FindsNothing() throws {
        #expect(try message { $0.change("_uvqk") { $0.key = "../data.pkl" } }.contains("is not a plain path"))
    }

    @Test func integersAsWeights_AreRefused() throws {
        #expect(
            try message { $0.change("_uvqk") { $0.storageClass = "IntStorage" } }.contains(
                "is int32, but weights must be floating-point"
            )
        )
    }

    @Test(arguments: [[0, 0, 0xC0, 0x7F], [0, 0, 0x80, 0xFF]] as [[UInt8]])
    func nanOrInfinity_IsRefused(element: [UInt8]) throws {
        #expect(
            try message { $0.change("_o.bias") { $0.content?.replaceSubrange(4..<8, with: element) } }.contains(
                "\"layers.0.output.bias\" holds infinities or NaN"
            )
        )
    }

    @Test func checkpointWithoutStateDictionary_IsRefused() throws {
        let none = "holds no dictionary of tensors; looked for \"_embedding_module._item_emb.weight\" and "
        #expect(try message(zip([ZipBuilderEntry("a/data.pkl", "N.".utf8)])).contains(none))
        #expect(try message(zip([ZipBuilderEntry("a/data.pkl", "}X\u{1}\0\0\0aNs.".utf8)])).contains(none))
    }

    @Test func maliciousPickle_DoesNothing() throws {
        let pickle = "cposix\nsystem\nX\u{2}\0\0\0id\u{85}R.".unicodeScalars.map { UInt8($0.value) }
        let message = try message(zip([ZipBuilderEntry("a/data.pkl", pickle)]))
        #expect(message.contains("holds no dictionary of tensors"))
    }

    @Test func otherContainers_AreNamed() throws {
        let legacy: [UInt8] = [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
        #expect(try message(legacy).contains("the protocol's pickle: damaged pickle at byte 0: it ends"))
        #expect(try message(legacy + [0x4E, 0x2E]).contains("has an unknown version of PyTorch's old container"))
        #expect(try message([0x80, 4, 0x4E, 0x2E]).contains("is a bare pickle"))
        #expect(try message(Array("not a checkpoint at all".utf8)).contains("no end record"))
        #expect(try message([]).contains("no end record"))
        #expect(try message([UInt8](repeating: 0, count: 257) + Array("ustar".utf8)).contains("is a tar archive"))
        #expect(try message([9, 0, 0, 0, 0, 0, 0, 0] + Array("{}".utf8)).contains("safetensors"))
        #expect(try message(zip([ZipBuilderEntry("a.txt", [1])])).contains("0 entries like \"name/data.pkl\""))
        #expect(try message { $0.extraEntries = [ZipBuilderEntry("tiny/constants.pkl", [1])] }.contains("TorchScript"))
        #expect(try message { $0.byteOrder = Array("big".utf8) }.contains("is not little-endian"))
    }

    @Test func everyPrefixOfARealCheckpoint_IsRefused() throws {
        let bytes = try contents(of: fixture("torch-forms/deflated.pt"))
        for count in stride(from: 0, to: bytes.count, by: 37) {
            #expect(try message(Array(bytes[..<count])) != "no error")
        }
    }

    // MARK: - Descriptions

    @Test(arguments: [
        (#""d": 4, "#, "", "no error"),
        (#""blocks": 1, "#, "", "no error"),
        (#""dqk": 1, "dv": 2"#, #""d": 4"#, "the key \"d\" appears twice"),
        (#", "dqk": 1, "dv": 2"#, "", "no error"),
        (#""architecture": "hstu", "#, "", "no error"),
        (#""heads": 2, "#, "", "add {"),
        (#""d": 4"#, #""d": "4""#, "d must be an integer from 1 to 65536"),
        (#""d": 4"#, #""d": 0"#, "d must be an integer from 1 to 65536"),
        (#""d": 4"#, #""d": 4.0"#, "d must be an integer"),
        (#""d": 4"#, #""d": 99999999999999999999"#, "d must be an integer"),
        (#""d": 4"#, #""d": 4, "d": 4"#, "the key \"d\" appears twice"),
        (#""d": 4"#, #""d": 4, "width": 4"#, "the key \"width\" is not known"),
        (#""d": 4"#, #""d": 4, "norm": "batch""#, "norm must be \"l2\" or \"ln\""),
        (#""d": 4"#, #""d": 4, "item_l2_norm": 1"#, "item_l2_norm must be true or false"),
        (#""d": 4"#, #""d": 4, "ffn": 9, "layer_order": "pre", "tied": true"#, "no error"),
        (#""d": 4"#, #""d": 5"#, "_item_emb.weight\" has shape (7, 4)"),
        (#""heads": 2"#, #""heads": 1"#, "_uvqk\" has shape (4, 12)"),
        (#""blocks": 1"#, #""blocks": 2"#, "tensor \"_hstu._attention_layers.1._uvqk\" is missing"),
        (#""architecture": "hstu""#, #""architecture": "sasrec""#, "ffn is missing"),
        (#""architecture": "hstu""#, #""architecture": "llama""#, "architecture llama is not supported by --from meta"),
        (#""d": 4"#, #""d": 4, "relative_attention_bias": "none""#, "_rel_attn_bias._pos_w\" is left over"),
        (#""d": 4"#, #""d": 4, "relative_attention_bias": "position""#, "_rel_attn_bias._w\" is missing"),
        (
            #""d": 4"#, #""d": 4, "relative_attention_bias": "none", "enable_relative_attention_bias": true"#,
            "relative_attention_bias contradicts enable_relative_attention_bias"
        ),
        (#""d": 4"#, #""d": 4, "gate": false"#, "_uvqk\" has shape (4, 12), but with "),
        (#""d": 4"#, #""d": 4, "attention": "softmax""#, "no error"),
        (#""architecture": "hstu""#, #""architecture": "bert""#, "architecture must be \"hstu\" or "),
        ("meta-generative-recommenders", "huggingface", "source must be meta-generative-recommenders"),
        ("meta-generative-recommenders", "kaggle", "source must be "),
        ("{", "", "expected"),
        ("{", "[", "expected"),
    ])
    func description_ThatIsWrong(part: String, replacement: String, expected: String) throws {
        let description = tinyDescription.replacing(part, with: replacement)
        #expect(description != tinyDescription)
        let message = try message(TinyCheckpoint().bytes, description: description)
        #expect(message.contains(expected), "\(message)")
    }

    @Test func headsTimesDimensionBeyondTheLimit_IsRefused() throws {
        let description = tinyDescription.replacing("\"heads\": 2", with: "\"heads\": 1024")
            .replacing("\"dqk\": 1", with: "\"dqk\": 65536")
        #expect(
            try message(TinyCheckpoint().bytes, description: description).contains("heads times attention_dimension")
        )
    }

    @Test func missingDescription_SaysHowToGiveIt() throws {
        let message = try message(TinyCheckpoint().bytes, description: nil)
        #expect(
            message.hasSuffix(
                "does not state heads (attention heads): give --describe a file with "
                    + "{\"heads\":null}, with values in place of the nulls; the checkpoint states max_sequence_length 0, "
                    + "d 4, blocks 1, relative_attention_bias \"position_and_time\", time_buckets 128, concat_ua false"
            ),
            "\(message)"
        )
        #expect(
            throws: ImportError(.unreadable, ""),
            performing: {
                try runImport(fixture("torch-forms/bare.pt"), describe: folder.path + "/absent.json", into: folder)
            }
        )
    }

    @Test func wholeCasesFile_IsAccepted() throws {
        let document = "{\"catalogue_size\": 6, \"model\": \(tinyDescription), \"cases\": []}"
        #expect(try message(TinyCheckpoint().bytes, description: document) == "no error")
    }

    // MARK: - The rest of the call

    @Test(arguments: ["huggingface.co", "sasrec", "", "META"])
    func otherFormat_ListsWhatThereIs(format: String) throws {
        #expect(
            try message(TinyCheckpoint().bytes, format: format).hasSuffix(
                "are not supported; the supported formats are \(checkpointFormats.joined(separator: ", "))"
            )
        )
    }

    @Test(arguments: ["", "a\nb", String(repeating: "n", count: 129)])
    func bundleName_MustBePrintable(name: String) throws {
        #expect(try message(TinyCheckpoint().bytes, name: name).contains("name must be 1 to 128 bytes"))
    }

    @Test func catalogueThatDoesNotFit_IsRefusedWithItsLine() throws {
        let catalogue = "{\"index\": 1, \"id\": \"a\"}\n{\"index\": 7, \"id\": \"b\"}\n"
        let message = try message(TinyCheckpoint().bytes, catalogue: catalogue)
        #expect(message.contains("items.jsonl, line 2: index 7 is outside the item table, whose rows are 1 to 6"))
    }

    @Test func outputThatIsThere_IsNotTouched() throws {
        #expect(try message(TinyCheckpoint().bytes) == "no error")
        let before = try contents(of: folder.path + "/bundle/config.json")
        #expect(
            throws: FileError(.unwritable, ""),
            performing: {
                try runImport(
                    folder.path + "/checkpoint.pt",
                    describe: folder.path + "/import.json",
                    name: "other",
                    into: folder
                )
            }
        )
        #expect(try contents(of: folder.path + "/bundle/config.json") == before)
    }

    @Test func outputInAFolderThatIsNotThere_IsRefused() throws {
        let checkpoint = try folder.write("c.pt", TinyCheckpoint().bytes)
        let describe = try folder.write("i.json", tinyDescription.utf8)
        #expect(
            throws: FileError(.unwritable, ""),
            performing: {
                try importCheckpoint(
                    format: "meta",
                    checkpointPath: checkpoint,
                    describePath: describe,
                    cataloguePath: nil,
                    name: "n",
                    version: "1",
                    outputDirectory: folder.path + "/absent/bundle"
                )
            }
        )
    }
}
