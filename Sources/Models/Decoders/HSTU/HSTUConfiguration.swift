// Dimensions and switches of HSTU as in Meta's generative-recommenders research code, and the tensors that follow from
// them. Nothing is guessed from shapes: a bundle's `config.json` states all of it. The mathematics is in HSTU.swift.

package import Compute
package import JSON

/// The object under `model` in a bundle of architecture `hstu`.
///
/// JSON key, meaning:
/// - `width`: D, the width of item and position rows and of the residual stream
/// - `layers`: L
/// - `heads`: H
/// - `attention_dimension`: dqk, width of a head's query and key
/// - `linear_dimension`: dv, width of a head's value and gate
/// - `max_sequence_length`: the window
/// - `max_output_length`: what training reserved behind the window; N is the sum of both
/// - `concat_ua`: the output projection reads [u, norm(y), u ⊙ norm(y)] instead of u ⊙ norm(y)
/// - `relative_attention_bias`: `none`, `position`, `position_and_time`; true and false, as bundles were written before
///   the parts could be told apart, are the last and the first
/// - `time_buckets`: the largest time bucket; the temporal bias has one entry more
/// - `attention`: `silu` (the default) or `softmax`
/// - `gate`: the attended values are multiplied by u (the default); without it there are no columns u
/// - `output_normalization`: `l2` or `layer_norm`, of the last row before scoring
/// - `item_l2_norm`: item rows are L2-normalised for scoring (not for input)
/// - `item_rows`: V + 1, rows of the item table with the padding row 0
/// - `layer_norm_epsilon`, `l2_epsilon`: the constants of the norms
package struct HSTUConfiguration: ArchitectureConfiguration {
    /// Post-processing of the sequence output.
    package enum OutputNormalization: String, Sendable, CaseIterable {
        case l2
        case layerNorm = "layer_norm"
    }

    /// What makes a weight of a score s = q · k + b. In `config.json` under `attention`.
    package enum AttentionActivation: String, Sendable, CaseIterable {
        /// silu(s) / N, HSTU's own.
        case silu
        /// The causal softmax of s / sqrt(dqk), to compare with.
        case softmax
    }

    /// D
    package let width: Int
    /// L
    package let layers: Int
    /// H
    package let heads: Int
    /// dqk, per head
    package let attentionDimension: Int
    /// dv, per head
    package let linearDimension: Int
    package let maxSequenceLength: Int
    package let maxOutputLength: Int
    package let concatUA: Bool
    package let relativeBias: RelativeBiasKind
    /// The largest bucket number; the temporal bias has `timeBuckets + 1` entries.
    package let timeBuckets: Int
    package let attentionActivation: AttentionActivation
    package let hasGate: Bool
    package let outputNormalization: OutputNormalization
    package let itemL2Norm: Bool
    /// V + 1
    package let rows: Int
    package let layerNormEpsilon: Double
    package let l2Epsilon: Double

    /// N: the constant of the attention's 1/N, the rows of the position table, and half the positional bias.
    package var paddedLength: Int { maxSequenceLength + maxOutputLength }

    /// Whether a part of the published model is missing or replaced.
    private var isAblated: Bool { relativeBias != .positionAndTime || attentionActivation != .silu || !hasGate }

    /// Checks every value and product; the bounds are far beyond any model and keep all later arithmetic from
    /// overflowing.
    ///
    /// - Throws: `JSONError` whose reason names the value by its JSON key.
    package init(
        width: Int,
        layers: Int,
        heads: Int,
        attentionDimension: Int,
        linearDimension: Int,
        maxSequenceLength: Int,
        maxOutputLength: Int,
        concatUA: Bool,
        relativeBias: RelativeBiasKind,
        timeBuckets: Int = 128,
        attentionActivation: AttentionActivation = .silu,
        hasGate: Bool = true,
        outputNormalization: OutputNormalization,
        itemL2Norm: Bool,
        rows: Int,
        layerNormEpsilon: Double = 1e-6,
        l2Epsilon: Double = 1e-6
    ) throws(JSONError) {
        self.width = width
        self.layers = layers
        self.heads = heads
        self.attentionDimension = attentionDimension
        self.linearDimension = linearDimension
        self.maxSequenceLength = maxSequenceLength
        self.maxOutputLength = maxOutputLength
        self.concatUA = concatUA
        self.relativeBias = relativeBias
        self.timeBuckets = timeBuckets
        self.attentionActivation = attentionActivation
        self.hasGate = hasGate
        self.outputNormalization = outputNormalization
        self.itemL2Norm = itemL2Norm
        self.rows = rows
        self.layerNormEpsilon = layerNormEpsilon
        self.l2Epsilon = l2Epsilon

        try ArchitectureLimit.check([
            ("width", width, ArchitectureLimit.dimension),
            ("layers", layers, ArchitectureLimit.layers),
            ("heads", heads, ArchitectureLimit.heads),
            ("attention_dimension", attentionDimension, ArchitectureLimit.dimension),
            ("linear_dimension", linearDimension, ArchitectureLimit.dimension),
            ("max_sequence_length", maxSequenceLength, ArchitectureLimit.length),
            ("max_output_length", maxOutputLength, ArchitectureLimit.length),
            ("time_buckets", timeBuckets, ArchitectureLimit.timeBuckets),
            ("item_rows", rows, ArchitectureLimit.rows),
        ])
        guard heads * max(attentionDimension, linearDimension) <= ArchitectureLimit.dimension.upperBound else {
            throw JSONError(
                "heads times attention_dimension or linear_dimension is more than \(ArchitectureLimit.dimension.upperBound)"
            )
        }
        try ArchitectureLimit.check(epsilons: [
            ("layer_norm_epsilon", layerNormEpsilon), ("l2_epsilon", l2Epsilon),
        ])
        guard hasGate || !concatUA else { throw JSONError("concat_ua must be false where gate is") }
    }
}

// MARK: - config.json

extension HSTUConfiguration {
    package init(_ fields: JSONFields) throws(JSONError) {
        var fields = fields
        try self.init(
            width: fields.integer("width", in: ArchitectureLimit.dimension),
            layers: fields.integer("layers", in: ArchitectureLimit.layers),
            heads: fields.integer("heads", in: ArchitectureLimit.heads),
            attentionDimension: fields.integer("attention_dimension", in: ArchitectureLimit.dimension),
            linearDimension: fields.integer("linear_dimension", in: ArchitectureLimit.dimension),
            maxSequenceLength: fields.integer("max_sequence_length", in: ArchitectureLimit.length),
            maxOutputLength: fields.integer("max_output_length", in: ArchitectureLimit.length),
            concatUA: fields.boolean("concat_ua"),
            relativeBias: Self.relativeBias(&fields),
            timeBuckets: fields.integer("time_buckets", in: ArchitectureLimit.timeBuckets),
            attentionActivation: fields.choice("attention", of: AttentionActivation.self, default: .silu),
            hasGate: fields.boolean("gate", default: true),
            outputNormalization: fields.choice("output_normalization", of: OutputNormalization.self),
            itemL2Norm: fields.boolean("item_l2_norm"),
            rows: fields.integer("item_rows", in: ArchitectureLimit.rows),
            layerNormEpsilon: fields.positiveReal("layer_norm_epsilon", atMost: 1),
            l2Epsilon: fields.positiveReal("l2_epsilon", atMost: 1)
        )
        try fields.end()
    }

    private static func relativeBias(_ fields: inout JSONFields) throws(JSONError) -> RelativeBiasKind {
        let key = "relative_attention_bias"
        guard fields.isBoolean(key) else { return try fields.choice(key, of: RelativeBiasKind.self) }
        return try fields.boolean(key) ? .positionAndTime : .none
    }

    package var json: JSONValue {
        .object([
            JSONMember("width", .integer(width)),
            JSONMember("layers", .integer(layers)),
            JSONMember("heads", .integer(heads)),
            JSONMember("attention_dimension", .integer(attentionDimension)),
            JSONMember("linear_dimension", .integer(linearDimension)),
            JSONMember("max_sequence_length", .integer(maxSequenceLength)),
            JSONMember("max_output_length", .integer(maxOutputLength)),
            JSONMember("concat_ua", .boolean(concatUA)),
            JSONMember("relative_attention_bias", .string(relativeBias.rawValue)),
            JSONMember("time_buckets", .integer(timeBuckets)),
            JSONMember("attention", .string(attentionActivation.rawValue)),
            JSONMember("gate", .boolean(hasGate)),
            JSONMember("output_normalization", .string(outputNormalization.rawValue)),
            JSONMember("item_l2_norm", .boolean(itemL2Norm)),
            JSONMember("item_rows", .integer(rows)),
            JSONMember("layer_norm_epsilon", .real(layerNormEpsilon)),
            JSONMember("l2_epsilon", .real(l2Epsilon)),
        ])
    }

    package var facts: [(label: String, value: String)] {
        [
            ("variant", isAblated ? "ablated" : "as published"),
            ("width", "\(width)"),
            ("layers", "\(layers)"),
            ("heads", "\(heads)"),
            ("attention dimension", "\(attentionDimension) per head"),
            ("linear dimension", "\(linearDimension) per head"),
            ("window", "\(maxSequenceLength) events"),
            ("padded length", "\(paddedLength)"),
            ("attention", attentionActivation.rawValue),
            ("gate", hasGate ? concatUA ? "concatenated (concat_ua)" : "product" : "none"),
            ("relative bias", relativeBias.fact(timeBuckets: timeBuckets)),
            ("output normalization", outputNormalization.rawValue),
            ("item normalization", itemL2Norm ? "l2" : "none"),
        ]
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
        /// (D, 2·H·dv + 2·H·dqk), input-major: y = x · W. Columns in the order u, v, q, k; heads side by side in each.
        /// Without a gate there are no columns u: (D, H·dv + 2·H·dqk).
        package static func uvqk(_ layer: Int) -> String { "layers.\(layer).uvqk.weight" }
        /// (`timeBuckets` + 1); only with that part of the relative bias
        package static func timeBias(_ layer: Int) -> String { RelativeBiasKind.timeName(layer) }
        /// (2N − 1); likewise; entry N − 1 + (j − i) for query i and key j
        package static func positionBias(_ layer: Int) -> String { RelativeBiasKind.positionName(layer) }
        /// (D, H·dv), with `concatUA` (D, 3·H·dv); output-major: y = x · Wᵀ
        package static func output(_ layer: Int) -> String { "layers.\(layer).output.weight" }
        /// (D)
        package static func outputBias(_ layer: Int) -> String { "layers.\(layer).output.bias" }
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
            specifications.append(TensorSpecification(TensorName.uvqk(layer), [width, uvqkColumns]))
            specifications += relativeBias.tensorSpecifications(
                layer: layer,
                paddedLength: paddedLength,
                timeBuckets: timeBuckets
            )
            specifications.append(TensorSpecification(TensorName.output(layer), [width, outputInputs]))
            specifications.append(TensorSpecification(TensorName.outputBias(layer), [width]))
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

    package func cacheBytesPerEvent(_ dtype: DType) -> Int {
        layers * heads * (attentionDimension + linearDimension) * dtype.byteCount
    }
}
