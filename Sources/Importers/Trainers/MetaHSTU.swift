// HSTU in Meta's checkpoints: what the description says of it, and the names and shapes of its `state_dict` beside our
// own.

internal import JSON
import Models

/// What the description says of an HSTU model.
struct MetaHSTU {
    private let dimensions: MetaImporter.Dimensions
    private let attentionDimension: Int
    private let linearDimension: Int
    private let concatUA: Bool
    private let relativeBias: RelativeBiasKind
    private let attention: HSTUConfiguration.AttentionActivation
    private let hasGate: Bool

    init(_ fields: inout JSONFields) throws(JSONError) {
        dimensions = try MetaImporter.Dimensions(&fields)
        attentionDimension = try fields.integer("dqk", in: ArchitectureLimit.dimension)
        linearDimension = try fields.integer("dv", in: ArchitectureLimit.dimension)
        concatUA = try fields.boolean("concat_ua", default: false)
        relativeBias = try Self.relativeBias(&fields)
        attention = try fields.choice("attention", of: HSTUConfiguration.AttentionActivation.self, default: .silu)
        hasGate = try fields.boolean("gate", default: true)
    }

    /// Meta's own switch knows all or nothing; the other one says which part.
    private static func relativeBias(_ fields: inout JSONFields) throws(JSONError) -> RelativeBiasKind {
        let isStated = fields.contains("enable_relative_attention_bias")
        let isEnabled = try fields.boolean("enable_relative_attention_bias", default: true)
        let kind = try fields.choice(
            "relative_attention_bias",
            of: RelativeBiasKind.self,
            default: isEnabled ? .positionAndTime : RelativeBiasKind.none
        )
        guard !isStated || isEnabled == (kind != .none) else {
            throw JSONError("relative_attention_bias contradicts enable_relative_attention_bias")
        }
        return kind
    }

    /// The model with so many item rows, and where its tensors stand. Both sides store them alike, so nothing is
    /// transposed: `_uvqk` input-major with columns u, v, q, k; `_o.weight` output-major.
    func model(rows: Int) throws(JSONError) -> (architecture: Architecture, sources: TensorSources) {
        let configuration = try HSTUConfiguration(
            width: dimensions.width,
            layers: dimensions.layers,
            heads: dimensions.heads,
            attentionDimension: attentionDimension,
            linearDimension: linearDimension,
            maxSequenceLength: dimensions.maxSequenceLength,
            maxOutputLength: dimensions.maxOutputLength,
            concatUA: concatUA,
            relativeBias: relativeBias,
            attentionActivation: attention,
            hasGate: hasGate,
            outputNormalization: dimensions.normalization == .l2 ? .l2 : .layerNorm,
            itemL2Norm: dimensions.itemL2Norm,
            rows: rows
        )
        typealias Name = HSTUConfiguration.TensorName
        var sources: TensorSources = [
            Name.itemEmbedding: [SourceTensor(MetaImporter.TableName.items)],
            Name.positionEmbedding: [SourceTensor(MetaImporter.TableName.positions)],
        ]
        for layer in 0..<configuration.layers {
            let prefix = "_hstu._attention_layers.\(layer)."
            // The module with the positional part alone calls it `_w`.
            let position = relativeBias == .position ? "_w" : "_pos_w"
            sources[Name.uvqk(layer)] = [SourceTensor(prefix + "_uvqk")]
            sources[Name.timeBias(layer)] = [SourceTensor(prefix + "_rel_attn_bias._ts_w")]
            sources[Name.positionBias(layer)] = [SourceTensor(prefix + "_rel_attn_bias." + position)]
            sources[Name.output(layer)] = [SourceTensor(prefix + "_o.weight")]
            sources[Name.outputBias(layer)] = [SourceTensor(prefix + "_o.bias")]
        }
        return (.hstu(configuration), sources)
    }
}
