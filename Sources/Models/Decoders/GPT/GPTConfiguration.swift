// Dimensions and switches of GPT-2 over item ids, as Hugging Face's GPT2LMHeadModel has them, and the tensors that follow
// from them. The mathematics is in GPT.swift.

package import Compute
package import JSON

/// The object under `model` in a bundle of architecture `gpt`.
///
/// JSON key, meaning:
/// - `width`: D
/// - `layers`: L
/// - `heads`: H, a divisor of D
/// - `feed_forward`: F, the hidden width of the feed-forward
/// - `activation`: `gelu_new`, 0.5·x·(1 + tanh(sqrt(2/π)·(x + 0.044715·x³)))
/// - `scale_attention`: scores are divided by sqrt(D/H)
/// - `scale_attention_by_layer`: and by the number of the layer, the first being 1
/// - `position_rows`: rows of the position table; the oldest kept event takes row 0
/// - `max_sequence_length`: the window, at most `position_rows`
/// - `tied`: the item table is also what queries are scored against
/// - `embedding_scale`: `one`, `sqrt_width`: the factor of item rows as input
/// - `score_normalization`: `none`, `l2`
/// - `item_rows`: V + 1, rows of the item table with the padding row 0
/// - `layer_norm_epsilon`, `l2_epsilon`: the constants of the norms
///
/// A layer is `y = x + attention(norm1(x)); x' = y + FFN(norm2(y))` with affine norms, causal softmax attention, and
/// biases everywhere; a last affine norm follows the layers.
package struct GPTConfiguration: ArchitectureConfiguration {
    /// Between the projections of the feed-forward.
    package enum FeedForwardActivation: String, Sendable, CaseIterable {
        case geluNew = "gelu_new"
    }

    /// D
    package let width: Int
    /// L
    package let layers: Int
    /// H
    package let heads: Int
    /// F
    package let feedForward: Int
    package let activation: FeedForwardActivation
    package let scaleAttention: Bool
    package let scaleAttentionByLayer: Bool
    package let positionRows: Int
    package let maxSequenceLength: Int
    package let tied: Bool
    package let embeddingScale: EmbeddingScale
    package let scoreNormalization: ScoreNormalization
    /// V + 1
    package let rows: Int
    package let layerNormEpsilon: Double
    package let l2Epsilon: Double

    /// D/H
    package var headDimension: Int { width / heads }

    /// What a layer's scores q · k are multiplied by before the softmax.
    package func attentionScale(layer: Int) -> Float {
        let scale = scaleAttention ? 1 / Float(headDimension).squareRoot() : 1
        return scaleAttentionByLayer ? scale / Float(layer + 1) : scale
    }

    /// Checks every value and product.
    ///
    /// - Throws: `JSONError` whose reason names the value by its JSON key.
    package init(
        width: Int,
        layers: Int,
        heads: Int,
        feedForward: Int,
        activation: FeedForwardActivation = .geluNew,
        scaleAttention: Bool = true,
        scaleAttentionByLayer: Bool = false,
        positionRows: Int,
        maxSequenceLength: Int,
        tied: Bool,
        embeddingScale: EmbeddingScale = .one,
        scoreNormalization: ScoreNormalization = .none,
        rows: Int,
        layerNormEpsilon: Double = 1e-5,
        l2Epsilon: Double = 1e-6
    ) throws(JSONError) {
        self.width = width
        self.layers = layers
        self.heads = heads
        self.feedForward = feedForward
        self.activation = activation
        self.scaleAttention = scaleAttention
        self.scaleAttentionByLayer = scaleAttentionByLayer
        self.positionRows = positionRows
        self.maxSequenceLength = maxSequenceLength
        self.tied = tied
        self.embeddingScale = embeddingScale
        self.scoreNormalization = scoreNormalization
        self.rows = rows
        self.layerNormEpsilon = layerNormEpsilon
        self.l2Epsilon = l2Epsilon

        try ArchitectureLimit.check([
            ("width", width, ArchitectureLimit.dimension),
            ("layers", layers, ArchitectureLimit.layers),
            ("heads", heads, ArchitectureLimit.heads),
            ("feed_forward", feedForward, ArchitectureLimit.dimension),
            ("position_rows", positionRows, ArchitectureLimit.length),
            ("max_sequence_length", maxSequenceLength, ArchitectureLimit.length),
            ("item_rows", rows, ArchitectureLimit.rows),
        ])
        try ArchitectureLimit.check(epsilons: [
            ("layer_norm_epsilon", layerNormEpsilon), ("l2_epsilon", l2Epsilon),
        ])
        guard width.isMultiple(of: heads) else {
            throw JSONError("width \(width) is not a multiple of heads, \(heads)")
        }
        guard maxSequenceLength <= positionRows else {
            throw JSONError("max_sequence_length \(maxSequenceLength) is more than position_rows, \(positionRows)")
        }
    }
}

// MARK: - config.json

extension GPTConfiguration {
    package init(_ fields: JSONFields) throws(JSONError) {
        var fields = fields
        try self.init(
            width: fields.integer("width", in: ArchitectureLimit.dimension),
            layers: fields.integer("layers", in: ArchitectureLimit.layers),
            heads: fields.integer("heads", in: ArchitectureLimit.heads),
            feedForward: fields.integer("feed_forward", in: ArchitectureLimit.dimension),
            activation: fields.choice("activation", of: FeedForwardActivation.self),
            scaleAttention: fields.boolean("scale_attention"),
            scaleAttentionByLayer: fields.boolean("scale_attention_by_layer"),
            positionRows: fields.integer("position_rows", in: ArchitectureLimit.length),
            maxSequenceLength: fields.integer("max_sequence_length", in: ArchitectureLimit.length),
            tied: fields.boolean("tied"),
            embeddingScale: fields.choice("embedding_scale", of: EmbeddingScale.self),
            scoreNormalization: fields.choice("score_normalization", of: ScoreNormalization.self),
            rows: fields.integer("item_rows", in: ArchitectureLimit.rows),
            layerNormEpsilon: fields.positiveReal("layer_norm_epsilon", atMost: 1),
            l2Epsilon: fields.positiveReal("l2_epsilon", atMost: 1)
        )
        try fields.end()
    }

    package var json: JSONValue {
        .object([
            JSONMember("width", .integer(width)),
            JSONMember("layers", .integer(layers)),
            JSONMember("heads", .integer(heads)),
            JSONMember("feed_forward", .integer(feedForward)),
            JSONMember("activation", .string(activation.rawValue)),
            JSONMember("scale_attention", .boolean(scaleAttention)),
            JSONMember("scale_attention_by_layer", .boolean(scaleAttentionByLayer)),
            JSONMember("position_rows", .integer(positionRows)),
            JSONMember("max_sequence_length", .integer(maxSequenceLength)),
            JSONMember("tied", .boolean(tied)),
            JSONMember("embedding_scale", .string(embeddingScale.rawValue)),
            JSONMember("score_normalization", .string(scoreNormalization.rawValue)),
            JSONMember("item_rows", .integer(rows)),
            JSONMember("layer_norm_epsilon", .real(layerNormEpsilon)),
            JSONMember("l2_epsilon", .real(l2Epsilon)),
        ])
    }

    package var facts: [(label: String, value: String)] {
        let scale = scaleAttention ? "1/sqrt(\(headDimension))" : "1"
        return [
            ("variant", "\(tied ? "tied" : "untied") head"),
            ("width", "\(width)"),
            ("layers", "\(layers)"),
            ("heads", "\(heads) of \(headDimension)"),
            ("feed-forward", "\(feedForward), \(activation.rawValue)"),
            ("attention scale", scaleAttentionByLayer ? scale + ", divided by the layer's number" : scale),
            ("window", "\(maxSequenceLength) events"),
            ("positions", "from_oldest, \(positionRows) rows"),
            ("embedding scale", embeddingScale.rawValue),
            ("score normalization", scoreNormalization.rawValue),
        ]
    }
}

// MARK: - Weights

extension GPTConfiguration {
    /// Names of the tensors in `model.safetensors`. Matrices of the layers are input-major, as GPT-2's Conv1D stores
    /// them: (K, N), y = x · W + b.
    package enum TensorName {
        /// (V + 1, D)
        package static let itemEmbedding = "item_embedding.weight"
        /// (`positionRows`, D)
        package static let positionEmbedding = "position_embedding.weight"
        /// (D) each; norm1 of the layer
        package static func attentionNorm(_ layer: Int) -> AffineNormName {
            AffineNormName("layers.\(layer).attention_norm")
        }
        /// (D, 3D); columns in the order q, k, v, heads side by side in each
        package static func qkv(_ layer: Int) -> String { "layers.\(layer).attention.qkv.weight" }
        /// (3D)
        package static func qkvBias(_ layer: Int) -> String { "layers.\(layer).attention.qkv.bias" }
        /// (D, D)
        package static func attentionOutput(_ layer: Int) -> String { "layers.\(layer).attention.output.weight" }
        /// (D)
        package static func attentionOutputBias(_ layer: Int) -> String { "layers.\(layer).attention.output.bias" }
        /// (D) each; norm2 of the layer
        package static func feedForwardNorm(_ layer: Int) -> AffineNormName {
            AffineNormName("layers.\(layer).feed_forward_norm")
        }
        /// (D, F)
        package static func hidden(_ layer: Int) -> String { "layers.\(layer).feed_forward.hidden.weight" }
        /// (F)
        package static func hiddenBias(_ layer: Int) -> String { "layers.\(layer).feed_forward.hidden.bias" }
        /// (F, D)
        package static func feedForwardOutput(_ layer: Int) -> String { "layers.\(layer).feed_forward.output.weight" }
        /// (D)
        package static func feedForwardOutputBias(_ layer: Int) -> String { "layers.\(layer).feed_forward.output.bias" }
        /// (D) each; after the last layer
        package static let outputNorm = AffineNormName("output_norm")
        /// (V + 1, D), one row an item; only where the head is not tied
        package static let head = "head.weight"
    }

    package var tensorSpecifications: [TensorSpecification] {
        var specifications = [
            TensorSpecification(TensorName.itemEmbedding, [rows, width]),
            TensorSpecification(TensorName.positionEmbedding, [positionRows, width]),
        ]
        for layer in 0..<layers {
            specifications += TensorName.attentionNorm(layer).specifications(width: width)
            specifications += [
                TensorSpecification(TensorName.qkv(layer), [width, 3 * width]),
                TensorSpecification(TensorName.qkvBias(layer), [3 * width]),
                TensorSpecification(TensorName.attentionOutput(layer), [width, width]),
                TensorSpecification(TensorName.attentionOutputBias(layer), [width]),
            ]
            specifications += TensorName.feedForwardNorm(layer).specifications(width: width)
            specifications += [
                TensorSpecification(TensorName.hidden(layer), [width, feedForward]),
                TensorSpecification(TensorName.hiddenBias(layer), [feedForward]),
                TensorSpecification(TensorName.feedForwardOutput(layer), [feedForward, width]),
                TensorSpecification(TensorName.feedForwardOutputBias(layer), [width]),
            ]
        }
        specifications += TensorName.outputNorm.specifications(width: width)
        if !tied { specifications.append(TensorSpecification(TensorName.head, [rows, width])) }
        return specifications
    }

    package var layerOperations: LayerOperations {
        LayerOperations(
            keyValue: 2 * width * 2 * width,
            otherLinear: 2 * width * (2 * width + 2 * feedForward),
            pair: 2 * 2 * width
        )
    }

    package func cacheBytesPerEvent(_ dtype: DType) -> Int { layers * 2 * width * dtype.byteCount }
}
