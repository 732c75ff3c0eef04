// Checkpoints of Hugging Face's transformers: a directory with `config.json` and the weights, in safetensors or, if
// old, as written by `torch.save`; in one file, or in shards with an index. `config.json` states everything; a
// description may override it. Each architecture has its own file.

import Glibc
internal import JSON
import Models

/// A transformers architecture.
struct HuggingFaceArchitecture: Sendable {
    /// Its `model_type`.
    let modelType: String
    /// The class whose weights are read, as `architectures` names it.
    let className: String
    /// Its names in descriptions.
    let descriptionKeys: [String]
    /// The prefix that the class with a head adds to the names of the class without one.
    let prefix: String
    /// The item table's name after the prefix.
    let itemTable: String
    /// Takes the keys that the architecture uses.
    let model: @Sendable (inout JSONFields) throws(JSONError) -> any HuggingFaceModel
}

/// A model as `config.json` describes it.
protocol HuggingFaceModel: Sendable {
    /// The number of positions in training, and the key that states it.
    var positions: (key: String, count: Int) { get }
    var isTied: Bool { get }

    func architecture(_ stated: HuggingFaceDescription) throws(JSONError) -> Architecture
    /// Where the checkpoint holds our tensors.
    func sources(prefix: String) -> TensorSources
    /// Buffers that older versions also saved.
    func buffers(prefix: String) -> Set<String>
}

/// What the description adds to `config.json`.
struct HuggingFaceDescription {
    private enum EmbedScale: String, CaseIterable {
        case one
        case squareRoot = "sqrt_d"
    }

    let maxSequenceLength: Int
    let embeddingScale: EmbeddingScale
    let scoreNormalization: ScoreNormalization

    init(_ fields: inout JSONFields) throws(JSONError) {
        maxSequenceLength = try fields.integer("max_sequence_length", in: ArchitectureLimit.length)
        let scale = try fields.choice("embed_scale", of: EmbedScale.self, default: .one)
        embeddingScale = scale == .one ? .one : .squareRootOfWidth
        scoreNormalization = try fields.choice(
            "score_norm",
            of: ScoreNormalization.self,
            default: ScoreNormalization.none
        )
    }
}

/// Imports Hugging Face directories.
struct HuggingFaceImporter: CheckpointImporter {
    let format = "huggingface"
    var architectures: [String] { Self.kinds.flatMap(\.descriptionKeys) }

    private static let kinds = [
        HuggingFaceLlama.kind(.llama, className: "LlamaForCausalLM"), HuggingFaceGPT2.kind,
        HuggingFaceLlama.kind(.qwen2, className: "Qwen2ForCausalLM"),
        HuggingFaceLlama.kind(.qwen3, className: "Qwen3ForCausalLM"),
    ]
    private static let head = "lm_head.weight"

    func open(path: String, description: ImportDescription, weights: String?) throws(ImportError) -> any ImportedModel {
        try description.check(for: self)
        guard weights == nil else {
            throw ImportError(
                .unsupported,
                "--weights is for files of torch.save; a Hugging Face folder holds one model"
            )
        }
        let weightsPath = try Self.weightsPath(path)
        var configuration = try HuggingFaceConfiguration(
            path: weightsPath.parentFolder + "config.json",
            overrides: Self.overrides(description)
        )
        let kind: HuggingFaceArchitecture
        let parsed: any HuggingFaceModel
        do throws(JSONError) {
            kind = try Self.kind(&configuration.fields)
            parsed = try kind.model(&configuration.fields)
        } catch {
            throw ImportError(.unsupported, "\(configuration.path): \(error.description)")
        }
        let stated = try Self.stated(description, configuration, kind, parsed)
        let architecture: Architecture
        do throws(JSONError) {
            architecture = try parsed.architecture(stated)
        } catch {
            throw ImportError(.mismatched, "\(configuration.path): \(error.description)")
        }

        let semanticIDs = try description.semanticIDs.map { value throws(ImportError) in
            try SemanticIDImport(
                value,
                description: description.name,
                folder: weightsPath.parentFolder,
                rows: architecture.configuration.rows,
                window: architecture.configuration.maxSequenceLength
            )
        }
        let file = try openFile(weightsPath)
        let source: any TensorSource =
            weightsPath.hasSuffix(".json") ? try ShardedTensors(index: file) : try openTensors(weightsPath)
        let prefix = source.names.contains(kind.prefix + kind.itemTable) ? kind.prefix : ""
        var ignorable = parsed.buffers(prefix: prefix)
        if parsed.isTied { ignorable.insert(Self.head) }
        let model = try NamedTensorModel(
            source,
            file: file,
            architecture: architecture,
            sources: parsed.sources(prefix: prefix),
            ignorable: ignorable,
            semanticIDs: semanticIDs,
            description: configuration.path
        )
        if parsed.isTied, source.names.contains(Self.head) {
            guard try source.areEqual(Self.head, prefix + kind.itemTable) else {
                throw ImportError(
                    .mismatched,
                    "\(source.path): tensor \(quoted(Self.head)) differs from \(quoted(prefix + kind.itemTable)), "
                        + "to which \(configuration.path) ties it"
                )
            }
        }
        return model
    }

    /// The weights file or the index of its shards: `path` itself, or found in the directory.
    private static func weightsPath(_ path: String) throws(ImportError) -> String {
        func mode(_ path: String) -> mode_t? {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
        }
        guard mode(path) == S_IFDIR else { return path }
        let folder = path.hasSuffix("/") ? path : path + "/"
        let names = [
            "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
        ]
        if let name = names.first(where: { mode(folder + $0) != nil }) {
            return folder + name
        }
        guard mode(folder + "adapter_config.json") == nil else {
            throw ImportError(
                .unsupported,
                "\(path) holds a LoRA adapter without its model; merge it into the model and save that"
            )
        }
        throw ImportError(
            .unreadable,
            "\(path) has neither \(names[0]) nor \(names[2]), nor a shard index of either"
        )
    }

    /// The architecture that `model_type` and `architectures` name.
    private static func kind(
        _ configuration: inout JSONFields
    ) throws(JSONError) -> HuggingFaceArchitecture {
        let classes = try configuration.strings("architectures") ?? []
        let named = kinds.first { classes.contains($0.className) }
        let type = try configuration.string("model_type", default: named?.modelType ?? "")
        guard let kind = kinds.first(where: { $0.modelType == type }) else {
            let known = kinds.map { quoted($0.modelType) }.joined(separator: " and ")
            throw JSONError("model_type \(quoted(type)) is not supported, only \(known)")
        }
        guard classes.isEmpty || classes == [kind.className] else {
            let found = classes.map { quoted($0) }.joined(separator: ", ")
            throw JSONError("architectures is \(found), not \(quoted(kind.className)), the class of \(type)")
        }
        try configuration.refuse("quantization_config")
        return kind
    }

    /// A description's values for keys of `config.json`.
    private static func overrides(_ description: ImportDescription) -> [JSONMember] {
        description.members.compactMap { member in
            if member.key == "tied" { return JSONMember("tie_word_embeddings", member.value) }
            return ImportDescription.knownKeys.contains(member.key) ? nil : member
        }
    }

    /// Takes the description's own keys. The window defaults to all positions of training.
    private static func stated(
        _ description: ImportDescription,
        _ configuration: HuggingFaceConfiguration,
        _ kind: HuggingFaceArchitecture,
        _ parsed: any HuggingFaceModel
    ) throws(ImportError) -> HuggingFaceDescription {
        if let architecture = description.architecture, !kind.descriptionKeys.contains(architecture) {
            throw ImportError(
                .mismatched,
                "\(description.name): architecture \(architecture) contradicts \(configuration.path)"
            )
        }
        let window = min(parsed.positions.count, ArchitectureLimit.length.upperBound)
        let completed = try description.completed(
            by: [JSONMember("max_sequence_length", .integer(window))],
            asking: [],
            of: configuration.path
        )
        let stated = try completed.take { fields throws(JSONError) in
            let stated = try HuggingFaceDescription(&fields)
            for key in fields.names where configuration.knows(key) { _ = fields.optional(key) }
            return stated
        }
        guard stated.maxSequenceLength <= parsed.positions.count else {
            throw ImportError(
                .mismatched,
                "\(description.name): max_sequence_length \(stated.maxSequenceLength) is more than "
                    + "the \(parsed.positions.key) \(parsed.positions.count) of \(configuration.path)"
            )
        }
        return stated
    }
}
