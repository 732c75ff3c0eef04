// Checkpoints of USTC's Performance-Law: a Llama trained with SASRec's data conventions,
// `torch.save(model.state_dict())`. Its "HSTU" is another model under that name; its left-over tensors are refused.

internal import Files
internal import JSON
import Models

/// Imports Performance-Law's Llama: sqrt(D) · item row, rotary positions in interleaved pairs, RMS norms with ε 1e-5,
/// no biases, item rows as the head, and left padding of the window that is attended to like any item.
struct PerformanceLawImporter: FileImporter {
    let format = "performance-law"
    let architectures = ["llama"]

    private struct Stated {
        let width: Int
        let layers: Int
        let heads: Int
        let maxSequenceLength: Int

        init(_ fields: inout JSONFields) throws(JSONError) {
            maxSequenceLength = try fields.integer("max_sequence_length", in: ArchitectureLimit.length)
            width = try fields.integer("d", in: ArchitectureLimit.dimension)
            layers = try fields.integer("blocks", in: ArchitectureLimit.layers)
            heads = try fields.integer("heads", in: ArchitectureLimit.heads)
        }
    }

    private static let items = "item_emb.weight"
    private static let head = "output.weight"

    func open(
        _ checkpoint: InputFile,
        description: ImportDescription,
        weights: String?
    ) throws(ImportError) -> any ImportedModel {
        let state = try StateDictionary(
            TorchCheckpoint(checkpoint),
            anchors: [Self.items, "norm.weight", "layers.0.attention.wq.weight"],
            choice: weights
        )
        let (rows, width) = try state.tableShape(Self.items, extents: "(items + 1, d)")
        let description = try description.completed(
            by: [
                JSONMember("d", .integer(width)), JSONMember("blocks", .integer(state.layerCount("layers."))),
            ],
            asking: [
                ImportDescription.Question(key: "heads", meaning: "attention heads"),
                ImportDescription.Question(key: "max_sequence_length", meaning: "the training window"),
            ],
            of: state.path
        )
        let stated = try description.take { fields throws(JSONError) in try Stated(&fields) }
        // The trainer derives both from other settings (a multiple to round up to, an optional head count); the shapes
        // give them exactly.
        let feedForward = try state.tableShape("layers.0.feed_forward.w1.weight", extents: "(ffn, d)").rows
        let keyValueWidth = try state.tableShape("layers.0.attention.wk.weight", extents: "(heads of keys, d)").rows
        let configuration: LlamaConfiguration
        do throws(JSONError) {
            guard stated.width.isMultiple(of: stated.heads) else {
                throw JSONError("d \(stated.width) of \(description.name) is not a multiple of heads, \(stated.heads)")
            }
            let headDimension = stated.width / stated.heads
            guard keyValueWidth.isMultiple(of: headDimension) else {
                throw JSONError("the keys have \(keyValueWidth) columns, not a multiple of \(headDimension)")
            }
            configuration = try LlamaConfiguration {
                $0.width = stated.width
                $0.layers = stated.layers
                $0.heads = stated.heads
                $0.keyValueHeads = keyValueWidth / headDimension
                $0.headDimension = headDimension
                $0.feedForward = feedForward
                $0.rope = RotaryEmbedding(pairing: .interleaved)
                $0.maxSequenceLength = stated.maxSequenceLength
                $0.attendsPadding = true
                $0.tied = true
                $0.embeddingScale = .squareRootOfWidth
                $0.rows = rows
                $0.rmsNormEpsilon = 1e-5
            }
        } catch {
            throw ImportError(.mismatched, "\(state.path): \(error.description)")
        }
        let model = try NamedTensorModel(
            state,
            file: checkpoint,
            architecture: Architecture(configuration),
            sources: Self.sources(configuration),
            ignorable: Self.ignorable(layers: stated.layers),
            outside: state.outside,
            description: description.name
        )
        if state.names.contains(Self.head) {
            guard try state.areEqual(Self.head, Self.items) else {
                throw ImportError(
                    .mismatched,
                    "\(state.path): tensor \(quoted(Self.head)) differs from \(quoted(Self.items)), which it is tied to"
                )
            }
        }
        return model
    }

    /// The second name of the item table, and a mask that PyTorch before 2.0 needs.
    private static func ignorable(layers: Int) -> Set<String> {
        Set((0..<layers).map { "layers.\($0).attention.mask" } + [head])
    }

    private static func sources(_ configuration: LlamaConfiguration) -> TensorSources {
        typealias Name = TransformerTensor
        let width = configuration.width
        let query = [configuration.queryWidth, width]
        let keyValue = [configuration.keyValueWidth, width]
        let hidden = [configuration.feedForward, width]
        var sources: TensorSources = [
            Name.itemEmbedding: [SourceTensor(items)],
            Name.outputNorm.weight: [SourceTensor("norm.weight")],
        ]
        for layer in 0..<configuration.layers {
            let prefix = "layers.\(layer)."
            sources[Name.attentionNorm(layer).weight] = [SourceTensor(prefix + "attention_norm.weight")]
            sources[Name.qkv(layer).weight] = [
                SourceTensor(prefix + "attention.wq.weight", query),
                SourceTensor(prefix + "attention.wk.weight", keyValue),
                SourceTensor(prefix + "attention.wv.weight", keyValue),
            ]
            sources[Name.attentionOutput(layer).weight] = [SourceTensor(prefix + "attention.wo.weight")]
            sources[Name.feedForwardNorm(layer).weight] = [SourceTensor(prefix + "ffn_norm.weight")]
            sources[Name.gateUp(layer).weight] = [
                SourceTensor(prefix + "feed_forward.w1.weight", hidden),
                SourceTensor(prefix + "feed_forward.w3.weight", hidden),
            ]
            sources[Name.down(layer).weight] = [SourceTensor(prefix + "feed_forward.w2.weight")]
        }
        return sources
    }
}
