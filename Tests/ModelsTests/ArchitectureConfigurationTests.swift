// SASRec, Llama, Qwen and GPT: sizes against published figures, tensors by switch, config.json, and rotary frequencies.
// HSTU has a separate file.

import Compute
import JSON
import Testing

@testable import Models

@Suite struct ArchitectureConfigurationTests {
    private static func sasrec(
        width: Int = 4,
        layers: Int = 1,
        heads: Int = 2,
        feedForward: Int = 6,
        affine: Bool = false,
        positions: SASRecConfiguration.PositionNumbering = .fromOldest,
        length: Int = 5,
        outputLength: Int = 0,
        relativeBias: RelativeBiasKind = .none,
        output: SASRecConfiguration.OutputNormalization = .l2,
        rows: Int = 7
    ) throws -> SASRecConfiguration {
        try SASRecConfiguration {
            $0.width = width
            $0.layers = layers
            $0.heads = heads
            $0.feedForward = feedForward
            $0.layerOrder = .original
            $0.affineNorms = affine
            $0.positions = positions
            $0.maxSequenceLength = length
            $0.maxOutputLength = outputLength
            $0.relativeBias = relativeBias
            $0.outputNormalization = output
            $0.itemL2Norm = true
            $0.rows = rows
            $0.outputEpsilon = 1e-6
        }
    }

    private static func llama(
        width: Int = 4,
        heads: Int = 2,
        keyValueHeads: Int = 1,
        headDimension: Int = 2,
        rope: RotaryEmbedding? = nil,
        biases: Bool = false,
        tied: Bool = true,
        _ architecture: Architecture.Name = .llama
    ) throws -> LlamaConfiguration {
        try LlamaConfiguration {
            $0.architecture = architecture
            $0.width = width
            $0.layers = 1
            $0.heads = heads
            $0.keyValueHeads = keyValueHeads
            $0.headDimension = headDimension
            $0.feedForward = 6
            $0.rope = rope ?? RotaryEmbedding(pairing: .halves)
            $0.attentionBias = biases
            $0.mlpBias = biases
            $0.maxSequenceLength = 5
            $0.tied = tied
            $0.rows = 7
            $0.rmsNormEpsilon = 1e-5
        }
    }

    private static func gpt(
        heads: Int = 2,
        scales: Bool = true,
        byLayer: Bool = false,
        length: Int = 5,
        tied: Bool = true
    ) throws -> GPTConfiguration {
        try GPTConfiguration {
            $0.width = 8
            $0.layers = 2
            $0.heads = heads
            $0.feedForward = 12
            $0.scaleAttention = scales
            $0.scaleAttentionByLayer = byLayer
            $0.positionRows = 9
            $0.maxSequenceLength = length
            $0.tied = tied
            $0.rows = 7
        }
    }

    // MARK: - Sizes

    @Test(arguments: [
        (3953, 200, 50, 2, 1, 238_800, 41_150), (131_263, 200, 256, 4, 4, 35_236_352, 1_633_024),
        (695_763, 50, 64, 4, 4, 44_632_576, 103_744),
    ])
    func sasrecOfMeta_HasThePublishedSize(
        rows: Int,
        length: Int,
        width: Int,
        layers: Int,
        heads: Int,
        parameters: Int,
        withoutItems: Int
    ) throws {
        let configuration = try Self.sasrec(
            width: width,
            layers: layers,
            heads: heads,
            feedForward: width,
            length: length,
            outputLength: 11,
            rows: rows
        )
        #expect(configuration.positionRows == length + 11)
        #expect(configuration.parameterCount == parameters)
        #expect(configuration.parameterCount - configuration.tensorSpecifications[0].count == withoutItems)
        #expect(configuration.cacheBytesPerEvent(.float32) == layers * 2 * width * 4)
    }

    @Test func sasrecOfPyTorch_HasTheSizeOfThePublishedCheckpoint() throws {
        let configuration = try Self.sasrec(
            width: 50,
            layers: 2,
            heads: 1,
            feedForward: 50,
            affine: true,
            positions: .fromNewest,
            length: 200,
            output: .affineLayerNorm,
            rows: 3417
        )
        // The tensors of ml-1m's checkpoint: 3417 + 201 rows of 50, two layers of 15 750 with norms, the last norm.
        #expect(configuration.parameterCount == 180_900 + 2 * (4 * 2500 + 4 * 50 + 2 * 2500 + 2 * 50 + 4 * 50) + 100)
        #expect(configuration.tensorSpecifications.count == 28)
    }

    @Test func llama7B_HasItsKnownSize() throws {
        let configuration = try LlamaConfiguration {
            $0.width = 4096
            $0.layers = 32
            $0.heads = 32
            $0.keyValueHeads = 32
            $0.headDimension = 128
            $0.feedForward = 11_008
            $0.rope = RotaryEmbedding(pairing: .halves)
            $0.maxSequenceLength = 2048
            $0.tied = false
            $0.rows = 32_000
            $0.rmsNormEpsilon = 1e-5
        }
        #expect(configuration.parameterCount == 6_738_415_616)
        #expect(configuration.cacheBytesPerEvent(.float16) == 524_288)
    }

    @Test func gpt2_HasItsKnownSize() throws {
        let configuration = try GPTConfiguration {
            $0.width = 768
            $0.layers = 12
            $0.heads = 12
            $0.feedForward = 3072
            $0.positionRows = 1024
            $0.maxSequenceLength = 1024
            $0.tied = true
            $0.rows = 50_257
        }
        #expect(configuration.parameterCount == 124_439_808)
        // Two operations per matrix weight and event.
        #expect(configuration.operations(length: 10).linear == 2 * 10 * 12 * 12 * 768 * 768)
        #expect(configuration.operations(length: 10).attention == 4 * 12 * 768 * 55)
    }

    @Test func groupedHeads_SaveProjectionAndCache() throws {
        let all = try Self.llama(keyValueHeads: 2)
        let grouped = try Self.llama(keyValueHeads: 1)
        #expect(all.cacheBytesPerEvent(.float32) == 2 * grouped.cacheBytesPerEvent(.float32))
        #expect(all.operations(length: 3).linear - grouped.operations(length: 3).linear == 2 * 3 * 4 * (2 * 2))
        #expect(all.operations(length: 3).attention == grouped.operations(length: 3).attention)
    }

    @Test func largestDimensions_DoNotOverflow() throws {
        let dimension = ArchitectureLimit.dimension.upperBound
        let layers = ArchitectureLimit.layers.upperBound
        let length = ArchitectureLimit.length.upperBound
        let rows = ArchitectureLimit.rows.upperBound
        let configurations: [any ArchitectureConfiguration] = [
            try Self.sasrec(
                width: dimension,
                layers: layers,
                heads: 1024,
                feedForward: dimension,
                affine: true,
                length: length,
                outputLength: length,
                relativeBias: .positionAndTime,
                output: .affineLayerNorm,
                rows: rows
            ),
            try LlamaConfiguration {
                $0.width = dimension
                $0.layers = layers
                $0.heads = 1024
                $0.keyValueHeads = 1024
                $0.headDimension = 64
                $0.feedForward = dimension
                $0.rope = RotaryEmbedding(pairing: .interleaved)
                $0.attentionBias = true
                $0.mlpBias = true
                $0.maxSequenceLength = length
                $0.tied = false
                $0.rows = rows
                $0.rmsNormEpsilon = 1
            },
            try GPTConfiguration {
                $0.width = dimension
                $0.layers = layers
                $0.heads = 1024
                $0.feedForward = dimension
                $0.positionRows = length
                $0.maxSequenceLength = length
                $0.tied = false
                $0.rows = rows
            },
        ]
        for configuration in configurations {
            #expect(configuration.parameterCount > 0)
            #expect(configuration.operations(length: length).total > 0)
            #expect(configuration.cacheBytesPerEvent(.float32) > 0)
        }
    }

    // MARK: - Tensors

    private func names(_ configuration: some ArchitectureConfiguration) -> Set<String> {
        let names = configuration.tensorSpecifications.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(names.first == "item_embedding.weight")
        return Set(names)
    }

    @Test func tensorsOfSASRec_FollowTheSwitches() throws {
        let plain = names(try Self.sasrec())
        #expect(
            plain == [
                "item_embedding.weight", "position_embedding.weight", "layers.0.attention.qkv.weight",
                "layers.0.attention.qkv.bias", "layers.0.attention.output.weight", "layers.0.attention.output.bias",
                "layers.0.feed_forward.hidden.weight", "layers.0.feed_forward.hidden.bias",
                "layers.0.feed_forward.output.weight", "layers.0.feed_forward.output.bias",
            ]
        )
        let affine = names(try Self.sasrec(affine: true)).subtracting(plain)
        #expect(
            affine == [
                "layers.0.attention_norm.weight", "layers.0.attention_norm.bias", "layers.0.feed_forward_norm.weight",
                "layers.0.feed_forward_norm.bias",
            ]
        )
        #expect(
            names(try Self.sasrec(output: .affineLayerNorm)).subtracting(plain) == [
                "output_norm.weight", "output_norm.bias",
            ]
        )
        #expect(
            names(try Self.sasrec(relativeBias: .position)).subtracting(plain) == ["layers.0.relative_bias.position"]
        )
        let both = try Self.sasrec(outputLength: 2, relativeBias: .positionAndTime)
        #expect(both.tensorSpecifications.contains(TensorSpecification("layers.0.relative_bias.position", [13])))
        #expect(both.tensorSpecifications.contains(TensorSpecification("layers.0.relative_bias.time", [129])))
    }

    @Test(arguments: [
        (SASRecConfiguration.PositionNumbering.fromOldest, 5, "none"), (.fromNewest, 6, "attended"),
        (.everySlot, 5, "attended, zeroed in every layer"),
    ])
    func positions_DecideTheirTableAndThePadding(
        positions: SASRecConfiguration.PositionNumbering,
        rows: Int,
        padding: String
    ) throws {
        let configuration = try Self.sasrec(positions: positions)
        #expect(configuration.tensorSpecifications[1] == TensorSpecification("position_embedding.weight", [rows, 4]))
        #expect(configuration.facts.contains { $0 == ("padding", padding) })
    }

    @Test func tensorsOfLlama_FollowTheSwitches() throws {
        let plain = try Self.llama()
        #expect(
            plain.tensorSpecifications == [
                TensorSpecification("item_embedding.weight", [7, 4]),
                TensorSpecification("layers.0.attention_norm.weight", [4]),
                TensorSpecification("layers.0.attention.qkv.weight", [8, 4]),
                TensorSpecification("layers.0.attention.output.weight", [4, 4]),
                TensorSpecification("layers.0.feed_forward_norm.weight", [4]),
                TensorSpecification("layers.0.feed_forward.gate_up.weight", [12, 4]),
                TensorSpecification("layers.0.feed_forward.down.weight", [4, 6]),
                TensorSpecification("output_norm.weight", [4]),
            ]
        )
        #expect(names(try Self.llama(tied: false)).subtracting(names(plain)) == ["head.weight"])
        #expect(
            names(try Self.llama(biases: true)).subtracting(names(plain)) == [
                "layers.0.attention.qkv.bias", "layers.0.attention.output.bias", "layers.0.feed_forward.gate_up.bias",
                "layers.0.feed_forward.down.bias",
            ]
        )
    }

    @Test func tensorsOfQwen_DifferFromLlamaByOneSwitchEach() throws {
        let biased = names(try Self.llama(biases: true))
        #expect(
            biased.subtracting(names(try Self.llama(biases: true, .qwen2))) == [
                "layers.0.attention.output.bias"
            ]
        )
        let qwen3 = try Self.llama(.qwen3)
        #expect(
            names(qwen3).subtracting(names(try Self.llama())) == [
                "layers.0.attention.query_norm.weight", "layers.0.attention.key_norm.weight",
            ]
        )
        #expect(qwen3.tensorSpecifications.contains(TensorSpecification("layers.0.attention.key_norm.weight", [2])))
    }

    @Test func tensorsOfGPT_AreInputMajor() throws {
        let tied = try Self.gpt()
        #expect(tied.tensorSpecifications.contains(TensorSpecification("layers.1.attention.qkv.weight", [8, 24])))
        #expect(
            tied.tensorSpecifications.contains(TensorSpecification("layers.1.feed_forward.hidden.weight", [8, 12]))
        )
        #expect(
            tied.tensorSpecifications.contains(TensorSpecification("layers.1.feed_forward.output.weight", [12, 8]))
        )
        #expect(names(try Self.gpt(tied: false)).subtracting(names(tied)) == ["head.weight"])
    }

    @Test func attentionScaleOfGPT_FollowsItsSwitches() throws {
        #expect(try Self.gpt().transformer.attentionScale(layer: 1) == 0.5)
        #expect(try Self.gpt(byLayer: true).transformer.attentionScale(layer: 1) == 0.25)
        #expect(try Self.gpt(scales: false).transformer.attentionScale(layer: 1) == 1)
        #expect(try Self.gpt(scales: false, byLayer: true).transformer.attentionScale(layer: 1) == 0.5)
    }

    // MARK: - Rotary positions

    /// Expected values by numpy in float32, after transformers' `modeling_rope_utils`.
    @Test(
        arguments: [
            (10_000, RotaryEmbedding.Scaling.none, 8, [1, 0.1, 0.01, 0.001]),
            (10_000, .linear(factor: 4), 8, [0.25, 0.025, 0.0025, 0.00025]),
            (
                500_000, .llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalLength: 8192), 16,
                [
                    1, 0.193922758, 0.0376060307, 0.00729266508, 0.000524846022, 3.42810235e-05, 6.64787058e-06,
                    1.28917316e-06,
                ]
            ),
            (
                10_000, .llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalLength: 64), 8,
                [1, 0.0130422562, 0.00125, 0.000125]
            ),
        ] as [(Double, RotaryEmbedding.Scaling, Int, [Float])]
    )
    func inverseFrequencies_AreThoseOfTransformers(
        theta: Double,
        scaling: RotaryEmbedding.Scaling,
        dimension: Int,
        expected: [Float]
    ) throws {
        let rope = RotaryEmbedding(theta: theta, scaling: scaling, pairing: .halves)
        let frequencies = rope.inverseFrequencies(headDimension: dimension)
        #expect(frequencies.count == expected.count)
        for (frequency, value) in zip(frequencies, expected) {
            #expect(abs(frequency - value) <= 1e-6 * value, "\(frequency) is not \(value)")
        }
    }

    // MARK: - Refused values

    @Test func valuesThatDoNotFitEachOther_AreRefused() throws {
        func reason(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no error"
            } catch {
                return (error as? JSONError)?.description ?? "\(error)"
            }
        }
        #expect(reason { _ = try Self.sasrec(heads: 3) } == "width 4 is not a multiple of heads, 3")
        #expect(reason { _ = try Self.sasrec(heads: 0) } == "heads must be from 1 to 1024")
        #expect(
            reason { _ = try Self.sasrec(positions: .everySlot, outputLength: 1) }.hasPrefix(
                "max_output_length must be 0"
            )
        )
        #expect(
            reason { _ = try Self.sasrec(positions: .fromNewest, relativeBias: .position) }
                .hasPrefix("relative_attention_bias must be \"none\"")
        )
        #expect(reason { _ = try Self.llama(keyValueHeads: 3) } == "heads 2 is not a multiple of key_value_heads, 3")
        #expect(reason { _ = try Self.llama(headDimension: 3) }.hasPrefix("head_dimension 3 is not even"))
        #expect(reason { _ = try Self.llama(headDimension: 65_536) }.hasPrefix("heads times head_dimension"))
        #expect(reason { _ = try Self.gpt(heads: 3) } == "width 8 is not a multiple of heads, 3")
        #expect(reason { _ = try Self.gpt(length: 10) } == "max_sequence_length 10 is more than position_rows, 9")
        #expect(
            reason { _ = try Self.llama(rope: RotaryEmbedding(theta: 0, pairing: .halves)) }.hasPrefix(
                "rope_theta must be greater than 0"
            )
        )
        let flat = RotaryEmbedding.Scaling.llama3(
            factor: 8,
            lowFrequencyFactor: 4,
            highFrequencyFactor: 4,
            originalLength: 64
        )
        #expect(
            reason { _ = try Self.llama(rope: RotaryEmbedding(scaling: flat, pairing: .halves)) }
                .hasPrefix("rope_scaling.low_freq_factor must be less")
        )
        #expect(
            reason {
                _ = try HSTUConfiguration {
                    $0.width = 4
                    $0.layers = 1
                    $0.heads = 1
                    $0.attentionDimension = 1
                    $0.linearDimension = 1
                    $0.maxSequenceLength = 1
                    $0.maxOutputLength = 1
                    $0.concatUA = true
                    $0.relativeBias = .none
                    $0.hasGate = false
                    $0.outputNormalization = .l2
                    $0.itemL2Norm = true
                    $0.rows = 2
                }
            } == "concat_ua must be false where gate is"
        )
    }

    // MARK: - config.json

    private static func text(_ architecture: Architecture) throws -> String {
        try BundleConfiguration(
            name: "tiny",
            version: "1",
            architecture: architecture,
            dtype: .float32,
            provenance: Provenance(source: "test", file: "none.pt", sha256: String(repeating: "0", count: 64))
        ).json.prettyPrinted
    }

    private static func read(_ text: String) throws -> Architecture {
        try BundleConfiguration(Array(text.utf8).withUnsafeBytes { try JSONValue(parsing: $0) }).architecture
    }

    private static func samples() throws -> [Architecture] {
        let llama3 = RotaryEmbedding.Scaling.llama3(
            factor: 8,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            originalLength: 64
        )
        return [
            Architecture(try sasrec(outputLength: 3, relativeBias: .positionAndTime)),
            Architecture(try sasrec(affine: true, positions: .everySlot, output: .affineLayerNorm)),
            Architecture(try llama()),
            Architecture(
                try llama(rope: RotaryEmbedding(theta: 5e5, scaling: llama3, pairing: .interleaved), biases: true)
            ),
            Architecture(
                try llama(rope: RotaryEmbedding(scaling: .linear(factor: 2.5), pairing: .halves), tied: false)
            ),
            Architecture(try gpt(scales: false, byLayer: true, tied: false)),
            Architecture(try llama(biases: true, .qwen2)), Architecture(try llama(.qwen3)),
        ]
    }

    @Test func configuration_IsReadBackAsItWasWritten() throws {
        for sample in try Self.samples() { #expect(try Self.read(Self.text(sample)) == sample) }
    }

    @Test func everyKey_IsNeededAndNoOtherKnown() throws {
        // Keys that older bundles lack.
        let optional: Set = ["relative_attention_bias", "time_buckets"]
        for sample in try Self.samples() {
            guard case .object(let members) = sample.configuration.json else {
                Issue.record("no object")
                continue
            }
            for member in members where !optional.contains(member.key) {
                let rest = JSONValue.object(members.filter { $0.key != member.key })
                #expect(throws: JSONError("\(member.key) is missing")) {
                    _ = try Architecture(sample.name, JSONFields(rest))
                }
            }
            let more = JSONValue.object(members + [JSONMember("more", .null)])
            #expect(throws: JSONError("the key \"more\" is not known")) {
                _ = try Architecture(sample.name, JSONFields(more))
            }
        }
    }

    @Test(arguments: [
        (
            0, "\"layer_order\": \"original\"", "\"layer_order\": \"meta\"",
            "must be \"original\" or \"pre\" or \"post\""
        ),
        (0, "\"activation\": \"relu\"", "\"activation\": \"gelu\"", "model.activation must be \"relu\""),
        (0, "\"positions\": \"from_oldest\"", "\"positions\": 0", "model.positions must be "),
        (2, "\"type\": \"default\"", "\"type\": \"yarn\"", "RoPE scaling of type \"yarn\" is not supported"),
        (2, "\"type\": \"default\"", "\"type\": \"default\", \"factor\": 2", "rope_scaling: the key \"factor\" is not"),
        (4, "\"factor\": 2.5", "\"factor\": 0", "rope_scaling.factor must be a number greater than 0"),
        (2, "\"rope_pairing\": \"halves\"", "\"rope_pairing\": \"gptj\"", "\"halves\" or \"interleaved\""),
        (2, "\"key_value_heads\": 1", "\"key_value_heads\": 0", "key_value_heads must be an integer from 1"),
        (5, "\"activation\": \"gelu_new\"", "\"activation\": \"gelu\"", "model.activation must be \"gelu_new\""),
        (
            5, "\"architecture\": \"gpt\"", "\"architecture\": \"gpt2\"",
            "\"hstu\" or \"sasrec\" or \"llama\" or \"gpt\" or \"qwen2\" or \"qwen3\""
        ),
    ])
    func configuration_ThatIsWrong(sample: Int, part: String, replacement: String, expected: String) throws {
        let text = try Self.text(Self.samples()[sample])
        let changed = text.replacing(part, with: replacement)
        #expect(changed != text)
        do {
            _ = try Self.read(changed)
            Issue.record("no error")
        } catch let error as JSONError {
            #expect(error.description.contains(expected), "\(error.description)")
        }
    }

    // MARK: - HSTU's switches

    @Test func bundleOfHSTU_WrittenBeforeTheSwitches_StillLoads() throws {
        func hstu(_ model: String) throws -> HSTUConfiguration {
            try HSTUConfiguration(JSONFields(Array(model.utf8).withUnsafeBytes { try JSONValue(parsing: $0) }))
        }
        let old = """
            {"width": 4, "layers": 1, "heads": 2, "attention_dimension": 1, "linear_dimension": 2,
             "max_sequence_length": 5, "max_output_length": 1, "concat_ua": false, "relative_attention_bias": true,
             "time_buckets": 128, "output_normalization": "l2", "item_l2_norm": true, "item_rows": 7,
             "layer_norm_epsilon": 1e-06, "l2_epsilon": 1e-06}
            """
        #expect(try hstu(old) == tinyConfiguration())
        let without = old.replacing("bias\": true", with: "bias\": false")
        #expect(try hstu(without).relativeBias == .none)
        #expect(try hstu(without) == tinyConfiguration(relativeBias: false))
    }

    @Test func ablationsOfHSTU_ChangeTensorsAndAreReadBack() throws {
        let ablated = try HSTUConfiguration {
            $0.width = 4
            $0.layers = 1
            $0.heads = 2
            $0.attentionDimension = 1
            $0.linearDimension = 3
            $0.maxSequenceLength = 5
            $0.maxOutputLength = 1
            $0.concatUA = false
            $0.relativeBias = .position
            $0.attentionActivation = .softmax
            $0.hasGate = false
            $0.outputNormalization = .l2
            $0.itemL2Norm = true
            $0.rows = 7
        }
        #expect(ablated.tensorSpecifications.contains(TensorSpecification("layers.0.uvqk.weight", [4, 10])))
        #expect(names(ablated).filter { $0.contains("relative_bias") } == ["layers.0.relative_bias.position"])
        #expect(try Self.read(Self.text(Architecture(ablated))) == Architecture(ablated))
    }
}
