// Dimensions and switches of Llama over item ids, as Hugging Face's LlamaForCausalLM and USTC's Performance-Law have
// them, and the tensors that follow from them. The mathematics is in Llama.swift.

package import Compute
package import JSON

/// The object under `model` in a bundle of architecture `llama`.
///
/// JSON key, meaning:
/// - `width`: D
/// - `layers`: L
/// - `heads`: H, of queries
/// - `key_value_heads`: Hkv, a divisor of H; query head h reads head h·Hkv/H
/// - `head_dimension`: d, even
/// - `feed_forward`: F, the hidden width of the feed-forward
/// - `rope_theta`, `rope_scaling`, `rope_pairing`: see `RotaryEmbedding`
/// - `attention_bias`: the four projections of the attention have biases
/// - `mlp_bias`: the three of the feed-forward have
/// - `max_sequence_length`: the window
/// - `attends_padding`: the window is filled with item row 0 before the oldest event, which attends it, with no mask
///   (Performance-Law); the slots are those of the full window. False: the oldest kept event has slot 0
/// - `tied`: the item table is also what queries are scored against
/// - `embedding_scale`: `one`, `sqrt_width`: the factor of item rows as input
/// - `score_normalization`: `none`, `l2`
/// - `item_rows`: V + 1, rows of the item table with the padding row 0
/// - `rms_norm_epsilon`, `l2_epsilon`: the constants of the norms
///
/// A layer is `y = x + attention(rms(x)); x' = y + down(silu(gate(h)) ⊙ up(h))` with `h = rms(y)`; softmax attention is
/// causal with scale 1/sqrt(d); a last RMS norm follows the layers.
package struct LlamaConfiguration: ArchitectureConfiguration {
    /// D
    package let width: Int
    /// L
    package let layers: Int
    /// H
    package let heads: Int
    /// Hkv
    package let keyValueHeads: Int
    /// d
    package let headDimension: Int
    /// F
    package let feedForward: Int
    package let rope: RotaryEmbedding
    package let attentionBias: Bool
    package let mlpBias: Bool
    package let maxSequenceLength: Int
    /// The slots of the window before a history's oldest event hold item row 0 and are attended. Row 0 is not zero in such
    /// checkpoints (the head it is tied to initialised it), so their values are alike in every layer, but their keys turn
    /// with the slot: unlike SASRec's, they are not one row counted many times.
    package let attendsPadding: Bool
    package let tied: Bool
    package let embeddingScale: EmbeddingScale
    package let scoreNormalization: ScoreNormalization
    /// V + 1
    package let rows: Int
    package let rmsNormEpsilon: Double
    package let l2Epsilon: Double

    /// H·d
    package var queryWidth: Int { heads * headDimension }

    /// Hkv·d
    package var keyValueWidth: Int { keyValueHeads * headDimension }

    /// d/2 angles a slot, in radians.
    package var inverseFrequencies: [Float] { rope.inverseFrequencies(headDimension: headDimension) }

    /// Checks every value and product.
    ///
    /// - Throws: `JSONError` whose reason names the value by its JSON key.
    package init(
        width: Int,
        layers: Int,
        heads: Int,
        keyValueHeads: Int,
        headDimension: Int,
        feedForward: Int,
        rope: RotaryEmbedding,
        attentionBias: Bool = false,
        mlpBias: Bool = false,
        maxSequenceLength: Int,
        attendsPadding: Bool = false,
        tied: Bool,
        embeddingScale: EmbeddingScale = .one,
        scoreNormalization: ScoreNormalization = .none,
        rows: Int,
        rmsNormEpsilon: Double,
        l2Epsilon: Double = 1e-6
    ) throws(JSONError) {
        self.width = width
        self.layers = layers
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.headDimension = headDimension
        self.feedForward = feedForward
        self.rope = rope
        self.attentionBias = attentionBias
        self.mlpBias = mlpBias
        self.maxSequenceLength = maxSequenceLength
        self.attendsPadding = attendsPadding
        self.tied = tied
        self.embeddingScale = embeddingScale
        self.scoreNormalization = scoreNormalization
        self.rows = rows
        self.rmsNormEpsilon = rmsNormEpsilon
        self.l2Epsilon = l2Epsilon

        try ArchitectureLimit.check([
            ("width", width, ArchitectureLimit.dimension),
            ("layers", layers, ArchitectureLimit.layers),
            ("heads", heads, ArchitectureLimit.heads),
            ("key_value_heads", keyValueHeads, ArchitectureLimit.heads),
            ("head_dimension", headDimension, ArchitectureLimit.dimension),
            ("feed_forward", feedForward, ArchitectureLimit.dimension),
            ("max_sequence_length", maxSequenceLength, ArchitectureLimit.length),
            ("item_rows", rows, ArchitectureLimit.rows),
        ])
        try ArchitectureLimit.check(epsilons: [("rms_norm_epsilon", rmsNormEpsilon), ("l2_epsilon", l2Epsilon)])
        guard heads.isMultiple(of: keyValueHeads) else {
            throw JSONError("heads \(heads) is not a multiple of key_value_heads, \(keyValueHeads)")
        }
        guard headDimension.isMultiple(of: 2) else {
            throw JSONError("head_dimension \(headDimension) is not even, and rotary positions turn pairs")
        }
        guard heads * headDimension <= ArchitectureLimit.dimension.upperBound else {
            throw JSONError("heads times head_dimension is more than \(ArchitectureLimit.dimension.upperBound)")
        }
    }
}

// MARK: - config.json

extension LlamaConfiguration {
    package init(_ fields: JSONFields) throws(JSONError) {
        var fields = fields
        try self.init(
            width: fields.integer("width", in: ArchitectureLimit.dimension),
            layers: fields.integer("layers", in: ArchitectureLimit.layers),
            heads: fields.integer("heads", in: ArchitectureLimit.heads),
            keyValueHeads: fields.integer("key_value_heads", in: ArchitectureLimit.heads),
            headDimension: fields.integer("head_dimension", in: ArchitectureLimit.dimension),
            feedForward: fields.integer("feed_forward", in: ArchitectureLimit.dimension),
            rope: RotaryEmbedding(&fields),
            attentionBias: fields.boolean("attention_bias"),
            mlpBias: fields.boolean("mlp_bias"),
            maxSequenceLength: fields.integer("max_sequence_length", in: ArchitectureLimit.length),
            attendsPadding: fields.boolean("attends_padding"),
            tied: fields.boolean("tied"),
            embeddingScale: fields.choice("embedding_scale", of: EmbeddingScale.self),
            scoreNormalization: fields.choice("score_normalization", of: ScoreNormalization.self),
            rows: fields.integer("item_rows", in: ArchitectureLimit.rows),
            rmsNormEpsilon: fields.positiveReal("rms_norm_epsilon", atMost: 1),
            l2Epsilon: fields.positiveReal("l2_epsilon", atMost: 1)
        )
        try fields.end()
    }

    package var json: JSONValue {
        let dimensions = [
            JSONMember("width", .integer(width)),
            JSONMember("layers", .integer(layers)),
            JSONMember("heads", .integer(heads)),
            JSONMember("key_value_heads", .integer(keyValueHeads)),
            JSONMember("head_dimension", .integer(headDimension)),
            JSONMember("feed_forward", .integer(feedForward)),
        ]
        let switches = [
            JSONMember("attention_bias", .boolean(attentionBias)),
            JSONMember("mlp_bias", .boolean(mlpBias)),
            JSONMember("max_sequence_length", .integer(maxSequenceLength)),
            JSONMember("attends_padding", .boolean(attendsPadding)),
            JSONMember("tied", .boolean(tied)),
            JSONMember("embedding_scale", .string(embeddingScale.rawValue)),
            JSONMember("score_normalization", .string(scoreNormalization.rawValue)),
            JSONMember("item_rows", .integer(rows)),
            JSONMember("rms_norm_epsilon", .real(rmsNormEpsilon)),
            JSONMember("l2_epsilon", .real(l2Epsilon)),
        ]
        return .object(dimensions + rope.members + switches)
    }

    package var facts: [(label: String, value: String)] {
        let biases =
            switch (attentionBias, mlpBias) {
            case (false, false): "no biases"
            case (true, false): "biases in the attention"
            case (false, true): "biases in the feed-forward"
            case (true, true): "biases"
            }
        return [
            ("variant", "\(tied ? "tied" : "untied") head, \(biases)"),
            ("width", "\(width)"),
            ("layers", "\(layers)"),
            ("heads", "\(heads) of \(headDimension), \(keyValueHeads) of keys and values"),
            ("feed-forward", "\(feedForward), gated by silu"),
            ("window", "\(maxSequenceLength) events"),
            ("positions", "rotary, \(rope.pairing.rawValue), theta \(rope.theta)\(rope.scaling.fact)"),
            ("padding", attendsPadding ? "attended" : "none"),
            ("embedding scale", embeddingScale.rawValue),
            ("score normalization", scoreNormalization.rawValue),
        ]
    }
}

// MARK: - Weights

extension LlamaConfiguration {
    /// Names of the tensors in `model.safetensors`. Matrices are output-major, as PyTorch's Linear stores them: (N, K),
    /// y = x · Wᵀ + b. What reads the same input stands in one matrix.
    package enum TensorName {
        /// (V + 1, D)
        package static let itemEmbedding = "item_embedding.weight"
        /// (D)
        package static func attentionNorm(_ layer: Int) -> String { "layers.\(layer).attention_norm.weight" }
        /// (H·d + 2·Hkv·d, D); rows in the order q, k, v, heads side by side in each
        package static func qkv(_ layer: Int) -> String { "layers.\(layer).attention.qkv.weight" }
        /// (H·d + 2·Hkv·d); only with `attentionBias`
        package static func qkvBias(_ layer: Int) -> String { "layers.\(layer).attention.qkv.bias" }
        /// (D, H·d)
        package static func attentionOutput(_ layer: Int) -> String { "layers.\(layer).attention.output.weight" }
        /// (D); only with `attentionBias`
        package static func attentionOutputBias(_ layer: Int) -> String { "layers.\(layer).attention.output.bias" }
        /// (D)
        package static func feedForwardNorm(_ layer: Int) -> String { "layers.\(layer).feed_forward_norm.weight" }
        /// (2F, D); rows in the order gate, up
        package static func gateUp(_ layer: Int) -> String { "layers.\(layer).feed_forward.gate_up.weight" }
        /// (2F); only with `mlpBias`
        package static func gateUpBias(_ layer: Int) -> String { "layers.\(layer).feed_forward.gate_up.bias" }
        /// (D, F)
        package static func down(_ layer: Int) -> String { "layers.\(layer).feed_forward.down.weight" }
        /// (D); only with `mlpBias`
        package static func downBias(_ layer: Int) -> String { "layers.\(layer).feed_forward.down.bias" }
        /// (D), after the last layer
        package static let outputNorm = "output_norm.weight"
        /// (V + 1, D), one row an item; only where the head is not tied
        package static let head = "head.weight"
    }

    /// Rows of the first projection: H·d + 2·Hkv·d.
    package var qkvOutputs: Int { queryWidth + 2 * keyValueWidth }

    package var tensorSpecifications: [TensorSpecification] {
        var specifications = [TensorSpecification(TensorName.itemEmbedding, [rows, width])]
        for layer in 0..<layers {
            specifications.append(TensorSpecification(TensorName.attentionNorm(layer), [width]))
            specifications.append(TensorSpecification(TensorName.qkv(layer), [qkvOutputs, width]))
            if attentionBias { specifications.append(TensorSpecification(TensorName.qkvBias(layer), [qkvOutputs])) }
            specifications.append(TensorSpecification(TensorName.attentionOutput(layer), [width, queryWidth]))
            if attentionBias {
                specifications.append(TensorSpecification(TensorName.attentionOutputBias(layer), [width]))
            }
            specifications.append(TensorSpecification(TensorName.feedForwardNorm(layer), [width]))
            specifications.append(TensorSpecification(TensorName.gateUp(layer), [2 * feedForward, width]))
            if mlpBias { specifications.append(TensorSpecification(TensorName.gateUpBias(layer), [2 * feedForward])) }
            specifications.append(TensorSpecification(TensorName.down(layer), [width, feedForward]))
            if mlpBias { specifications.append(TensorSpecification(TensorName.downBias(layer), [width])) }
        }
        specifications.append(TensorSpecification(TensorName.outputNorm, [width]))
        if !tied { specifications.append(TensorSpecification(TensorName.head, [rows, width])) }
        return specifications
    }

    package var layerOperations: LayerOperations {
        LayerOperations(
            keyValue: 2 * width * 2 * keyValueWidth,
            otherLinear: 2 * width * (2 * queryWidth + 3 * feedForward),
            pair: 2 * 2 * queryWidth
        )
    }

    package func cacheBytesPerEvent(_ dtype: DType) -> Int { layers * 2 * keyValueWidth * dtype.byteCount }
}
