// Llama (Touvron et al., arXiv 2302.13971) and its variants Qwen2 and Qwen3, which each differ from it in one switch,
// over item ids or tokens: as defined by Hugging Face's LlamaForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM, and by
// USTC's Performance-Law.

internal import JSON

/// The object under `model` in a bundle of architecture `llama`, `qwen2` or `qwen3`.
///
/// A layer is `y = x + attention(rms(x)); x' = y + down(silu(gate(h)) ⊙ up(h))` with `h = rms(y)`; attention is causal
/// softmax with scale 1/sqrt(d); a last RMS norm follows the layers. Projections of the same input share one matrix.
package struct LlamaConfiguration: TransformerConfiguration {
    /// `llama`; `qwen2`, whose attention has biases except in its output projection; or `qwen3`, which RMS-normalises
    /// every head of a query and a key before rotation, with weights that all heads share.
    package var architecture: Architecture.Name
    package var width = 0
    package var layers = 0
    /// H
    package var heads = 0
    /// Hkv
    package var keyValueHeads = 0
    /// d
    package var headDimension = 0
    /// F
    package var feedForward = 0
    package var rope = RotaryEmbedding(pairing: .halves)
    package var attentionBias = false
    package var mlpBias = false
    package var maxSequenceLength = 0
    package var attendsPadding = false
    package var tied = true
    package var embeddingScale = EmbeddingScale.one
    package var scoreNormalization = ScoreNormalization.none
    package var rows = 0
    package var rmsNormEpsilon = 1e-6
    package var l2Epsilon = 1e-6

    package init() { self.init(.llama) }

    init(_ architecture: Architecture.Name) { self.architecture = architecture }

    package var variant: String {
        let biases =
            switch (attentionBias, mlpBias) {
            case (false, false): "no biases"
            case (true, false): "biases in the attention"
            case (false, true): "biases in the feed-forward"
            case (true, true): "biases"
            }
        return "\(tied ? "tied" : "untied") head, \(biases)"
    }

    package static let settings: [Setting<Self>] = [
        .width, .layers,
        .integer("heads", \.heads, ArchitectureLimit.heads, "H, of queries"),
        .integer(
            "key_value_heads",
            \.keyValueHeads,
            ArchitectureLimit.heads,
            "Hkv, a divisor of H; query head h reads head h·Hkv/H"
        ),
        .integer("head_dimension", \.headDimension, ArchitectureLimit.dimension, "d, even")
            .stating("heads") { "\($0.heads) of \($0.headDimension), \($0.keyValueHeads) of keys and values" },
        .integer("feed_forward", \.feedForward, ArchitectureLimit.dimension, "F, the feed-forward's hidden width")
            .stating("feed-forward") { "\($0.feedForward), gated by silu" },
        .window,
        .real("rope_theta", \.rope.theta, atMost: RotaryEmbedding.Limit.theta, "θ of the rotary positions"),
        .ropeScaling(\.rope.scaling),
        .choice("rope_pairing", \.rope.pairing, "dimension j of a head rotates with j + d/2, or 2j with 2j + 1")
            .stating("positions") {
                "rotary, \($0.rope.pairing.rawValue), theta \($0.rope.theta)\($0.rope.scaling.fact)"
            },
        .boolean(
            "attention_bias",
            \.attentionBias,
            "the four projections of the attention have biases; with `qwen2` only those of q, k and v"
        ),
        .boolean("mlp_bias", \.mlpBias, "the three projections of the feed-forward have biases"),
        .boolean(
            "attends_padding",
            \.attendsPadding,
            """
            the window is filled with item row 0 before the oldest event, which attends it, with no mask \
            (Performance-Law); false: the oldest kept event has slot 0
            """
        ).stating("padding") { $0.attendsPadding ? "attended" : "none" },
        .boolean("tied", \.tied, "the item table is also the table that queries are scored against"),
        .embeddingScale(\.embeddingScale), .scoreNormalization(\.scoreNormalization), .rows,
        .epsilon("rms_norm_epsilon", \.rmsNormEpsilon, "of all RMS norms"),
        .epsilon("l2_epsilon", \.l2Epsilon, "of the `l2` score normalisation"),
    ]

    package var scoresItemTable: Bool { tied }

    package func contradiction() -> String? {
        let limit = ArchitectureLimit.dimension.upperBound
        if !heads.isMultiple(of: keyValueHeads) {
            return "heads \(heads) is not a multiple of key_value_heads, \(keyValueHeads)"
        }
        if !headDimension.isMultiple(of: 2) {
            return "head_dimension \(headDimension) is not even, but rotary positions rotate pairs of dimensions"
        }
        if heads * headDimension > limit { return "heads times head_dimension is more than \(limit)" }
        return nil
    }

    /// H·d
    package var queryWidth: Int { heads * headDimension }
    /// Hkv·d
    package var keyValueWidth: Int { keyValueHeads * headDimension }

    package var transformer: TransformerDescription {
        var description = TransformerDescription(self, heads: heads, headDimension: headDimension, feedForward)
        description.keyValueHeads = keyValueHeads
        description.norm = NormDescription(.rms, rmsNormEpsilon)
        description.outputNorm = description.norm
        if architecture == .qwen3 { description.queryKeyNorm = description.norm }
        description.positions = .rotary(rope)
        description.hasBiases = (attentionBias, attentionBias && architecture != .qwen2, mlpBias)
        description.feedForwardKind = .gatedBySiLU
        if attendsPadding { description.padding = .rows }
        description.isTied = tied
        description.inputScale = embeddingScale.factor(width: width)
        description.setScoreNormalization(scoreNormalization, epsilon: l2Epsilon)
        return description
    }
}
