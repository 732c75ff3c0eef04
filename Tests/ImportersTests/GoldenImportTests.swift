// Real checkpoints of Meta's trainer, and every form that torch.save can write: each imports, and every weight equals,
// bit for bit, the result of a second reader (Tests/Fixtures/make_fixtures.py).

import Catalogue
import Compute
import Files
import JSON
import Models
import TestSupport
import Testing

@testable import Importers

@Suite struct GoldenImportTests {
    /// Names in the bundle and in the checkpoint, listed independently of the importer.
    private static func names(layers: Int) -> [(ours: String, theirs: String)] {
        var names = [
            ("item_embedding.weight", "_embedding_module._item_emb.weight"),
            ("position_embedding.weight", "_input_features_preproc._pos_emb.weight"),
        ]
        for layer in 0..<layers {
            let prefix = "_hstu._attention_layers.\(layer)."
            names += [
                ("layers.\(layer).uvqk.weight", prefix + "_uvqk"),
                ("layers.\(layer).relative_bias.time", prefix + "_rel_attn_bias._ts_w"),
                ("layers.\(layer).relative_bias.position", prefix + "_rel_attn_bias._pos_w"),
                ("layers.\(layer).output.weight", prefix + "_o.weight"),
                ("layers.\(layer).output.bias", prefix + "_o.bias"),
            ]
        }
        return names
    }

    @Test(arguments: [
        ("hstu-small", 2), ("hstu-concat-ua", 2), ("hstu-uneven", 3), ("hstu-layernorm", 2), ("hstu-ml1m-shape", 2),
    ])
    func checkpointOfMeta_GivesItsTensorsBitForBit(name: String, layers: Int) throws {
        let folder = try TemporaryDirectory()
        let summary = try runImport(
            fixture("\(name)/checkpoint.pt"),
            describe: fixture("\(name)/cases.json"),
            into: folder
        )
        #expect(summary.ignoredTensors == ["_attn_mask"])
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        var expected = try JSONFields(try json(fixture("\(name)/tensors.json")))
        let names = Self.names(layers: layers)
        #expect(bundle.weights.names == names.map(\.ours))
        for (ours, theirs) in names {
            var fact = try expected.object(theirs)
            let tensor = try bundle.tensor(ours)
            #expect(try fact.value("shape") == .array(tensor.shape.map { .integer($0) }))
            #expect(widenedSHA256(tensor) == (try fact.string("sha256")), "\(ours)")
        }
        try expected.end()
        #expect(bundle.catalogue.count == bundle.architecture.configuration.rows - 1)
    }

    @Test(arguments: [
        "float16", "bfloat16", "float64", "shared", "transposed", "expanded", "sliced", "parameters", "protocol1",
        "protocol2", "protocol3", "protocol4", "protocol5", "deflated", "streamed", "zip64", "streamed-zip64-deflated",
        "adamw", "bare",
    ])
    func everyFormOfTorchSave_GivesTheSameValuesAsPython(form: String) throws {
        let folder = try TemporaryDirectory()
        let describe = try folder.write("import.json", tinyDescription.utf8)
        try runImport(fixture("torch-forms/\(form).pt"), describe: describe, into: folder)
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        var forms = try JSONFields(try json(fixture("torch-forms/tensors.json")))
        var expected = try forms.object(form)
        for (ours, theirs) in Self.names(layers: 1) {
            let tensor = try bundle.tensor(ours)
            #expect(
                widenedSHA256(tensor) == (try expected.string(theirs)),
                "\(ours)"
            )
        }
        try expected.end()
    }

    @Test func configuration_SaysWhatTheDescriptionSays() throws {
        let folder = try TemporaryDirectory()
        let checkpoint = fixture("hstu-layernorm/checkpoint.pt")
        let summary = try runImport(checkpoint, describe: fixture("hstu-layernorm/cases.json"), into: folder)
        let expected = try HSTUConfiguration {
            $0.width = 20
            $0.layers = 2
            $0.heads = 1
            $0.attentionDimension = 20
            $0.linearDimension = 20
            $0.maxSequenceLength = 16
            $0.maxOutputLength = 11
            $0.concatUA = false
            $0.relativeBias = .positionAndTime
            $0.outputNormalization = .layerNorm
            $0.itemL2Norm = true
            $0.rows = 151
        }
        #expect(summary.configuration.architecture == Architecture(expected))
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        #expect(bundle.configuration == summary.configuration)
        #expect(bundle.configuration.provenance.source == "meta")
        #expect(bundle.configuration.provenance.file == "checkpoint.pt")
        #expect(
            bundle.configuration.provenance.sha256 == (try sha256(of: InputFile(path: checkpoint)))
        )
        #expect(try folder.names() == ["bundle"], "nothing temporary is left")
    }

    @Test func sha256_IsThatOfTheStandard() {
        let digest = Array("abc".utf8).withUnsafeBytes { sha256(of: $0) }
        #expect(digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test func switches_OfTheDescriptionReachTheConfiguration() throws {
        let folder = try TemporaryDirectory()
        let concatenated = try runImport(
            fixture("hstu-concat-ua/checkpoint.pt"),
            describe: fixture("hstu-concat-ua/cases.json"),
            into: folder
        )
        guard let configuration = concatenated.configuration.architecture.configuration as? HSTUConfiguration else {
            return
        }
        #expect(configuration.concatUA)
        #expect(configuration.outputNormalization == .l2)
        #expect(configuration.itemL2Norm)
    }

    @Test func catalogue_IsCheckedAgainstTheTableAndWritten() throws {
        let folder = try TemporaryDirectory()
        let describe = try folder.write("import.json", tinyDescription.utf8)
        let catalogue = try folder.write(
            "catalogue.jsonl",
            """
            {"id": "b", "index": 6, "tags": ["x"], "extra": [1, {"a": null}]}
            {"index": 2, "id": "a", "title": "A", "popularity": 2.5}
            """.utf8
        )
        try runImport(fixture("torch-forms/bare.pt"), describe: describe, catalogue: catalogue, into: folder)
        #expect(
            String(decoding: try contents(of: folder.path + "/bundle/catalogue.jsonl"), as: UTF8.self) == """
                {"index":2,"id":"a","title":"A","popularity":2.5}
                {"index":6,"id":"b","tags":["x"],"popularity":0}

                """
        )
    }

    private func json(_ path: String) throws -> JSONValue {
        try InputFile.contents(of: path).withBytes { try JSONValue(parsing: $0) }
    }
}

/// From real checkpoints the importer derives everything except what the file does not contain.
@Suite struct ReadOffTests {
    @Test(arguments: [
        ("hstu-small", "checkpoint.pt", "meta"), ("hstu-concat-ua", "checkpoint.pt", "meta"),
        ("hstu-uneven", "checkpoint.pt", "meta"), ("hstu-ml1m-shape", "checkpoint.pt", "meta"),
        ("sasrec-meta", "checkpoint.pt", "meta"), ("sasrec-pre", "checkpoint.pth", "sasrec.pytorch"),
        ("sasrec-post", "checkpoint.pth", "sasrec.pytorch"),
    ])
    func headsAndOrderAlone_GiveTheSameBundle(name: String, file: String, format: String) throws {
        let folder = try TemporaryDirectory()
        let described = try runImport(
            fixture("\(name)/\(file)"),
            describe: fixture("\(name)/cases.json"),
            format: format,
            into: folder
        )
        let content = try contents(of: fixture("\(name)/cases.json"))
        let document = try content.withUnsafeBytes { try JSONValue(parsing: $0) }
        var fields = try JSONFields(document)
        var model = try fields.object("model")
        var answers = [JSONMember("heads", try model.value("heads"))]
        if let order = model.optional("layer_order") { answers.append(JSONMember("layer_order", order)) }
        let other = try TemporaryDirectory()
        let describe = try other.write("answers.json", JSONValue.object(answers).compact)
        let read = try runImport(fixture("\(name)/\(file)"), describe: describe, format: format, into: other)
        #expect(read.configuration == described.configuration)
    }
}
