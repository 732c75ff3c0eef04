// Invalid Hugging Face directories: one sentence each that names the key, the tensor or the file, and no files are left
// behind.

import Compute
import Models
import TestSupport
import Testing

@testable import Importers

/// A synthetic safetensors file, and its directory.
struct TinyDirectory {
    var tensors: [(name: String, shape: [Int], dtype: String)]
    var config: String
    var description: String

    static let elementBytes = ["F32": 4, "F16": 2, "BF16": 2, "I32": 4, "BOOL": 1]

    /// D 4, one layer, two heads, one key/value head, F 6, 7 rows.
    static func llama(_ layers: Int = 1) -> TinyDirectory {
        var shapes: [(String, [Int])] = [("model.embed_tokens.weight", [7, 4]), ("model.norm.weight", [4])]
        for layer in 0..<layers {
            let prefix = "model.layers.\(layer)."
            shapes += [
                (prefix + "self_attn.q_proj.weight", [4, 4]), (prefix + "self_attn.k_proj.weight", [2, 4]),
                (prefix + "self_attn.v_proj.weight", [2, 4]), (prefix + "self_attn.o_proj.weight", [4, 4]),
                (prefix + "mlp.gate_proj.weight", [6, 4]), (prefix + "mlp.up_proj.weight", [6, 4]),
                (prefix + "mlp.down_proj.weight", [4, 6]), (prefix + "input_layernorm.weight", [4]),
                (prefix + "post_attention_layernorm.weight", [4]),
            ]
        }
        return TinyDirectory(
            tensors: shapes.map { ($0.0, $0.1, "F32") },
            config: """
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4,
                 "num_hidden_layers": \(layers), "num_attention_heads": 2, "num_key_value_heads": 1,
                 "intermediate_size": 6, "max_position_embeddings": 16, "vocab_size": 7, "rms_norm_eps": 1e-05,
                 "tie_word_embeddings": true, "rope_theta": 10000.0, "rope_scaling": null, "hidden_act": "silu"}
                """,
            description: """
                {"architecture": "llama", "source": "huggingface", "max_sequence_length": 8}
                """
        )
    }

    static func gpt2() -> TinyDirectory {
        let shapes: [(String, [Int])] = [
            ("wte.weight", [7, 4]), ("wpe.weight", [8, 4]), ("ln_f.weight", [4]), ("ln_f.bias", [4]),
            ("h.0.ln_1.weight", [4]), ("h.0.ln_1.bias", [4]), ("h.0.ln_2.weight", [4]), ("h.0.ln_2.bias", [4]),
            ("h.0.attn.c_attn.weight", [4, 12]), ("h.0.attn.c_attn.bias", [12]), ("h.0.attn.c_proj.weight", [4, 4]),
            ("h.0.attn.c_proj.bias", [4]), ("h.0.mlp.c_fc.weight", [4, 16]), ("h.0.mlp.c_fc.bias", [16]),
            ("h.0.mlp.c_proj.weight", [16, 4]), ("h.0.mlp.c_proj.bias", [4]),
        ]
        return TinyDirectory(
            tensors: shapes.map { ("transformer." + $0.0, $0.1, "F32") },
            config: """
                {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 4, "n_layer": 1, "n_head": 2,
                 "n_inner": null, "n_positions": 8, "vocab_size": 7, "activation_function": "gelu_new"}
                """,
            description: """
                {"architecture": "gpt2", "source": "huggingface", "max_sequence_length": 8}
                """
        )
    }

    mutating func change(_ suffix: String, _ body: (inout (name: String, shape: [Int], dtype: String)) -> Void) {
        for index in tensors.indices where tensors[index].name.hasSuffix(suffix) { body(&tensors[index]) }
    }

    mutating func remove(_ suffix: String) { tensors.removeAll { $0.name.hasSuffix(suffix) } }

    mutating func add(_ name: String, _ shape: [Int], _ dtype: String = "F32") { tensors.append((name, shape, dtype)) }

    /// A file of these tensors; every element's bytes are `fill`.
    static func file(_ tensors: [(name: String, shape: [Int], dtype: String)], fill: UInt8 = 0) -> [UInt8] {
        var header: [String] = []
        var offset = 0
        for (name, shape, dtype) in tensors {
            let end = offset + shape.reduce(1, *) * (elementBytes[dtype] ?? 1)
            header.append("\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(offset),\(end)]}")
            offset = end
        }
        let text = Array("{\(header.joined(separator: ","))}".utf8)
        let length = UInt64(text.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + text
            + [UInt8](repeating: fill, count: offset)
    }
}

@Suite struct HuggingFaceImporterTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    /// An import's message about a directory.
    private func message(
        _ directory: TinyDirectory,
        described: Bool = true,
        at path: String? = nil,
        files: [String: [UInt8]]? = nil
    ) throws -> String {
        let files = files ?? ["model.safetensors": TinyDirectory.file(directory.tensors)]
        for (name, content) in files { _ = try folder.write(name, content) }
        _ = try folder.write("config.json", directory.config.utf8)
        let describe = try folder.write("import.json", directory.description.utf8)
        do {
            try runImport(
                path ?? folder.path,
                describe: described ? describe : nil,
                format: "huggingface",
                into: folder
            )
            return "no error"
        } catch {
            let names = try folder.names()
            #expect(!names.contains { $0.hasPrefix("bundle") }, "nothing is left behind: \(names)")
            let message = "\(error)"
            #expect(!message.contains("\n"))
            return message
        }
    }

    private func llama(_ part: String, _ replacement: String) throws -> String {
        var directory = TinyDirectory.llama()
        directory.config = directory.config.replacing(part, with: replacement)
        #expect(directory.config != TinyDirectory.llama().config)
        return try message(directory)
    }

    private func described(_ more: String, _ directory: TinyDirectory = .llama()) throws -> String {
        var directory = directory
        directory.description = directory.description.replacing("}", with: ", \(more)}")
        return try message(directory)
    }

    @Test func honestDirectories_Import() throws {
        #expect(try message(.llama(2)) == "no error")
        let bundle = try ModelBundle.load(directory: folder.path + "/bundle")
        #expect(bundle.architecture.name == .llama)
    }

    @Test(arguments: ["F32", "F16", "BF16"])
    func everyFloatType_Imports(dtype: String) throws {
        var directory = TinyDirectory.gpt2()
        for index in directory.tensors.indices { directory.tensors[index].dtype = dtype }
        #expect(try message(directory) == "no error")
    }

    @Test func namesWithoutPrefix_Import() throws {
        var directory = TinyDirectory.llama()
        for index in directory.tensors.indices { directory.tensors[index].name.removeFirst("model.".count) }
        #expect(try message(directory) == "no error")
    }

    // MARK: - config.json

    @Test(arguments: [
        ("\"model_type\": \"llama\"", "\"model_type\": \"mistral\"", "model_type \"mistral\" is not supported, only "),
        ("[\"LlamaForCausalLM\"]", "[\"LlamaForSequenceClassification\"]", "architectures is \"LlamaForSequence"),
        ("[\"LlamaForCausalLM\"]", "\"LlamaForCausalLM\"", "architectures must be an array"),
        ("[\"LlamaForCausalLM\"], \"model_type\": \"llama\"", "null", "model_type \"\" is not supported"),
        ("\"model_type\": \"llama\", ", "", "no error"),
        ("[\"LlamaForCausalLM\"]", "null", "no error"),
        ("\"hidden_size\": 4,", "", "hidden_size is missing"),
        ("\"hidden_size\": 4", "\"hidden_size\": 8", "embed_tokens.weight\" has shape (7, 4), but with "),
        ("\"vocab_size\": 7", "\"vocab_size\": 8", "config.json it must be (8, 4)"),
        ("\"vocab_size\": 7", "\"vocab_size\": 1e30", "vocab_size must be an integer"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "num_attention_heads must be an integer"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "head_dimension 1 is not even"),
        ("\"num_key_value_heads\": 1", "\"num_key_value_heads\": null", "k_proj.weight\" has shape (2, 4)"),
        ("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2", "tensor \"model.layers.1.input_layernorm.weight\" is"),
        ("\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act \"gelu\" is not supported, only \"silu\""),
        ("\"hidden_act\"", "\"attention_bias\": true, \"hidden_act\"", "self_attn.q_proj.bias\" is missing"),
        ("\"hidden_act\"", "\"mlp_bias\": true, \"hidden_act\"", "mlp.gate_proj.bias\" is missing"),
        ("\"hidden_act\"", "\"quantization_config\": {}, \"hidden_act\"", "quantization_config is not supported"),
        ("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "\"lm_head.weight\" is missing"),
        ("\"tie_word_embeddings\": true, ", "", "\"lm_head.weight\" is missing"),
        (
            "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}",
            "type \"dynamic\" is not"
        ),
        (
            "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2}",
            "type \"yarn\" is not"
        ),
        ("\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\"}", "rope_scaling.factor is missing"),
        ("\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}", "no error"),
        (
            "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"linear\", \"type\": \"llama3\"}",
            "contradicts type"
        ),
        ("\"rope_scaling\": null", "\"rope_scaling\": []", "rope_scaling must be an object"),
        ("\"rope_scaling\": null", "\"rope_scaling\": {}, \"rope_parameters\": {}", "cannot both be given"),
        (
            "\"rope_scaling\": null", "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e4}",
            "no error"
        ),
        ("\"rope_scaling\": null", "\"partial_rotary_factor\": 0.5", "partial_rotary_factor 0.5 is not supported"),
        ("{\"archi", "[\"archi", "config.json: "),
        ("{\"archi", "{\"hidden_size\": 4, \"archi", "the key \"hidden_size\" appears twice"),
    ])
    func configuration_ThatIsWrong(part: String, replacement: String, expected: String) throws {
        let message = try llama(part, replacement)
        #expect(message.contains(expected), "\(message)")
        #expect(message == "no error" || message.contains("config.json") || message.contains("tensor"))
    }

    @Test(arguments: [
        (
            "\"activation_function\": \"gelu_new\"", "\"activation_function\": \"gelu\"",
            "activation_function \"gelu\" is"
        ),
        ("\"activation_function\": \"gelu_new\"", "\"activation_function\": \"gelu_pytorch_tanh\"", "no error"),
        ("\"n_inner\": null", "\"n_inner\": 8", "c_fc.weight\" has shape (4, 16), but with "),
        ("\"n_inner\": null", "\"add_cross_attention\": true", "add_cross_attention is not supported"),
        ("\"n_positions\": 8", "\"n_positions\": 9", "wpe.weight\" has shape (8, 4)"),
        ("\"n_positions\": 8", "\"n_positions\": 7", "max_sequence_length 8 is more than the n_positions 7 of "),
        ("\"n_head\": 2", "\"n_head\": 3", "width 4 is not a multiple of heads, 3"),
    ])
    func configurationOfGPT2_ThatIsWrong(part: String, replacement: String, expected: String) throws {
        var directory = TinyDirectory.gpt2()
        directory.config = directory.config.replacing(part, with: replacement)
        let message = try message(directory)
        #expect(message.contains(expected), "\(message)")
    }

    @Test(arguments: [
        ("\"use_sliding_window\": false", "no error"),
        ("\"use_sliding_window\": true", "no error"),
        ("\"use_sliding_window\": true, \"max_window_layers\": 0", "use_sliding_window is not supported"),
        (
            "\"use_sliding_window\": true, \"max_window_layers\": 0, \"layer_types\": [\"full_attention\"]",
            "no error"
        ),
        (
            "\"use_sliding_window\": false, \"layer_types\": [\"sliding_attention\"]",
            "layer_types \"sliding_attention\" is not supported, only \"full_attention\""
        ),
        ("\"layer_types\": []", "layer_types has 0 entries for 1 layers"),
        ("\"layer_types\": [1]", "layer_types must hold strings"),
    ])
    func windowsOfLayers_AreFoundAsTransformersFindsThem(more: String, expected: String) throws {
        var directory = TinyDirectory.llama()
        for (name, length) in [("q_proj", 4), ("k_proj", 2), ("v_proj", 2)] {
            directory.add("model.layers.0.self_attn.\(name).bias", [length])
        }
        directory.config = directory.config.replacing("llama", with: "qwen2").replacing("Llama", with: "Qwen2")
            .replacing("\"hidden_act\"", with: "\(more), \"hidden_act\"")
        directory.description = directory.description.replacing("llama", with: "qwen2")
        let message = try message(directory)
        #expect(message.contains(expected), "\(message)")
    }

    @Test func llama_KnowsNothingOfWindows() throws {
        let more = "\"use_sliding_window\": true, \"max_window_layers\": 0, \"layer_types\": [\"sliding_attention\"]"
        #expect(try llama("\"hidden_act\"", "\(more), \"hidden_act\"") == "no error")
    }

    // MARK: - The description

    @Test(arguments: [
        ("\"hidden_size\": 4, \"rms_norm_eps\": 0.00001, \"rope_theta\": 10000, \"tied\": true", "no error"),
        ("\"head_dim\": 2, \"architectures\": [\"LlamaForCausalLM\"]", "no error"),
        ("\"hidden_size\": 8", "embed_tokens.weight\" has shape (7, 4), but with "),
        ("\"num_key_value_heads\": 2", "k_proj.weight\" has shape (2, 4), but with "),
        ("\"rms_norm_eps\": 1e-6", "no error"),
        ("\"head_dim\": 4", "q_proj.weight\" has shape (4, 4), but with "),
        ("\"hidden_act\": \"gelu\"", "hidden_act \"gelu\" is not supported"),
        ("\"tied\": false", "\"lm_head.weight\" is missing"),
        ("\"tie_word_embeddings\": false", "\"lm_head.weight\" is missing"),
        ("\"torch_dtype\": \"float32\"", "the key \"torch_dtype\" is not known"),
        ("\"d\": 99, \"blocks\": 7", "no error"),
        ("\"width\": 4", "the key \"width\" is not known"),
        ("\"embed_scale\": 2", "embed_scale must be \"one\" or \"sqrt_d\""),
        ("\"score_norm\": \"ln\"", "score_norm must be \"none\" or \"l2\""),
    ])
    func description_OverridesTheConfiguration(more: String, expected: String) throws {
        let message = try described(more)
        #expect(message.contains(expected), "\(message)")
    }

    @Test func windowBeyondTheTrainedPositions_IsRefused() throws {
        var directory = TinyDirectory.llama()
        directory.description = directory.description.replacing("8}", with: "17}")
        #expect(
            try message(directory).contains("max_sequence_length 17 is more than the max_position_embeddings 16 of ")
        )
    }

    @Test func withoutADescription_TheConfigurationSaysAll() throws {
        #expect(try message(.llama(), described: false) == "no error")
        let llama = try ModelBundle.load(directory: folder.path + "/bundle").architecture.configuration
        #expect(llama.maxSequenceLength == 16)
        let other = try HuggingFaceImporterTests()
        #expect(try other.message(.gpt2(), described: false) == "no error")
        let gpt = try ModelBundle.load(directory: other.folder.path + "/bundle").architecture.configuration
        #expect(gpt.maxSequenceLength == 8)
    }

    /// Rotary positions may be declared without a limit; windows have one.
    @Test func windowOfAMillionPositions_IsTheLargestThereIs() throws {
        var directory = TinyDirectory.llama()
        directory.config = directory.config.replacing("_embeddings\": 16", with: "_embeddings\": 1048576")
        #expect(try message(directory, described: false) == "no error")
        let configuration = try ModelBundle.load(directory: folder.path + "/bundle").architecture.configuration
        #expect(configuration.maxSequenceLength == 65_536)
    }

    @Test func descriptionOfAnotherArchitecture_IsRefused() throws {
        var directory = TinyDirectory.llama()
        directory.description = directory.description.replacing("\"llama\"", with: "\"gpt\"")
        #expect(try message(directory).contains("import.json: architecture gpt contradicts "))
        directory.description = directory.description.replacing("\"gpt\"", with: "\"sasrec\"")
        #expect(try message(directory).contains("architecture sasrec is not supported by --from huggingface"))
    }

    // MARK: - Tensors

    @Test func tensorsThatDoNotFit_AreNamed() throws {
        func changed(_ body: (inout TinyDirectory) -> Void) throws -> String {
            var directory = TinyDirectory.llama()
            body(&directory)
            return try message(directory)
        }
        #expect(try changed { $0.remove("k_proj.weight") }.contains("self_attn.k_proj.weight\" is missing"))
        #expect(try changed { $0.remove("embed_tokens.weight") }.contains("\"embed_tokens.weight\" is missing"))
        #expect(
            try changed { $0.add("model.layers.1.mlp.up_proj.weight", [6, 4]) }.contains(
                "tensor \"model.layers.1.mlp.up_proj.weight\" is left over"
            )
        )
        #expect(
            try changed { $0.change("v_proj.weight") { $0.shape = [4, 4] } }.contains("has shape (4, 4), but with ")
        )
        #expect(
            try changed { $0.change("o_proj.weight") { $0.dtype = "I32" } }.contains(
                "o_proj.weight\" is int32, but weights must be floating-point"
            )
        )
        #expect(try changed { $0.add("lm_head.weight", [7, 4]) } == "no error")
    }

    @Test func tiedHeadThatDiffers_IsRefused() throws {
        var directory = TinyDirectory.llama()
        directory.add("lm_head.weight", [7, 4])
        var file = TinyDirectory.file(directory.tensors)
        // The last tensor's last element.
        file[file.count - 1] = 0x3F
        let message = try message(directory, files: ["model.safetensors": file])
        #expect(message.contains("\"lm_head.weight\" differs from \"model.embed_tokens.weight\", to which "))
    }

    @Test func weightsThatAreNotNumbers_AreRefused() throws {
        let directory = TinyDirectory.llama()
        let file = TinyDirectory.file(directory.tensors, fill: 0xFF)
        #expect(try message(directory, files: ["model.safetensors": file]).contains("holds infinities or NaN"))
    }

    // MARK: - Files

    @Test func directoryWithoutWeights_SaysWhatItLacks() throws {
        #expect(
            try message(.llama(), files: [:]).hasSuffix(
                "has neither model.safetensors nor pytorch_model.bin, nor a shard index of either"
            )
        )
        #expect(try message(.llama(), at: folder.path + "/absent").contains("cannot open"))
    }

    /// The output of torch.save for these tensors, whose bytes are all 0x3F.
    private func pickled(_ tensors: some Sequence<(name: String, shape: [Int], dtype: String)>) -> [UInt8] {
        var checkpoint = TinyCheckpoint(prefix: "")
        checkpoint.stateKey = nil
        checkpoint.tensors = tensors.enumerated().map { number, tensor in
            var made = TinyTensor(tensor.name, tensor.shape, key: "\(number)")
            made.content = [UInt8](repeating: 0x3F, count: 4 * made.count)
            return made
        }
        return checkpoint.bytes
    }

    private func index(_ shards: [String: [(name: String, shape: [Int], dtype: String)]]) -> [UInt8] {
        let entries = shards.flatMap { shard, tensors in tensors.map { "\"\($0.name)\": \"\(shard)\"" } }
        return Array("{\"metadata\": {}, \"weight_map\": {\(entries.joined(separator: ", "))}}".utf8)
    }

    @Test func weightsOfTorchSave_GiveTheBundleOfSafetensors() throws {
        func weights(_ files: [String: [UInt8]]) throws -> [UInt8] {
            let other = try HuggingFaceImporterTests()
            #expect(try other.message(.llama(2), files: files) == "no error")
            return Array(try contents(of: other.folder.path + "/bundle/model.safetensors"))
        }
        let tensors = TinyDirectory.llama(2).tensors
        let expected = try weights(["model.safetensors": TinyDirectory.file(tensors, fill: 0x3F)])
        #expect(try weights(["pytorch_model.bin": pickled(tensors)]) == expected)
        let shards = ["a.bin": Array(tensors.prefix(5)), "b.bin": Array(tensors.dropFirst(5))]
        var files = shards.mapValues { pickled($0) }
        files["pytorch_model.bin.index.json"] = index(shards)
        #expect(try weights(files) == expected)
        // Shards of both kinds.
        files["b.bin"] = TinyDirectory.file(Array(tensors.dropFirst(5)), fill: 0x3F)
        #expect(try weights(files) == expected)
    }

    @Test func shardsOfTorchSave_ThatDoNotFitTheirIndex_AreNamed() throws {
        let tensors = TinyDirectory.llama().tensors
        let shards = ["a.bin": Array(tensors.prefix(5)), "b.bin": Array(tensors.dropFirst(5))]
        func message(_ change: (inout [String: [UInt8]]) -> Void) throws -> String {
            var files = shards.mapValues { pickled($0) }
            files["pytorch_model.bin.index.json"] = index(shards)
            change(&files)
            return try HuggingFaceImporterTests().message(.llama(), files: files)
        }
        #expect(
            try message { $0["b.bin"] = pickled(tensors.dropFirst(6)) }.contains("is not in \"b.bin\", where the index")
        )
        #expect(try message { $0["a.bin"] = pickled(tensors) }.contains("a.bin is not in the index"))
        #expect(try message { $0["b.bin"] = nil }.contains("cannot open"))
        #expect(try message { $0["b.bin"] = [1, 2, 3] }.contains("b.bin"))
        #expect(try message { $0["b.bin"] = pickled([]) }.contains("b.bin is not a dictionary of tensors"))
    }

    @Test func configurationThatIsNotThere_IsNamed() throws {
        let path = try folder.write("model.safetensors", TinyDirectory.file(TinyDirectory.llama().tensors))
        let describe = try folder.write("import.json", TinyDirectory.llama().description.utf8)
        do {
            try runImport(path, describe: describe, format: "huggingface", into: folder)
            Issue.record("no error")
        } catch {
            #expect("\(error)".contains("cannot open \(folder.path)/config.json"))
        }
    }

    @Test func everyPrefixOfAFile_IsRefused() throws {
        let file = TinyDirectory.file(TinyDirectory.llama().tensors)
        for count in stride(from: 0, to: file.count, by: 61) {
            #expect(try message(.llama(), files: ["model.safetensors": Array(file[..<count])]) != "no error")
        }
    }

    /// An import's message about two shards and this index.
    private func sharded(_ change: (inout [(tensor: String, shard: String)]) -> Void) throws -> String {
        let directory = TinyDirectory.llama()
        let first = Array(directory.tensors[..<4])
        let second = Array(directory.tensors[4...])
        var map = first.map { (tensor: $0.name, shard: "a.safetensors") }
        map += second.map { (tensor: $0.name, shard: "b.safetensors") }
        change(&map)
        let text = map.map { "\"\($0.tensor)\": \"\($0.shard)\"" }.joined(separator: ",")
        return try message(
            directory,
            files: [
                "a.safetensors": TinyDirectory.file(first), "b.safetensors": TinyDirectory.file(second),
                "model.safetensors.index.json": Array("{\"metadata\": {}, \"weight_map\": {\(text)}}".utf8),
            ]
        )
    }

    @Test func indexAndShards_MustAgree() throws {
        #expect(try sharded { _ in } == "no error")
    }

    @Test func indexThatIsWrong_IsRefused() throws {
        #expect(
            try sharded { $0[0].shard = "b.safetensors" }.contains(
                "is not in \"b.safetensors\", where the index places"
            )
        )
        #expect(try sharded { $0.removeLast() }.contains("b.safetensors is not in the index"))
        #expect(try sharded { $0[0].shard = "c.safetensors" }.contains("cannot open"))
        #expect(try sharded { $0[0].tensor = "extra" }.contains("tensor \"extra\" is not in \"a.safetensors\""))
        for name in ["../a.safetensors", "/etc/passwd", "", ".", ".."] {
            #expect(try sharded { $0[0].shard = name }.contains("does not name a file in the same folder"))
        }
        #expect(try sharded { $0[0].shard = "a.safetensors\", \"x\": \"1" }.contains("cannot open"))
        let index = "model.safetensors.index.json"
        #expect(try message(.llama(), files: [index: Array("{}".utf8)]).contains("weight_map is missing"))
        #expect(
            try message(.llama(), files: [index: Array("{\"weight_map\": {\"a\": 1}}".utf8)]).contains(
                "is not a string"
            )
        )
        #expect(
            try message(.llama(), files: [index: Array("{\"weight_map\": {}}".utf8)]).contains(
                "tensor \"embed_tokens.weight\" is missing"
            )
        )
    }
}
