// HSTU as in Meta's generative-recommenders research code, with the ablations of the scaling study: its settings and
// tensors. Nothing is guessed from shapes. The mathematics is in HSTU.swift.

package import Compute
internal import JSON

/// The object under `model` in a bundle of architecture `hstu`.
package struct HSTUConfiguration: ArchitectureConfiguration {
    /// Post-processing of the sequence output.
    package enum OutputNormalization: String, Sendable, CaseIterable {
        case l2
        case layerNorm = "layer_norm"
    }

    /// The function that turns a score s = q · k + b into an attention weight; `attention` in `config.json`.
    package enum AttentionActivation: String, Sendable, CaseIterable {
        /// silu(s) / N, HSTU's own.
        case silu
        /// The causal softmax of s / sqrt(dqk), for comparison.
        case softmax
    }

    package var width = 0
    package var layers = 0
    /// H
    package var heads = 0
    /// dqk, per head
    package var attentionDimension = 0
    /// dv, per head
    package var linearDimension = 0
    package var maxSequenceLength = 0
    package var maxOutputLength = 0
    package var attentionActivation = AttentionActivation.silu
    package var hasGate = true
    package var concatUA = false
    package var relativeBias = RelativeBiasKind.positionAndTime
    package var timeBuckets = 128
    package var outputNormalization = OutputNormalization.l2
    package var itemL2Norm = true
    package var rows = 0
    package var layerNormEpsilon = 1e-6
    package var l2Epsilon = 1e-6

    package init() {}

    package var architecture: Architecture.Name { .hstu }
    package var variant: String {
        relativeBias == .positionAndTime && attentionActivation == .silu && hasGate ? "as published" : "ablated"
    }

    package static let settings: [Setting<Self>] = [
        .width, .layers, .integer("heads", \.heads, ArchitectureLimit.heads, "H").stating("heads") { "\($0.heads)" },
        .integer(
            "attention_dimension",
            \.attentionDimension,
            ArchitectureLimit.dimension,
            "dqk, width of a head's query and key"
        ).stating("attention dimension") { "\($0.attentionDimension) per head" },
        .integer(
            "linear_dimension",
            \.linearDimension,
            ArchitectureLimit.dimension,
            "dv, width of a head's value and gate"
        ).stating("linear dimension") { "\($0.linearDimension) per head" },
        .window,
        .integer(
            "max_output_length",
            \.maxOutputLength,
            ArchitectureLimit.length,
            "positions that training reserves after the window; N is the sum of both"
        ).stating("padded length") { "\($0.paddedLength)" },
        .choice(
            "attention",
            \.attentionActivation,
            "the weight of a score s: silu(s)/N, or the causal softmax of s/sqrt(dqk)",
            isOptional: true
        ).stating("attention") { $0.attentionActivation.rawValue },
        .boolean(
            "gate",
            \.hasGate,
            "the attended values are multiplied by u; without it there are no columns u",
            isOptional: true
        ),
        .boolean(
            "concat_ua",
            \.concatUA,
            "the output projection reads [u, norm(y), u ⊙ norm(y)] instead of u ⊙ norm(y)"
        ).stating("gate") { $0.hasGate ? $0.concatUA ? "concatenated (concat_ua)" : "product" : "none" },
        relativeBias,
        .timeBuckets(\.timeBuckets).stating("relative bias") { $0.relativeBias.fact(timeBuckets: $0.timeBuckets) },
        .choice("output_normalization", \.outputNormalization, "of the last row before scoring")
            .stating("output normalization") { $0.outputNormalization.rawValue },
        .itemL2Norm(\.itemL2Norm), .rows,
        .epsilon("layer_norm_epsilon", \.layerNormEpsilon, "of the layer norms"),
        .epsilon("l2_epsilon", \.l2Epsilon, "of the L2 norms"),
    ]

    /// Accepts true and false too: older bundles do not distinguish the parts of the bias.
    private static var relativeBias: Setting<Self> {
        let words = Setting<Self>.relativeBias(\.relativeBias)
        return Setting(
            words.key,
            values: words.values,
            words.meaning + "; true means the last, false the first",
            take: { (fields, owner) throws(JSONError) in
                guard fields.isBoolean(words.key) else { return try words.take(&fields, &owner) }
                owner.relativeBias = try fields.boolean(words.key) ? .positionAndTime : .none
            },
            json: words.json
        )
    }

    package func contradiction() -> String? {
        let limit = ArchitectureLimit.dimension.upperBound
        if heads * max(attentionDimension, linearDimension) > limit {
            return "heads times attention_dimension or linear_dimension is more than \(limit)"
        }
        return hasGate || !concatUA ? nil : "concat_ua must be false where gate is"
    }

    /// N: the constant of the attention's 1/N, the rows of the position table, and half the positional bias.
    package var paddedLength: Int { maxSequenceLength + maxOutputLength }

    package var keyValueShape: KeyValueShape {
        KeyValueShape(layers: layers, heads: heads, keyColumns: attentionDimension, valueColumns: linearDimension)
    }

    package func makeDecoder(
        _ loader: WeightLoader,
        eligible: [UInt64]
    ) throws(ComputeError) -> any DecoderModel {
        try HSTU(self, loader, eligible: eligible)
    }
}

// MARK: - Weights

extension HSTUConfiguration {
    /// Names of the tensors in `model.safetensors`.
    package enum TensorName {
        /// (V + 1, D)
        package static let itemEmbedding = "item_embedding.weight"
        /// (N, D)
        package static let positionEmbedding = "position_embedding.weight"
        /// (D, 2·H·dv + 2·H·dqk), input-major: y = x · W. Columns in the order u, v, q, k, each with its heads side by
        /// side. Without a gate there are no columns u: (D, H·dv + 2·H·dqk).
        package static func uvqk(_ layer: Int) -> ParameterName { ParameterName("layers.\(layer).uvqk") }
        /// (D, H·dv), with `concatUA` (D, 3·H·dv); output-major: y = x · Wᵀ. The bias is (D).
        package static func output(_ layer: Int) -> ParameterName { ParameterName("layers.\(layer).output") }
    }

    /// Columns of the first projection.
    package var uvqkColumns: Int { heads * ((hasGate ? 2 : 1) * linearDimension + 2 * attentionDimension) }

    /// Inputs of the output projection.
    package var outputInputs: Int { heads * linearDimension * (concatUA ? 3 : 1) }

    package var tensorSpecifications: [TensorSpecification] {
        var specifications = [
            TensorSpecification(TensorName.itemEmbedding, [rows, width]),
            TensorSpecification(TensorName.positionEmbedding, [paddedLength, width]),
        ]
        for layer in 0..<layers {
            specifications.append(TensorSpecification(TensorName.uvqk(layer).weight, [width, uvqkColumns]))
            specifications += relativeBias.tensorSpecifications(
                layer: layer,
                paddedLength: paddedLength,
                timeBuckets: timeBuckets
            )
            specifications.append(TensorSpecification(TensorName.output(layer).weight, [width, outputInputs]))
            specifications.append(TensorSpecification(TensorName.output(layer).bias, [width]))
        }
        return specifications
    }

    package var layerOperations: LayerOperations {
        LayerOperations(
            keyValue: 2 * width * heads * (linearDimension + attentionDimension),
            otherLinear: 2 * width * (uvqkColumns - heads * (linearDimension + attentionDimension) + outputInputs),
            pair: 2 * heads * (attentionDimension + linearDimension)
        )
    }
}
