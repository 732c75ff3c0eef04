// SASRec in Meta's checkpoints: the keys of the description, and how its `state_dict` maps to our tensors.

internal import JSON
import Models

/// The description's keys for Meta's SASRec.
///
/// Meta's trainer has neither a relative bias nor a layer order other than `original`. With these two keys stated, the
/// model is the variant of the scaling study, whose attention layers hold bias modules under HSTU's names.
struct MetaSASRec {
    private let dimensions: MetaImporter.Dimensions
    private let feedForward: Int
    private let layerOrder: SASRecConfiguration.LayerOrder
    private let relativeBias: RelativeBiasKind

    /// The values that follow from the shapes: all except the number of heads.
    static func facts(_ state: StateDictionary) throws(ImportError) -> [JSONMember] {
        var facts = [JSONMember("blocks", .integer(state.layerCount("attention_layers.")))]
        if let width = try state.shape(of: "forward_layers.0._conv1d.0.bias")?.first {
            facts.append(JSONMember("ffn", .integer(width)))
        }
        let bias = "attention_layers.0._rel_attn_bias."
        if state.names.contains(bias + "_ts_w") {
            facts.append(JSONMember("relative_attention_bias", .string(RelativeBiasKind.positionAndTime.rawValue)))
        } else if state.names.contains(bias + "_w") {
            facts.append(JSONMember("relative_attention_bias", .string(RelativeBiasKind.position.rawValue)))
        }
        return facts
    }

    init(_ fields: inout JSONFields) throws(JSONError) {
        dimensions = try MetaImporter.Dimensions(&fields)
        feedForward = try fields.integer("ffn", in: ArchitectureLimit.dimension)
        layerOrder = try fields.choice("layer_order", of: SASRecConfiguration.LayerOrder.self, default: .original)
        relativeBias = try fields.choice(
            "relative_attention_bias",
            of: RelativeBiasKind.self,
            default: RelativeBiasKind.none
        )
    }

    /// The model with this many item rows, and where its tensors are. The feed-forward's matrices are convolutions of
    /// kernel size 1, (N, K, 1).
    func model(rows: Int) throws(JSONError) -> (architecture: Architecture, sources: TensorSources) {
        let configuration = try SASRecConfiguration {
            $0.width = dimensions.width
            $0.layers = dimensions.layers
            $0.heads = dimensions.heads
            $0.feedForward = feedForward
            $0.layerOrder = layerOrder
            $0.affineNorms = false
            $0.positions = .fromOldest
            $0.maxSequenceLength = dimensions.maxSequenceLength
            $0.maxOutputLength = dimensions.maxOutputLength
            $0.relativeBias = relativeBias
            $0.outputNormalization = dimensions.normalization == .l2 ? .l2 : .layerNorm
            $0.itemL2Norm = dimensions.itemL2Norm
            $0.rows = rows
            $0.outputEpsilon = 1e-6
        }
        typealias Name = TransformerTensor
        let width = dimensions.width
        var sources: TensorSources = [
            Name.itemEmbedding: [SourceTensor(MetaImporter.TableName.items)],
            Name.positionEmbedding: [SourceTensor(MetaImporter.TableName.positions)],
        ]
        for layer in 0..<configuration.layers {
            let attention = "attention_layers.\(layer)."
            let convolution = "forward_layers.\(layer)._conv1d."
            let position = relativeBias == .position ? "_w" : "_pos_w"
            sources[Name.qkv(layer).weight] = [SourceTensor(attention + "in_proj_weight")]
            sources[Name.qkv(layer).bias] = [SourceTensor(attention + "in_proj_bias")]
            sources[RelativeBiasKind.timeName(layer)] = [SourceTensor(attention + "_rel_attn_bias._ts_w")]
            sources[RelativeBiasKind.positionName(layer)] = [SourceTensor(attention + "_rel_attn_bias." + position)]
            sources[Name.attentionOutput(layer).weight] = [SourceTensor(attention + "out_proj.weight")]
            sources[Name.attentionOutput(layer).bias] = [SourceTensor(attention + "out_proj.bias")]
            sources[Name.hidden(layer).weight] = [SourceTensor(convolution + "0.weight", [feedForward, width, 1])]
            sources[Name.hidden(layer).bias] = [SourceTensor(convolution + "0.bias")]
            sources[Name.feedForwardOutput(layer).weight] = [
                SourceTensor(convolution + "3.weight", [width, feedForward, 1])
            ]
            sources[Name.feedForwardOutput(layer).bias] = [SourceTensor(convolution + "3.bias")]
        }
        return (Architecture(configuration), sources)
    }
}
