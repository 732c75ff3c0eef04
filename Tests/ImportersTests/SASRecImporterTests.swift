// SASRec and Performance-Law checkpoints that contradict their description: one sentence each that names the fault.

import Models
import TestSupport
import Testing

@testable import Importers

extension TinyCheckpoint {
    /// A bare state dict of these tensors.
    init(_ shapes: [(String, [Int])]) {
        self.init()
        tensors = shapes.enumerated().map { TinyTensor($1.0, $1.1, key: "\($0)") }
        stateKey = nil
    }

    /// D 4, one layer, 7 rows; `positions` rows of the position table.
    static func sasrec(positions: Int = 6) -> TinyCheckpoint {
        var shapes: [(String, [Int])] = [("item_emb.weight", [7, 4]), ("pos_emb.weight", [positions, 4])]
        for name in ["attention_layernorms.0", "forward_layernorms.0", "last_layernorm"] {
            shapes += [(name + ".weight", [4]), (name + ".bias", [4])]
        }
        shapes += [
            ("attention_layers.0.in_proj_weight", [12, 4]), ("attention_layers.0.in_proj_bias", [12]),
            ("attention_layers.0.out_proj.weight", [4, 4]), ("attention_layers.0.out_proj.bias", [4]),
            ("forward_layers.0.conv1.weight", [4, 4, 1]), ("forward_layers.0.conv1.bias", [4]),
            ("forward_layers.0.conv2.weight", [4, 4, 1]), ("forward_layers.0.conv2.bias", [4]),
        ]
        return TinyCheckpoint(shapes)
    }

    /// D 4, F 6, one layer, N 6, 7 rows.
    static func metaSASRec() -> TinyCheckpoint {
        TinyCheckpoint([
            ("_attn_mask", [6, 6]), ("_embedding_module._item_emb.weight", [7, 4]),
            ("_input_features_preproc._pos_emb.weight", [6, 4]), ("attention_layers.0.in_proj_weight", [12, 4]),
            ("attention_layers.0.in_proj_bias", [12]), ("attention_layers.0.out_proj.weight", [4, 4]),
            ("attention_layers.0.out_proj.bias", [4]), ("forward_layers.0._conv1d.0.weight", [6, 4, 1]),
            ("forward_layers.0._conv1d.0.bias", [6]), ("forward_layers.0._conv1d.3.weight", [4, 6, 1]),
            ("forward_layers.0._conv1d.3.bias", [4]),
        ])
    }

    /// D 4, F 6, one layer, two heads, one key/value head, 7 rows.
    static func performanceLaw() -> TinyCheckpoint {
        TinyCheckpoint([
            ("item_emb.weight", [7, 4]), ("output.weight", [7, 4]), ("norm.weight", [4]),
            ("layers.0.attention_norm.weight", [4]), ("layers.0.ffn_norm.weight", [4]),
            ("layers.0.attention.wq.weight", [4, 4]), ("layers.0.attention.wk.weight", [2, 4]),
            ("layers.0.attention.wv.weight", [2, 4]), ("layers.0.attention.wo.weight", [4, 4]),
            ("layers.0.feed_forward.w1.weight", [6, 4]), ("layers.0.feed_forward.w2.weight", [4, 6]),
            ("layers.0.feed_forward.w3.weight", [6, 4]),
        ])
    }
}

@Suite struct SASRecImporterTests {
    private func message(_ checkpoint: TinyCheckpoint, _ description: String?, format: String) throws -> String {
        let folder = try TemporaryDirectory()
        let path = try folder.write("checkpoint.pth", checkpoint.bytes)
        let describe = try description.map { try folder.write("import.json", $0.utf8) }
        do {
            try runImport(path, describe: describe, format: format, into: folder)
            return "no error"
        } catch {
            #expect(try !folder.names().contains { $0.hasPrefix("bundle") })
            let message = "\(error)"
            #expect(!message.contains("\n"))
            return message
        }
    }

    private static let description = """
        {"architecture": "sasrec", "source": "sasrec.pytorch", "max_sequence_length": 5, "d": 4, "blocks": 1, "heads": 2,
         "layer_order": "original"}
        """
    private static let metaDescription = """
        {"architecture": "sasrec", "source": "meta-generative-recommenders", "max_sequence_length": 5,
         "max_output_length": 1, "d": 4, "blocks": 1, "heads": 2, "ffn": 6}
        """
    private static let lawDescription = """
        {"architecture": "llama", "source": "performance-law", "max_sequence_length": 5, "d": 4, "blocks": 1, "heads": 2}
        """

    // MARK: - SASRec.pytorch

    private func pytorch(
        _ checkpoint: TinyCheckpoint = .sasrec(),
        _ part: String = "",
        _ replacement: String = ""
    ) throws -> String {
        let description = part.isEmpty ? Self.description : Self.description.replacing(part, with: replacement)
        return try message(checkpoint, description, format: "sasrec.pytorch")
    }

    @Test(arguments: [
        ("\"heads\": 2", "\"heads\": 2", "no error"),
        (", \"heads\": 2", "", "import.json, with values in place of the nulls"),
        (",\n \"layer_order\": \"original\"", "", "add {\"layer_order\":null} to "),
        (", \"d\": 4, \"blocks\": 1", "", "no error"),
        ("\"max_sequence_length\": 5, ", "", "add {\"max_sequence_length\":null} to "),
        ("\"original\"", "\"norm_first\"", "layer_order must be \"original\" or \"pre\" or \"post\""),
        ("\"original\"", "\"pre\"", "no error"),
        ("\"heads\": 2", "\"heads\": 3", "width 4 is not a multiple of heads, 3"),
        ("\"d\": 4", "\"d\": 6", "item_emb.weight\" has shape (7, 4), but with "),
        ("\"blocks\": 1", "\"blocks\": 2", "tensor \"attention_layernorms.1.weight\" is missing"),
        ("\"max_sequence_length\": 5", "\"max_sequence_length\": 4", "has 6 rows, but the max_sequence_length 4 of "),
        (
            "sasrec.pytorch", "huggingface",
            "source must be sasrec.pytorch, the only one that --from sasrec.pytorch reads"
        ),
        ("\"sasrec\"", "\"hstu\"", "architecture hstu is not supported by --from sasrec.pytorch, only sasrec"),
        ("\"heads\": 2", "\"heads\": 2, \"norm_first\": true", "the key \"norm_first\" is not known"),
        ("\"heads\": 2", "\"heads\": 2, \"item_l2_norm\": true", "no error"),
    ])
    func descriptionOfPyTorch_ThatIsWrong(part: String, replacement: String, expected: String) throws {
        let message = try pytorch(.sasrec(), part, replacement)
        #expect(message.contains(expected), "\(message)")
    }

    @Test func positionTable_TellsTheNumbering() throws {
        #expect(try pytorch(.sasrec(positions: 5)) == "no error")
        let older = try pytorch(.sasrec(positions: 5), "original", "post")
        #expect(
            older.contains("has 5 rows, as many as max_sequence_length, but layer_order post of ")
        )
        #expect(try pytorch(.sasrec(positions: 7)).contains("has 7 rows, but the max_sequence_length 5 of "))
    }

    @Test func tensorsOfPyTorch_ThatDoNotFit() throws {
        func changed(_ body: (inout TinyCheckpoint) -> Void) throws -> String {
            var checkpoint = TinyCheckpoint.sasrec()
            body(&checkpoint)
            return try pytorch(checkpoint)
        }
        #expect(
            try changed { $0.tensors.removeAll { $0.name == "last_layernorm.bias" } }.contains(
                "tensor \"last_layernorm.bias\" is missing"
            )
        )
        #expect(
            try changed { $0.tensors.append(TinyTensor("abs_pos_K_emb.weight", [5, 4], key: "x")) }.contains(
                "tensor \"abs_pos_K_emb.weight\" is left over"
            )
        )
        #expect(
            try changed { $0.change("conv1.weight") { ($0.shape, $0.strides) = ([4, 4], [4, 1]) } }.contains(
                "conv1.weight\" has shape (4, 4), but with "
            )
        )
        #expect(
            try changed { $0.change("pos_emb.weight") { ($0.shape, $0.strides) = ([24], [1]) } }.contains(
                "not (positions, d)"
            )
        )
        #expect(
            try message(.sasrec(), nil, format: "sasrec.pytorch").hasSuffix(
                "does not state heads (attention heads), layer_order (\"original\", \"pre\" or \"post\"), "
                    + "max_sequence_length (the trainer's maxlen): give --describe a file with "
                    + "{\"heads\":null,\"layer_order\":null,\"max_sequence_length\":null}, "
                    + "with values in place of the nulls; the checkpoint states d 4, blocks 1"
            )
        )
    }

    /// The template reduced to the requested answers, filled in.
    @Test func answersAlone_AreEnough() throws {
        #expect(
            try message(
                .sasrec(),
                "{\"heads\": 2, \"layer_order\": \"pre\", \"max_sequence_length\": null}",
                format: "sasrec.pytorch"
            ) == "no error"
        )
        #expect(
            try message(.performanceLaw(), "{\"heads\": 2, \"max_sequence_length\": 5}", format: "performance-law")
                == "no error"
        )
        #expect(try message(.metaSASRec(), "{\"heads\": 2, \"max_output_length\": 1}", format: "meta") == "no error")
    }

    // MARK: - Meta

    @Test(arguments: [
        ("\"ffn\": 6", "\"ffn\": 6", "no error"),
        ("\"ffn\": 6", "\"ffn\": 5", "_conv1d.0.weight\" has shape (6, 4, 1), but with "),
        (", \"ffn\": 6", "", "no error"),
        ("\"ffn\": 6", "\"ffn\": 6, \"layer_order\": \"pre\", \"norm\": \"ln\"", "no error"),
        ("\"ffn\": 6", "\"ffn\": 6, \"relative_attention_bias\": \"position\"", "_rel_attn_bias._w\" is missing"),
        (
            "\"architecture\": \"sasrec\"", "\"architecture\": \"hstu\"",
            "\"_hstu._attention_layers.0._uvqk\" is missing"
        ),
        ("\"max_output_length\": 1", "\"max_output_length\": 2", "_pos_emb.weight\" has shape (6, 4), but with "),
    ])
    func descriptionOfMeta_ThatIsWrong(part: String, replacement: String, expected: String) throws {
        let description = Self.metaDescription.replacing(part, with: replacement)
        let message = try message(.metaSASRec(), description, format: "meta")
        #expect(message.contains(expected), "\(message)")
    }

    // MARK: - Performance-Law

    @Test(arguments: [
        ("\"heads\": 2", "\"heads\": 2", "no error"),
        ("\"heads\": 2", "\"heads\": 1", "the keys have 2 columns, not a multiple of 4"),
        ("\"heads\": 2", "\"heads\": 3", "d 4 of "),
        ("\"heads\": 2", "\"heads\": 4", "head_dimension 1 is not even"),
        ("\"d\": 4", "\"d\": 8", "the keys have 2 columns, not a multiple of 4"),
        ("\"blocks\": 1", "\"blocks\": 2", "tensor \"layers.1.attention_norm.weight\" is missing"),
        ("\"performance-law\"", "\"sasrec.pytorch\"", "source must be performance-law"),
        ("\"llama\"", "\"hstu\"", "architecture hstu is not supported by --from performance-law"),
    ])
    func descriptionOfPerformanceLaw_ThatIsWrong(part: String, replacement: String, expected: String) throws {
        let description = Self.lawDescription.replacing(part, with: replacement)
        let message = try message(.performanceLaw(), description, format: "performance-law")
        #expect(message.contains(expected), "\(message)")
    }

    @Test func tensorsOfPerformanceLaw_ThatDoNotFit() throws {
        func changed(_ body: (inout TinyCheckpoint) -> Void) throws -> String {
            var checkpoint = TinyCheckpoint.performanceLaw()
            body(&checkpoint)
            return try message(checkpoint, Self.lawDescription, format: "performance-law")
        }
        #expect(try changed { $0.tensors.removeAll { $0.name == "output.weight" } } == "no error")
        #expect(
            try changed { $0.change("output.weight") { $0.content?[3] = 0x40 } }.contains(
                "\"output.weight\" differs from \"item_emb.weight\", which it is tied to"
            )
        )
        // The trainer's "HSTU" has one more projection.
        #expect(
            try changed { $0.tensors.append(TinyTensor("layers.0.attention.wu.weight", [4, 4], key: "x")) }.contains(
                "tensor \"layers.0.attention.wu.weight\" is left over"
            )
        )
        #expect(
            try changed { $0.tensors.append(TinyTensor("layers.0.attention.mask", [1, 1, 5, 5], key: "x")) }
                == "no error"
        )
        #expect(
            try changed { $0.tensors.removeAll { $0.name.hasSuffix("w1.weight") } }.contains("w1.weight\" is missing")
        )
        #expect(
            try message(.performanceLaw(), nil, format: "performance-law").contains(
                "{\"heads\":null,\"max_sequence_length\":null}"
            )
        )
    }
}
