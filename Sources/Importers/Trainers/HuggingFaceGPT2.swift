// GPT2LMHeadModel: its `config.json` with the defaults of transformers' GPT2Config, and how its tensors map to ours.

internal import JSON
import Models

/// A Hugging Face GPT-2.
struct HuggingFaceGPT2: HuggingFaceModel {
    private static let itemTable = "wte.weight"
    static let kind = HuggingFaceArchitecture(
        modelType: "gpt2",
        className: "GPT2LMHeadModel",
        descriptionKeys: ["gpt2", "gpt"],
        prefix: "transformer.",
        itemTable: itemTable
    ) { (configuration) throws(JSONError) in try HuggingFaceGPT2(&configuration) }

    private let width: Int
    private let layers: Int
    private let heads: Int
    private let feedForward: Int
    private let rows: Int
    private let positionRows: Int
    private let layerNormEpsilon: Double
    private let scaleAttention: Bool
    private let scaleAttentionByLayer: Bool
    let isTied: Bool

    var positions: (key: String, count: Int) { ("n_positions", positionRows) }

    init(_ configuration: inout JSONFields) throws(JSONError) {
        width = try configuration.integer("n_embd", in: ArchitectureLimit.dimension)
        layers = try configuration.integer("n_layer", in: ArchitectureLimit.layers)
        heads = try configuration.integer("n_head", in: ArchitectureLimit.heads)
        feedForward = try configuration.integer("n_inner", in: ArchitectureLimit.dimension, default: 4 * width)
        rows = try configuration.integer("vocab_size", in: ArchitectureLimit.rows)
        positionRows = try configuration.integer("n_positions", in: ArchitectureLimit.length)
        layerNormEpsilon = try configuration.positiveReal("layer_norm_epsilon", atMost: 1, default: 1e-5)
        scaleAttention = try configuration.boolean("scale_attn_weights", default: true)
        scaleAttentionByLayer = try configuration.boolean("scale_attn_by_inverse_layer_idx", default: false)
        isTied = try configuration.boolean("tie_word_embeddings", default: true)
        let activation = try configuration.string("activation_function", default: "gelu_new")
        // transformers has two names for one function.
        guard ["gelu_new", "gelu_pytorch_tanh"].contains(activation) else {
            throw JSONError("activation_function \(quoted(activation)) is not supported, only \"gelu_new\"")
        }
        guard try !configuration.boolean("add_cross_attention", default: false) else {
            throw JSONError("add_cross_attention is not supported")
        }
    }

    func architecture(_ stated: HuggingFaceDescription) throws(JSONError) -> Architecture {
        Architecture(
            try GPTConfiguration {
                $0.width = width
                $0.layers = layers
                $0.heads = heads
                $0.feedForward = feedForward
                $0.scaleAttention = scaleAttention
                $0.scaleAttentionByLayer = scaleAttentionByLayer
                $0.positionRows = positionRows
                $0.maxSequenceLength = stated.maxSequenceLength
                $0.tied = isTied
                $0.embeddingScale = stated.embeddingScale
                $0.scoreNormalization = stated.scoreNormalization
                $0.rows = rows
                $0.layerNormEpsilon = layerNormEpsilon
            }
        )
    }

    /// Conv1D stores its matrices input-major, as we do: nothing is transposed.
    func sources(prefix: String) -> TensorSources {
        typealias Name = TransformerTensor
        func norm(_ ours: ParameterName, _ theirs: String) -> TensorSources {
            [
                ours.weight: [SourceTensor(prefix + theirs + ".weight")],
                ours.bias: [SourceTensor(prefix + theirs + ".bias")],
            ]
        }
        var sources: TensorSources = [
            Name.itemEmbedding: [SourceTensor(prefix + Self.itemTable)],
            Name.positionEmbedding: [SourceTensor(prefix + "wpe.weight")],
            Name.head: [SourceTensor("lm_head.weight")],
        ]
        sources.merge(norm(Name.outputNorm, "ln_f")) { _, new in new }
        for layer in 0..<layers {
            let block = prefix + "h.\(layer)."
            sources.merge(norm(Name.attentionNorm(layer), "h.\(layer).ln_1")) { _, new in new }
            sources[Name.qkv(layer).weight] = [SourceTensor(block + "attn.c_attn.weight")]
            sources[Name.qkv(layer).bias] = [SourceTensor(block + "attn.c_attn.bias")]
            sources[Name.attentionOutput(layer).weight] = [SourceTensor(block + "attn.c_proj.weight")]
            sources[Name.attentionOutput(layer).bias] = [SourceTensor(block + "attn.c_proj.bias")]
            sources.merge(norm(Name.feedForwardNorm(layer), "h.\(layer).ln_2")) { _, new in new }
            sources[Name.hidden(layer).weight] = [SourceTensor(block + "mlp.c_fc.weight")]
            sources[Name.hidden(layer).bias] = [SourceTensor(block + "mlp.c_fc.bias")]
            sources[Name.feedForwardOutput(layer).weight] = [SourceTensor(block + "mlp.c_proj.weight")]
            sources[Name.feedForwardOutput(layer).bias] = [SourceTensor(block + "mlp.c_proj.bias")]
        }
        return sources
    }

    func buffers(prefix: String) -> Set<String> {
        Set((0..<layers).flatMap { ["\(prefix)h.\($0).attn.bias", "\(prefix)h.\($0).attn.masked_bias"] })
    }
}
