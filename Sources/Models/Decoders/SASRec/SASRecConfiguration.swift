// Dimensions and switches of SASRec in its two lineages, Meta's generative-recommenders and SASRec.pytorch, and the
// tensors that follow from them. Checkpoints of three layer orders and of three ways to number positions look alike, so a
// bundle's `config.json` states all of it. The mathematics is in SASRec.swift.

package import Compute
package import JSON

/// The object under `model` in a bundle of architecture `sasrec`.
///
/// JSON key, meaning:
/// - `width`: D
/// - `layers`: L
/// - `heads`: H, a divisor of D
/// - `feed_forward`: F, the hidden width of the feed-forward
/// - `activation`: `relu`, between its two projections
/// - `layer_order`: `original`, `pre`, `post`
/// - `affine_norms`: the layers' norms have weight and bias (SASRec.pytorch) or neither (Meta)
/// - `positions`: `from_oldest`, `from_newest`, `every_slot`
/// - `max_sequence_length`: the window
/// - `max_output_length`: what Meta's training reserved behind the window; 0 for the others
/// - `relative_attention_bias`: `none`, `position`, `position_and_time`; only with positions `from_oldest`
/// - `time_buckets`: the largest time bucket; the temporal bias has one entry more
/// - `output_normalization`: `l2`, `layer_norm`, `affine_layer_norm`, of the last row before scoring
/// - `item_l2_norm`: item rows are L2-normalised for scoring (not for input)
/// - `item_rows`: V + 1, rows of the item table with the padding row 0
/// - `layer_norm_epsilon`: of the layers' norms
/// - `output_epsilon`: of the output normalisation, whichever it is
/// - `l2_epsilon`: of the item rows' norm
///
/// Every item row is multiplied by sqrt(D) on the way in. Attention is causal softmax attention with scale
/// 1/sqrt(D/H); projections have biases.
package struct SASRecConfiguration: ArchitectureConfiguration {
    /// Where the norms and residuals stand in a layer x → x'. FFN is `W2 · relu(W1 · y + b1) + b2`.
    package enum LayerOrder: String, Sendable, CaseIterable {
        /// `Q = norm1(x); y = norm2(Q + MHA(Q, x, x)); x' = y + FFN(y)`: keys and values from x as it came. Without
        /// affine norms this is Meta's layer.
        case original
        /// `h = norm1(x); y = x + MHA(h, h, h); x' = y + FFN(norm2(y))`.
        case pre
        /// `y = norm1(x + MHA(x, x, x)); x' = norm2(y + FFN(y))`.
        case post
    }

    /// How rows of the position table are numbered for a history of n events, and what happens before its oldest one.
    package enum PositionNumbering: String, Sendable, CaseIterable {
        /// Meta: event k (from the oldest) takes row k. Nothing stands before the oldest. The table has N rows.
        case fromOldest = "from_oldest"
        /// SASRec.pytorch since 2024-06-25: the newest event takes row `maxSequenceLength`, the one before it a row less.
        /// The slots before the oldest are padding: item row 0 and position row 0. The table has one row more than the
        /// window.
        case fromNewest = "from_newest"
        /// SASRec.pytorch before: the newest event takes row `maxSequenceLength` − 1, the one before it a row less.
        /// The slots before the oldest are zero at the input of every layer. The table has as many rows as the window.
        case everySlot = "every_slot"
    }

    /// Post-processing of the sequence output.
    package enum OutputNormalization: String, Sendable, CaseIterable {
        case l2
        case layerNorm = "layer_norm"
        case affineLayerNorm = "affine_layer_norm"
    }

    /// Between the projections of the feed-forward.
    package enum FeedForwardActivation: String, Sendable, CaseIterable {
        case relu
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
    package let layerOrder: LayerOrder
    package let affineNorms: Bool
    package let positions: PositionNumbering
    package let maxSequenceLength: Int
    package let maxOutputLength: Int
    package let relativeBias: RelativeBiasKind
    /// The largest bucket number; the temporal bias has `timeBuckets + 1` entries.
    package let timeBuckets: Int
    package let outputNormalization: OutputNormalization
    package let itemL2Norm: Bool
    /// V + 1
    package let rows: Int
    package let layerNormEpsilon: Double
    package let outputEpsilon: Double
    package let l2Epsilon: Double

    /// D/H
    package var headDimension: Int { width / heads }

    /// N: the window and what training reserved behind it; half the positional bias.
    package var paddedLength: Int { maxSequenceLength + maxOutputLength }

    /// The slots of the window before a history's oldest event are attended by it, with no mask. All of them are alike in
    /// every layer, so one row counted `maxSequenceLength` − n times stands for them.
    package var attendsPadding: Bool { positions != .fromOldest }

    /// Those slots are set to zero after the embedding and after every layer; otherwise they go through the layers.
    package var zeroesPadding: Bool { positions == .everySlot }

    /// Rows of the position table.
    package var positionRows: Int {
        switch positions {
        case .fromOldest: paddedLength
        case .fromNewest: maxSequenceLength + 1
        case .everySlot: maxSequenceLength
        }
    }

    /// Checks every value and product.
    ///
    /// - Throws: `JSONError` whose reason names the value by its JSON key.
    package init(
        width: Int,
        layers: Int,
        heads: Int,
        feedForward: Int,
        activation: FeedForwardActivation = .relu,
        layerOrder: LayerOrder,
        affineNorms: Bool,
        positions: PositionNumbering,
        maxSequenceLength: Int,
        maxOutputLength: Int,
        relativeBias: RelativeBiasKind = .none,
        timeBuckets: Int = 128,
        outputNormalization: OutputNormalization,
        itemL2Norm: Bool,
        rows: Int,
        layerNormEpsilon: Double = 1e-8,
        outputEpsilon: Double,
        l2Epsilon: Double = 1e-6
    ) throws(JSONError) {
        self.width = width
        self.layers = layers
        self.heads = heads
        self.feedForward = feedForward
        self.activation = activation
        self.layerOrder = layerOrder
        self.affineNorms = affineNorms
        self.positions = positions
        self.maxSequenceLength = maxSequenceLength
        self.maxOutputLength = maxOutputLength
        self.relativeBias = relativeBias
        self.timeBuckets = timeBuckets
        self.outputNormalization = outputNormalization
        self.itemL2Norm = itemL2Norm
        self.rows = rows
        self.layerNormEpsilon = layerNormEpsilon
        self.outputEpsilon = outputEpsilon
        self.l2Epsilon = l2Epsilon

        try ArchitectureLimit.check([
            ("width", width, ArchitectureLimit.dimension),
            ("layers", layers, ArchitectureLimit.layers),
            ("heads", heads, ArchitectureLimit.heads),
            ("feed_forward", feedForward, ArchitectureLimit.dimension),
            ("max_sequence_length", maxSequenceLength, ArchitectureLimit.length),
            ("max_output_length", maxOutputLength, Self.outputLengths),
            ("time_buckets", timeBuckets, ArchitectureLimit.timeBuckets),
            ("item_rows", rows, ArchitectureLimit.rows),
        ])
        try ArchitectureLimit.check(epsilons: [
            ("layer_norm_epsilon", layerNormEpsilon),
            ("output_epsilon", outputEpsilon),
            ("l2_epsilon", l2Epsilon),
        ])
        guard width.isMultiple(of: heads) else {
            throw JSONError("width \(width) is not a multiple of heads, \(heads)")
        }
        guard maxOutputLength == 0 || positions == .fromOldest else {
            throw JSONError("max_output_length must be 0 where positions is not \"from_oldest\"")
        }
        guard relativeBias == .none || !attendsPadding else {
            throw JSONError("relative_attention_bias must be \"none\" where positions is not \"from_oldest\"")
        }
    }

    private static let outputLengths = 0...ArchitectureLimit.length.upperBound
}

// MARK: - config.json

extension SASRecConfiguration {
    package init(_ fields: JSONFields) throws(JSONError) {
        var fields = fields
        try self.init(
            width: fields.integer("width", in: ArchitectureLimit.dimension),
            layers: fields.integer("layers", in: ArchitectureLimit.layers),
            heads: fields.integer("heads", in: ArchitectureLimit.heads),
            feedForward: fields.integer("feed_forward", in: ArchitectureLimit.dimension),
            activation: fields.choice("activation", of: FeedForwardActivation.self),
            layerOrder: fields.choice("layer_order", of: LayerOrder.self),
            affineNorms: fields.boolean("affine_norms"),
            positions: fields.choice("positions", of: PositionNumbering.self),
            maxSequenceLength: fields.integer("max_sequence_length", in: ArchitectureLimit.length),
            maxOutputLength: fields.integer("max_output_length", in: Self.outputLengths),
            relativeBias: fields.choice(
                "relative_attention_bias",
                of: RelativeBiasKind.self,
                default: RelativeBiasKind.none
            ),
            timeBuckets: fields.integer("time_buckets", in: ArchitectureLimit.timeBuckets, default: 128),
            outputNormalization: fields.choice("output_normalization", of: OutputNormalization.self),
            itemL2Norm: fields.boolean("item_l2_norm"),
            rows: fields.integer("item_rows", in: ArchitectureLimit.rows),
            layerNormEpsilon: fields.positiveReal("layer_norm_epsilon", atMost: 1),
            outputEpsilon: fields.positiveReal("output_epsilon", atMost: 1),
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
            JSONMember("layer_order", .string(layerOrder.rawValue)),
            JSONMember("affine_norms", .boolean(affineNorms)),
            JSONMember("positions", .string(positions.rawValue)),
            JSONMember("max_sequence_length", .integer(maxSequenceLength)),
            JSONMember("max_output_length", .integer(maxOutputLength)),
            JSONMember("relative_attention_bias", .string(relativeBias.rawValue)),
            JSONMember("time_buckets", .integer(timeBuckets)),
            JSONMember("output_normalization", .string(outputNormalization.rawValue)),
            JSONMember("item_l2_norm", .boolean(itemL2Norm)),
            JSONMember("item_rows", .integer(rows)),
            JSONMember("layer_norm_epsilon", .real(layerNormEpsilon)),
            JSONMember("output_epsilon", .real(outputEpsilon)),
            JSONMember("l2_epsilon", .real(l2Epsilon)),
        ])
    }

    package var facts: [(label: String, value: String)] {
        let padding =
            switch positions {
            case .fromOldest: "none"
            case .fromNewest: "attended"
            case .everySlot: "attended, zero in every layer"
            }
        return [
            ("variant", "\(layerOrder.rawValue) layer order, norms \(affineNorms ? "with" : "without") weights"),
            ("width", "\(width)"),
            ("layers", "\(layers)"),
            ("heads", "\(heads) of \(headDimension)"),
            ("feed-forward", "\(feedForward), \(activation.rawValue)"),
            ("window", "\(maxSequenceLength) events"),
            ("positions", "\(positions.rawValue), \(positionRows) rows"),
            ("padding", padding),
            ("relative bias", relativeBias.fact(timeBuckets: timeBuckets)),
            ("output normalization", outputNormalization.rawValue),
            ("item normalization", itemL2Norm ? "l2" : "none"),
        ]
    }
}

// MARK: - Weights

extension SASRecConfiguration {
    /// Names of the tensors in `model.safetensors`. Matrices are output-major, as PyTorch's Linear stores them: (N, K),
    /// y = x · Wᵀ + b.
    package enum TensorName {
        /// (V + 1, D)
        package static let itemEmbedding = "item_embedding.weight"
        /// (`positionRows`, D)
        package static let positionEmbedding = "position_embedding.weight"
        /// (D) each; only with `affineNorms`. norm1 of the layer.
        package static func attentionNorm(_ layer: Int) -> AffineNormName {
            AffineNormName("layers.\(layer).attention_norm")
        }
        /// (3D, D); rows in the order q, k, v, heads side by side in each.
        package static func qkv(_ layer: Int) -> String { "layers.\(layer).attention.qkv.weight" }
        /// (3D)
        package static func qkvBias(_ layer: Int) -> String { "layers.\(layer).attention.qkv.bias" }
        /// (`timeBuckets` + 1); only with that part of the relative bias
        package static func timeBias(_ layer: Int) -> String { RelativeBiasKind.timeName(layer) }
        /// (2N − 1); likewise
        package static func positionBias(_ layer: Int) -> String { RelativeBiasKind.positionName(layer) }
        /// (D, D)
        package static func attentionOutput(_ layer: Int) -> String { "layers.\(layer).attention.output.weight" }
        /// (D)
        package static func attentionOutputBias(_ layer: Int) -> String { "layers.\(layer).attention.output.bias" }
        /// (D) each; only with `affineNorms`. norm2 of the layer.
        package static func feedForwardNorm(_ layer: Int) -> AffineNormName {
            AffineNormName("layers.\(layer).feed_forward_norm")
        }
        /// (F, D)
        package static func hidden(_ layer: Int) -> String { "layers.\(layer).feed_forward.hidden.weight" }
        /// (F)
        package static func hiddenBias(_ layer: Int) -> String { "layers.\(layer).feed_forward.hidden.bias" }
        /// (D, F)
        package static func feedForwardOutput(_ layer: Int) -> String { "layers.\(layer).feed_forward.output.weight" }
        /// (D)
        package static func feedForwardOutputBias(_ layer: Int) -> String { "layers.\(layer).feed_forward.output.bias" }
        /// (D) each; only with the output normalisation `affineLayerNorm`.
        package static let outputNorm = AffineNormName("output_norm")
    }

    package var tensorSpecifications: [TensorSpecification] {
        var specifications = [
            TensorSpecification(TensorName.itemEmbedding, [rows, width]),
            TensorSpecification(TensorName.positionEmbedding, [positionRows, width]),
        ]
        for layer in 0..<layers {
            if affineNorms { specifications += TensorName.attentionNorm(layer).specifications(width: width) }
            specifications += [
                TensorSpecification(TensorName.qkv(layer), [3 * width, width]),
                TensorSpecification(TensorName.qkvBias(layer), [3 * width]),
            ]
            specifications += relativeBias.tensorSpecifications(
                layer: layer,
                paddedLength: paddedLength,
                timeBuckets: timeBuckets
            )
            specifications += [
                TensorSpecification(TensorName.attentionOutput(layer), [width, width]),
                TensorSpecification(TensorName.attentionOutputBias(layer), [width]),
            ]
            if affineNorms { specifications += TensorName.feedForwardNorm(layer).specifications(width: width) }
            specifications += [
                TensorSpecification(TensorName.hidden(layer), [feedForward, width]),
                TensorSpecification(TensorName.hiddenBias(layer), [feedForward]),
                TensorSpecification(TensorName.feedForwardOutput(layer), [width, feedForward]),
                TensorSpecification(TensorName.feedForwardOutputBias(layer), [width]),
            ]
        }
        if outputNormalization == .affineLayerNorm {
            specifications += TensorName.outputNorm.specifications(width: width)
        }
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
