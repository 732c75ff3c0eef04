// LlamaForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM: their keys of `config.json` with the defaults of
// transformers' configuration classes, and how their tensors map to ours.

internal import JSON
import Models

/// A Hugging Face Llama, Qwen2 or Qwen3.
struct HuggingFaceLlama: HuggingFaceModel {
    private static let itemTable = "embed_tokens.weight"

    /// - Parameter name: which of the three; also its `model_type`.
    static func kind(_ name: Architecture.Name, className: String) -> HuggingFaceArchitecture {
        HuggingFaceArchitecture(
            modelType: name.rawValue,
            className: className,
            descriptionKeys: [name.rawValue],
            prefix: "model.",
            itemTable: itemTable
        ) { (configuration) throws(JSONError) in try HuggingFaceLlama(name, &configuration) }
    }

    private let name: Architecture.Name
    private let width: Int
    private let layers: Int
    private let heads: Int
    private let keyValueHeads: Int
    private let headDimension: Int
    private let feedForward: Int
    private let rows: Int
    private let maxPositions: Int
    private let rmsNormEpsilon: Double
    private let attentionBias: Bool
    private let mlpBias: Bool
    private let rope: RotaryEmbedding
    let isTied: Bool

    var positions: (key: String, count: Int) { ("max_position_embeddings", maxPositions) }

    private init(_ name: Architecture.Name, _ configuration: inout JSONFields) throws(JSONError) {
        self.name = name
        width = try configuration.integer("hidden_size", in: ArchitectureLimit.dimension)
        layers = try configuration.integer("num_hidden_layers", in: ArchitectureLimit.layers)
        heads = try configuration.integer("num_attention_heads", in: ArchitectureLimit.heads)
        keyValueHeads = try configuration.integer("num_key_value_heads", in: ArchitectureLimit.heads, default: heads)
        headDimension = try configuration.integer(
            "head_dim",
            in: ArchitectureLimit.dimension,
            default: name == .qwen3 ? 128 : max(1, width / heads)
        )
        feedForward = try configuration.integer("intermediate_size", in: ArchitectureLimit.dimension)
        rows = try configuration.integer("vocab_size", in: ArchitectureLimit.rows)
        maxPositions = try configuration.integer(
            "max_position_embeddings",
            in: 1...(1 << 30),
            default: name == .llama ? 2048 : 32_768
        )
        rmsNormEpsilon = try configuration.positiveReal("rms_norm_eps", atMost: 1, default: 1e-6)
        // Qwen2 always has them and has no key for it.
        attentionBias = name == .qwen2 ? true : try configuration.boolean("attention_bias", default: false)
        mlpBias = name == .llama ? try configuration.boolean("mlp_bias", default: false) : false
        if name != .llama { try Self.refuseWindows(&configuration, layers: layers) }
        isTied = try configuration.boolean("tie_word_embeddings", default: false)
        let activation = try configuration.string("hidden_act", default: "silu")
        guard ["silu", "swish"].contains(activation) else {
            throw JSONError("hidden_act \(quoted(activation)) is not supported, only \"silu\"")
        }
        rope = try Self.rope(&configuration)
    }

    /// Refuses sliding-window layers. As in transformers' Qwen2Config and Qwen3Config, `layer_types` names them or, if
    /// it is absent, `use_sliding_window` and `max_window_layers` do. transformers also fails if `layer_types` names
    /// one without `use_sliding_window`. Its Llama reads none of these keys.
    private static func refuseWindows(
        _ configuration: inout JSONFields,
        layers: Int
    ) throws(JSONError) {
        let isAsked = try configuration.boolean("use_sliding_window", default: false)
        let first = try configuration.integer("max_window_layers", in: 0...(1 << 30), default: 28)
        if let types = try configuration.strings("layer_types") {
            guard types.count == layers else {
                throw JSONError("layer_types has \(types.count) entries for \(layers) layers")
            }
            if let other = types.first(where: { $0 != "full_attention" }) {
                throw JSONError("layer_types \(quoted(other)) is not supported, only \"full_attention\"")
            }
        } else if isAsked, first < layers {
            throw JSONError("use_sliding_window is not supported")
        }
    }

    /// Rotary positions as in transformers 5, `rope_parameters`, or as before it, `rope_theta` and `rope_scaling`.
    private static func rope(_ configuration: inout JSONFields) throws(JSONError) -> RotaryEmbedding {
        typealias Limit = RotaryEmbedding.Limit
        let parameters = try configuration.optionalObject("rope_parameters")
        let scaling = try configuration.optionalObject("rope_scaling")
        guard parameters == nil || scaling == nil else {
            throw JSONError("rope_parameters and rope_scaling cannot both be given")
        }
        let none = try JSONFields(.object([]))
        var stated = parameters ?? scaling ?? none
        let topTheta = try configuration.positiveReal("rope_theta", atMost: Limit.theta, default: 10_000)
        let theta =
            stated.contains("rope_theta") ? try stated.positiveReal("rope_theta", atMost: Limit.theta) : topTheta
        let topShare = try configuration.positiveReal("partial_rotary_factor", atMost: 1, default: 1)
        let share = try stated.positiveReal("partial_rotary_factor", atMost: 1, default: topShare)
        guard share == 1 else { throw JSONError("partial_rotary_factor \(share) is not supported, only 1") }
        // Before 4.45 the key was `type`; some files have both.
        let type = stated.contains("rope_type") ? try stated.string("rope_type") : nil
        let oldType = stated.contains("type") ? try stated.string("type") : nil
        guard type == nil || oldType == nil || type == oldType else {
            throw JSONError("rope_type \(quoted(type ?? "")) contradicts type \(quoted(oldType ?? ""))")
        }
        return RotaryEmbedding(
            theta: theta,
            scaling: try RotaryEmbedding.Scaling(type: type ?? oldType ?? "default", &stated),
            pairing: .halves
        )
    }

    func architecture(_ stated: HuggingFaceDescription) throws(JSONError) -> Architecture {
        Architecture(
            try LlamaConfiguration {
                $0.architecture = name
                $0.width = width
                $0.layers = layers
                $0.heads = heads
                $0.keyValueHeads = keyValueHeads
                $0.headDimension = headDimension
                $0.feedForward = feedForward
                $0.rope = rope
                $0.attentionBias = attentionBias
                $0.mlpBias = mlpBias
                $0.maxSequenceLength = stated.maxSequenceLength
                $0.tied = isTied
                $0.embeddingScale = stated.embeddingScale
                $0.scoreNormalization = stated.scoreNormalization
                $0.rows = rows
                $0.rmsNormEpsilon = rmsNormEpsilon
            }
        )
    }

    func sources(prefix: String) -> TensorSources {
        typealias Name = TransformerTensor
        let query = heads * headDimension
        let keyValue = keyValueHeads * headDimension
        var sources: TensorSources = [
            Name.itemEmbedding: [SourceTensor(prefix + Self.itemTable)],
            Name.outputNorm.weight: [SourceTensor(prefix + "norm.weight")],
            Name.head: [SourceTensor("lm_head.weight")],
        ]
        for layer in 0..<layers {
            let attention = prefix + "layers.\(layer).self_attn."
            let mlp = prefix + "layers.\(layer).mlp."
            sources[Name.attentionNorm(layer).weight] = [
                SourceTensor(prefix + "layers.\(layer).input_layernorm.weight")
            ]
            sources[Name.qkv(layer).weight] = [
                SourceTensor(attention + "q_proj.weight", [query, width]),
                SourceTensor(attention + "k_proj.weight", [keyValue, width]),
                SourceTensor(attention + "v_proj.weight", [keyValue, width]),
            ]
            sources[Name.qkv(layer).bias] = [
                SourceTensor(attention + "q_proj.bias", [query]),
                SourceTensor(attention + "k_proj.bias", [keyValue]),
                SourceTensor(attention + "v_proj.bias", [keyValue]),
            ]
            sources[Name.queryNorm(layer).weight] = [SourceTensor(attention + "q_norm.weight")]
            sources[Name.keyNorm(layer).weight] = [SourceTensor(attention + "k_norm.weight")]
            sources[Name.attentionOutput(layer).weight] = [SourceTensor(attention + "o_proj.weight")]
            sources[Name.attentionOutput(layer).bias] = [SourceTensor(attention + "o_proj.bias")]
            sources[Name.feedForwardNorm(layer).weight] = [
                SourceTensor(prefix + "layers.\(layer).post_attention_layernorm.weight")
            ]
            sources[Name.gateUp(layer).weight] = [
                SourceTensor(mlp + "gate_proj.weight", [feedForward, width]),
                SourceTensor(mlp + "up_proj.weight", [feedForward, width]),
            ]
            sources[Name.gateUp(layer).bias] = [
                SourceTensor(mlp + "gate_proj.bias", [feedForward]),
                SourceTensor(mlp + "up_proj.bias", [feedForward]),
            ]
            sources[Name.down(layer).weight] = [SourceTensor(mlp + "down_proj.weight")]
            sources[Name.down(layer).bias] = [SourceTensor(mlp + "down_proj.bias")]
        }
        return sources
    }

    func buffers(prefix: String) -> Set<String> {
        Set((0..<layers).map { prefix + "layers.\($0).self_attn.rotary_emb.inv_freq" })
            .union([prefix + "rotary_emb.inv_freq"])
    }
}
