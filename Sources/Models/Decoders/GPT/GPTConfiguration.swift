// GPT-2 over item ids (Radford et al., 2019), as Hugging Face's GPT2LMHeadModel defines it.

import Compute
internal import JSON

/// The object under `model` in a bundle of architecture `gpt`.
///
/// A layer is `y = x + attention(norm1(x)); x' = y + FFN(norm2(y))` with affine norms, causal softmax attention, and
/// biases everywhere; a last affine norm follows the layers. Matrices are input-major, as GPT-2's Conv1D stores them.
package struct GPTConfiguration: TransformerConfiguration {
    /// The activation between the projections of the feed-forward.
    package enum FeedForwardActivation: String, Sendable, CaseIterable {
        case geluNew = "gelu_new"
    }

    package var width = 0
    package var layers = 0
    /// H
    package var heads = 0
    /// F
    package var feedForward = 0
    package var activation = FeedForwardActivation.geluNew
    package var scaleAttention = true
    package var scaleAttentionByLayer = false
    package var maxSequenceLength = 0
    package var positionRows = 0
    package var tied = true
    package var embeddingScale = EmbeddingScale.one
    package var scoreNormalization = ScoreNormalization.none
    package var rows = 0
    package var layerNormEpsilon = 1e-5
    package var l2Epsilon = 1e-6

    package init() {}

    package var architecture: Architecture.Name { .gpt }
    package var variant: String { "\(tied ? "tied" : "untied") head" }

    package static let settings: [Setting<Self>] = [
        .width, .layers,
        .integer("heads", \.heads, ArchitectureLimit.heads, "H, a divisor of `width`")
            .stating("heads") { "\($0.heads) of \($0.headDimension)" },
        .integer("feed_forward", \.feedForward, ArchitectureLimit.dimension, "F, the feed-forward's hidden width"),
        .choice("activation", \.activation, "`gelu_new` is 0.5·x·(1 + tanh(sqrt(2/π)·(x + 0.044715·x³)))")
            .stating("feed-forward") { "\($0.feedForward), \($0.activation.rawValue)" },
        .boolean("scale_attention", \.scaleAttention, "scores are divided by sqrt(D/H)"),
        .boolean("scale_attention_by_layer", \.scaleAttentionByLayer, "and by the layer's number, counted from 1")
            .stating("attention scale") {
                ($0.scaleAttention ? "1/sqrt(\($0.headDimension))" : "1")
                    + ($0.scaleAttentionByLayer ? ", divided by the layer's number" : "")
            },
        .window,
        .integer(
            "position_rows",
            \.positionRows,
            ArchitectureLimit.length,
            "rows of the position table, at least the window; the oldest kept event takes row 0"
        ).stating("positions") { "from_oldest, \($0.positionRows) rows" },
        .boolean("tied", \.tied, "the item table is also the table that queries are scored against"),
        .embeddingScale(\.embeddingScale), .scoreNormalization(\.scoreNormalization), .rows,
        .epsilon("layer_norm_epsilon", \.layerNormEpsilon, "of all layer norms"),
        .epsilon("l2_epsilon", \.l2Epsilon, "of the `l2` score normalisation"),
    ]

    package var scoresItemTable: Bool { tied }

    package func contradiction() -> String? {
        if !width.isMultiple(of: heads) { return "width \(width) is not a multiple of heads, \(heads)" }
        if maxSequenceLength > positionRows {
            return "max_sequence_length \(maxSequenceLength) is more than position_rows, \(positionRows)"
        }
        return nil
    }

    /// D/H
    package var headDimension: Int { width / heads }

    package var transformer: TransformerDescription {
        var description = TransformerDescription(self, heads: heads, headDimension: headDimension, feedForward)
        description.weightLayout = .inputMajor
        description.norm = NormDescription(.affineLayer, layerNormEpsilon)
        description.outputNorm = description.norm
        description.positions = .learned(rows: positionRows)
        description.hasBiases = (attention: true, attentionOutput: true, feedForward: true)
        description.feedForwardKind = .plain(.geluTanh)
        if !scaleAttention { description.attentionScale = 1 }
        description.dividesScaleByLayer = scaleAttentionByLayer
        description.isTied = tied
        description.inputScale = embeddingScale.factor(width: width)
        description.setScoreNormalization(scoreNormalization, epsilon: l2Epsilon)
        return description
    }
}
