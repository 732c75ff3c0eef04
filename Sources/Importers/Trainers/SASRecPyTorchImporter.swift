// Checkpoints of SASRec.pytorch: `torch.save(model.state_dict())`. Three layer orders have the same names and shapes,
// so the description must say which; the two position numberings differ by one row of their table, which tells them
// apart.

internal import Files
internal import JSON
import Models

/// Imports SASRec.pytorch's checkpoints.
struct SASRecPyTorchImporter: FileImporter {
    let format = "sasrec.pytorch"
    let architectures = ["sasrec"]

    private struct Stated {
        let width: Int
        let layers: Int
        let heads: Int
        let maxSequenceLength: Int
        let layerOrder: SASRecConfiguration.LayerOrder

        init(_ fields: inout JSONFields) throws(JSONError) {
            maxSequenceLength = try fields.integer("max_sequence_length", in: ArchitectureLimit.length)
            width = try fields.integer("d", in: ArchitectureLimit.dimension)
            layers = try fields.integer("blocks", in: ArchitectureLimit.layers)
            heads = try fields.integer("heads", in: ArchitectureLimit.heads)
            layerOrder = try fields.choice("layer_order", of: SASRecConfiguration.LayerOrder.self)
        }
    }

    private static let items = "item_emb.weight"
    private static let positions = "pos_emb.weight"
    private static let norm = "last_layernorm.weight"

    func open(
        _ checkpoint: InputFile,
        description: ImportDescription,
        weights: String?
    ) throws(ImportError) -> any ImportedModel {
        let state = try StateDictionary(
            TorchCheckpoint(checkpoint),
            anchors: [Self.items, Self.positions, Self.norm],
            choice: weights
        )
        let (rows, width) = try state.tableShape(Self.items, extents: "(items + 1, d)")
        let description = try description.completed(
            by: Self.facts(state, description, width: width),
            asking: Self.questions,
            of: state.path
        )
        let stated = try description.take { fields throws(JSONError) in try Stated(&fields) }
        let positions = try Self.positionNumbering(state, stated, description.name)
        let configuration: SASRecConfiguration
        do throws(JSONError) {
            configuration = try SASRecConfiguration {
                $0.width = stated.width
                $0.layers = stated.layers
                $0.heads = stated.heads
                $0.feedForward = stated.width
                $0.layerOrder = stated.layerOrder
                $0.affineNorms = true
                $0.positions = positions
                $0.maxSequenceLength = stated.maxSequenceLength
                $0.maxOutputLength = 0
                $0.outputNormalization = .affineLayerNorm
                $0.itemL2Norm = false
                $0.rows = rows
                $0.outputEpsilon = 1e-8
            }
        } catch {
            throw ImportError(.mismatched, "\(state.path): \(error.description)")
        }
        return try NamedTensorModel(
            state,
            file: checkpoint,
            architecture: Architecture(configuration),
            sources: Self.sources(configuration),
            outside: state.outside,
            description: description.name
        )
    }

    private static let questions = [
        ImportDescription.Question(key: "heads", meaning: "attention heads"),
        ImportDescription.Question(key: "layer_order", meaning: "\"original\", \"pre\" or \"post\""),
        ImportDescription.Question(key: "max_sequence_length", meaning: "the trainer's maxlen"),
    ]

    /// The values that follow from the shapes. With the layer orders `pre` and `post`, the position table always has
    /// one row more than the window.
    private static func facts(
        _ state: StateDictionary,
        _ description: ImportDescription,
        width: Int
    ) throws(ImportError) -> [JSONMember] {
        var facts = [
            JSONMember("d", .integer(width)), JSONMember("blocks", .integer(state.layerCount("attention_layers."))),
        ]
        let order = description.members.first { $0.key == "layer_order" }?.value
        if order == .string("pre") || order == .string("post") {
            let rows = try state.tableShape(positions, extents: "(positions, d)").rows
            facts.append(JSONMember("max_sequence_length", .integer(max(rows, 1) - 1)))
        }
        return facts
    }

    /// The numbering, from the table's rows. The table has one row more than the window since padding got its own
    /// position on 2024-06-25; the layer orders `pre` and `post` are younger.
    private static func positionNumbering(
        _ state: StateDictionary,
        _ stated: Stated,
        _ description: String
    ) throws(ImportError) -> SASRecConfiguration.PositionNumbering {
        let rows = try state.tableShape(positions, extents: "(positions, d)").rows
        let window = stated.maxSequenceLength
        if rows == window + 1 { return .fromNewest }
        guard rows == window else {
            throw ImportError(
                .mismatched,
                "\(state.path): tensor \(quoted(positions)) has \(rows) rows, "
                    + "but the max_sequence_length \(window) of \(description) needs \(window + 1) or \(window)"
            )
        }
        guard stated.layerOrder == .original else {
            throw ImportError(
                .mismatched,
                "\(state.path): tensor \(quoted(positions)) has \(rows) rows, as many as max_sequence_length, "
                    + "but layer_order \(stated.layerOrder.rawValue) of \(description) needs one more"
            )
        }
        return .everySlot
    }

    /// Where our tensors are. The feed-forward's matrices are convolutions of kernel size 1, (D, D, 1).
    private static func sources(_ configuration: SASRecConfiguration) -> TensorSources {
        typealias Name = TransformerTensor
        let convolution = [configuration.width, configuration.width, 1]
        var sources: TensorSources = [
            Name.itemEmbedding: [SourceTensor(items)],
            Name.positionEmbedding: [SourceTensor(positions)],
            Name.outputNorm.weight: [SourceTensor("last_layernorm.weight")],
            Name.outputNorm.bias: [SourceTensor("last_layernorm.bias")],
        ]
        for layer in 0..<configuration.layers {
            let attention = "attention_layers.\(layer)."
            let forward = "forward_layers.\(layer)."
            sources[Name.attentionNorm(layer).weight] = [SourceTensor("attention_layernorms.\(layer).weight")]
            sources[Name.attentionNorm(layer).bias] = [SourceTensor("attention_layernorms.\(layer).bias")]
            sources[Name.qkv(layer).weight] = [SourceTensor(attention + "in_proj_weight")]
            sources[Name.qkv(layer).bias] = [SourceTensor(attention + "in_proj_bias")]
            sources[Name.attentionOutput(layer).weight] = [SourceTensor(attention + "out_proj.weight")]
            sources[Name.attentionOutput(layer).bias] = [SourceTensor(attention + "out_proj.bias")]
            sources[Name.feedForwardNorm(layer).weight] = [SourceTensor("forward_layernorms.\(layer).weight")]
            sources[Name.feedForwardNorm(layer).bias] = [SourceTensor("forward_layernorms.\(layer).bias")]
            sources[Name.hidden(layer).weight] = [SourceTensor(forward + "conv1.weight", convolution)]
            sources[Name.hidden(layer).bias] = [SourceTensor(forward + "conv1.bias")]
            sources[Name.feedForwardOutput(layer).weight] = [SourceTensor(forward + "conv2.weight", convolution)]
            sources[Name.feedForwardOutput(layer).bias] = [SourceTensor(forward + "conv2.bias")]
        }
        return sources
    }
}
