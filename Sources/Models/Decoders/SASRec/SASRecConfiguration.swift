// SASRec, self-attentive sequential recommendation (Kang and McAuley, arXiv 1808.09781), in its two lineages: the
// baseline of Meta's generative-recommenders (research/modeling/sequential/sasrec.py) and SASRec.pytorch. Checkpoints
// with three layer orders and three position numberings look alike, so a bundle's `config.json` states both.

import Compute
internal import JSON

/// The object under `model` in a bundle of architecture `sasrec`.
///
/// Item rows are multiplied by sqrt(D) as input. Attention is causal softmax with scale 1/sqrt(D/H); projections have
/// biases. Matrices are output-major, as PyTorch's Linear stores them.
package struct SASRecConfiguration: TransformerConfiguration {
    package typealias LayerOrder = TransformerDescription.LayerOrder

    /// How a history's events map to rows of the position table, and what fills the slots before the oldest one.
    package enum PositionNumbering: String, Sendable, CaseIterable {
        /// Meta: event k, counted from the oldest, takes row k. No slots come before the oldest. The table has N rows.
        case fromOldest = "from_oldest"
        /// SASRec.pytorch since 2024-06-25: the newest event takes row `maxSequenceLength`, each earlier one the row
        /// below. The slots before the oldest are padding: item row 0 and position row 0. The table has one row more
        /// than the window.
        case fromNewest = "from_newest"
        /// SASRec.pytorch before 2024-06-25: the newest event takes row `maxSequenceLength` − 1, and each earlier one the
        /// row below. The slots before the oldest are zero at the input of every layer. The table has as many rows as the
        /// window.
        case everySlot = "every_slot"
    }

    /// Post-processing of the sequence output.
    package enum OutputNormalization: String, Sendable, CaseIterable {
        case l2
        case layerNorm = "layer_norm"
        case affineLayerNorm = "affine_layer_norm"
    }

    /// The activation between the projections of the feed-forward.
    package enum FeedForwardActivation: String, Sendable, CaseIterable {
        case relu
    }

    package var width = 0
    package var layers = 0
    /// H
    package var heads = 0
    /// F
    package var feedForward = 0
    package var activation = FeedForwardActivation.relu
    package var layerOrder = LayerOrder.original
    package var affineNorms = false
    package var maxSequenceLength = 0
    package var positions = PositionNumbering.fromOldest
    package var maxOutputLength = 0
    package var relativeBias = RelativeBiasKind.none
    package var timeBuckets = 128
    package var outputNormalization = OutputNormalization.l2
    package var itemL2Norm = false
    package var rows = 0
    package var layerNormEpsilon = 1e-8
    package var outputEpsilon = 0.0
    package var l2Epsilon = 1e-6

    package init() {}

    package var architecture: Architecture.Name { .sasrec }
    package var variant: String {
        "\(layerOrder.rawValue) layer order, norms \(affineNorms ? "with" : "without") weights"
    }

    package static let settings: [Setting<Self>] = [
        .width, .layers,
        .integer("heads", \.heads, ArchitectureLimit.heads, "H, a divisor of `width`")
            .stating("heads") { "\($0.heads) of \($0.headDimension)" },
        .integer("feed_forward", \.feedForward, ArchitectureLimit.dimension, "F, the feed-forward's hidden width"),
        .choice("activation", \.activation, "between the feed-forward's two projections")
            .stating("feed-forward") { "\($0.feedForward), \($0.activation.rawValue)" },
        .choice(
            "layer_order",
            \.layerOrder,
            """
            `original`: Q = norm1(x), y = norm2(Q + MHA(Q, x, x)), x' = y + FFN(y); `pre`: h = norm1(x), \
            y = x + MHA(h, h, h), x' = y + FFN(norm2(y)); `post`: y = norm1(x + MHA(x, x, x)), x' = norm2(y + FFN(y))
            """
        ),
        .boolean(
            "affine_norms",
            \.affineNorms,
            "the layers' norms have weight and bias (SASRec.pytorch) or neither (Meta)"
        ),
        .window,
        .choice("positions", \.positions, "how the position table is read; padding is attended unless `from_oldest`")
            .stating("positions") { "\($0.positions.rawValue), \($0.positionRows) rows" }
            .stating("padding") {
                switch $0.positions {
                case .fromOldest: "none"
                case .fromNewest: "attended"
                case .everySlot: "attended, zeroed in every layer"
                }
            },
        .integer(
            "max_output_length",
            \.maxOutputLength,
            0...ArchitectureLimit.length.upperBound,
            "positions that Meta's training reserves after the window; 0 for the other trainers"
        ),
        .relativeBias(\.relativeBias, isOptional: true),
        .timeBuckets(\.timeBuckets, isOptional: true)
            .stating("relative bias") { $0.relativeBias.fact(timeBuckets: $0.timeBuckets) },
        .choice("output_normalization", \.outputNormalization, "of the last row before scoring")
            .stating("output normalization") { $0.outputNormalization.rawValue },
        .itemL2Norm(\.itemL2Norm), .rows,
        .epsilon("layer_norm_epsilon", \.layerNormEpsilon, "of the layers' norms"),
        .epsilon("output_epsilon", \.outputEpsilon, "of the output normalisation, of either kind"),
        .epsilon("l2_epsilon", \.l2Epsilon, "of the item rows' norm"),
    ]

    package func contradiction() -> String? {
        if !width.isMultiple(of: heads) { return "width \(width) is not a multiple of heads, \(heads)" }
        if positions != .fromOldest {
            if maxOutputLength != 0 { return "max_output_length must be 0 where positions is not \"from_oldest\"" }
            if relativeBias != .none {
                return "relative_attention_bias must be \"none\" where positions is not \"from_oldest\""
            }
        }
        return nil
    }

    /// D/H
    package var headDimension: Int { width / heads }

    /// N: the window plus the output length that training reserved after it; half the positional bias.
    package var paddedLength: Int { maxSequenceLength + maxOutputLength }

    /// Rows of the position table.
    package var positionRows: Int {
        switch positions {
        case .fromOldest: paddedLength
        case .fromNewest: maxSequenceLength + 1
        case .everySlot: maxSequenceLength
        }
    }

    package var transformer: TransformerDescription {
        var description = TransformerDescription(self, heads: heads, headDimension: headDimension, feedForward)
        description.order = layerOrder
        description.norm = NormDescription(affineNorms ? .affineLayer : .layer, layerNormEpsilon)
        description.outputNorm =
            switch outputNormalization {
            case .l2: NormDescription(.l2, outputEpsilon)
            case .layerNorm: NormDescription(.layer, outputEpsilon)
            case .affineLayerNorm: NormDescription(.affineLayer, outputEpsilon)
            }
        description.positions = .learned(rows: positionRows)
        description.hasBiases = (attention: true, attentionOutput: true, feedForward: true)
        description.feedForwardKind = .plain(.relu)
        description.relativeBias = relativeBias
        description.timeBuckets = timeBuckets
        description.paddedLength = paddedLength
        description.padding =
            switch positions {
            case .fromOldest: .none
            case .fromNewest: .oneRow(isZero: false)
            case .everySlot: .oneRow(isZero: true)
            }
        description.inputScale = Float(width).squareRoot()
        description.itemL2Epsilon = itemL2Norm ? l2Epsilon : nil
        return description
    }
}
