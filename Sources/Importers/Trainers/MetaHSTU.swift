// HSTU in Meta's checkpoints: the keys of the description, and how its `state_dict` maps to our tensors.

internal import JSON
import Models

/// The description of an HSTU model.
struct MetaHSTU {
    private let dimensions: MetaImporter.Dimensions
    private let attentionDimension: Int
    private let linearDimension: Int
    private let concatUA: Bool
    private let relativeBias: RelativeBiasKind
    private let attention: HSTUConfiguration.AttentionActivation
    private let hasGate: Bool
    private let timeBuckets: Int

    /// The name prefix before a layer's number.
    static let layers = "_hstu._attention_layers."

    /// The values that follow from the first layer's shapes: all except the number and width of heads.
    ///
    /// `_uvqk` has heads · (2·dv + 2·dqk) columns, without a gate heads · (dv + 2·dqk). `_o` has heads · dv inputs,
    /// with `concat_ua` three times as many, which is assumed if `_uvqk` allows nothing else.
    static func facts(
        _ state: StateDictionary,
        _ description: ImportDescription
    ) throws(ImportError) -> [JSONMember] {
        var facts = [JSONMember("blocks", .integer(state.layerCount(layers)))]
        let bias = layers + "0._rel_attn_bias."
        let names = state.names
        let kind: RelativeBiasKind =
            names.contains(bias + "_ts_w") ? .positionAndTime : names.contains(bias + "_w") ? .position : .none
        let isStated = description.members.contains { $0.key == "enable_relative_attention_bias" }
        if !isStated { facts.append(JSONMember("relative_attention_bias", .string(kind.rawValue))) }
        if let entries = try state.shape(of: bias + "_ts_w")?.first {
            facts.append(JSONMember("time_buckets", .integer(entries - 1)))
        }
        let projection = try state.tableShape(layers + "0._uvqk", extents: "(d, heads * (2 dv + 2 dqk))").columns
        let output = try state.tableShape(layers + "0._o.weight", extents: "(d, heads * dv)").columns
        func stated(_ key: String) -> JSONValue? { description.members.first { $0.key == key }?.value }
        let gates = stated("gate") == .boolean(false) ? 1 : 2
        let concatenates =
            stated("concat_ua").map { $0 == .boolean(true) }
            ?? (projection <= gates * output && output.isMultiple(of: 3))
        facts.append(JSONMember("concat_ua", .boolean(concatenates)))
        let linear = concatenates ? output / 3 : output
        // Half of the rest. It cannot overflow, because the table's shape is limited.
        let attention = max(projection - gates * linear, 0) / 2
        if case .integer(let heads) = stated("heads"), heads > 0 {
            facts.append(JSONMember("dqk", .integer(Int64(attention) / heads)))
            facts.append(JSONMember("dv", .integer(Int64(linear) / heads)))
        }
        return facts
    }

    init(_ fields: inout JSONFields) throws(JSONError) {
        dimensions = try MetaImporter.Dimensions(&fields)
        attentionDimension = try fields.integer("dqk", in: ArchitectureLimit.dimension)
        linearDimension = try fields.integer("dv", in: ArchitectureLimit.dimension)
        concatUA = try fields.boolean("concat_ua", default: false)
        relativeBias = try Self.relativeBias(&fields)
        attention = try fields.choice("attention", of: HSTUConfiguration.AttentionActivation.self, default: .silu)
        hasGate = try fields.boolean("gate", default: true)
        timeBuckets = try fields.integer("time_buckets", in: ArchitectureLimit.timeBuckets, default: 128)
    }

    /// Meta's switch is all or nothing; ours selects the parts.
    private static func relativeBias(_ fields: inout JSONFields) throws(JSONError) -> RelativeBiasKind {
        let isStated = fields.contains("enable_relative_attention_bias")
        let isEnabled = try fields.boolean("enable_relative_attention_bias", default: true)
        let kind = try fields.choice(
            "relative_attention_bias",
            of: RelativeBiasKind.self,
            default: isEnabled ? .positionAndTime : RelativeBiasKind.none
        )
        guard !isStated || isEnabled == (kind != .none) else {
            throw JSONError("relative_attention_bias contradicts enable_relative_attention_bias")
        }
        return kind
    }

    /// The model with this many item rows, and where its tensors are. Both sides store them alike, so nothing is
    /// transposed: `_uvqk` input-major with columns u, v, q, k; `_o.weight` output-major.
    func model(rows: Int) throws(JSONError) -> (architecture: Architecture, sources: TensorSources) {
        let configuration = try HSTUConfiguration {
            $0.width = dimensions.width
            $0.layers = dimensions.layers
            $0.heads = dimensions.heads
            $0.attentionDimension = attentionDimension
            $0.linearDimension = linearDimension
            $0.maxSequenceLength = dimensions.maxSequenceLength
            $0.maxOutputLength = dimensions.maxOutputLength
            $0.concatUA = concatUA
            $0.relativeBias = relativeBias
            $0.timeBuckets = timeBuckets
            $0.attentionActivation = attention
            $0.hasGate = hasGate
            $0.outputNormalization = dimensions.normalization == .l2 ? .l2 : .layerNorm
            $0.itemL2Norm = dimensions.itemL2Norm
            $0.rows = rows
        }
        typealias Name = HSTUConfiguration.TensorName
        var sources: TensorSources = [
            Name.itemEmbedding: [SourceTensor(MetaImporter.TableName.items)],
            Name.positionEmbedding: [SourceTensor(MetaImporter.TableName.positions)],
        ]
        for layer in 0..<configuration.layers {
            let prefix = "\(Self.layers)\(layer)."
            // The module that has only the positional part calls it `_w`.
            let position = relativeBias == .position ? "_w" : "_pos_w"
            sources[Name.uvqk(layer).weight] = [SourceTensor(prefix + "_uvqk")]
            sources[RelativeBiasKind.timeName(layer)] = [SourceTensor(prefix + "_rel_attn_bias._ts_w")]
            sources[RelativeBiasKind.positionName(layer)] = [SourceTensor(prefix + "_rel_attn_bias." + position)]
            sources[Name.output(layer).weight] = [SourceTensor(prefix + "_o.weight")]
            sources[Name.output(layer).bias] = [SourceTensor(prefix + "_o.bias")]
        }
        return (Architecture(configuration), sources)
    }
}
