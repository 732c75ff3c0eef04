// Checkpoints of Meta's generative-recommenders (research code): `torch.save({"epoch", "model_state_dict",
// "optimizer_state_dict"})`, or a bare state dict. HSTU and its SASRec baseline share the tables; each one's layers
// have their own file.

internal import Files
internal import JSON
import Models

/// Imports Meta's checkpoints.
struct MetaImporter: FileImporter {
    let format = "meta"
    let source = "meta-generative-recommenders"
    let architectures = ["hstu", "sasrec"]

    /// Buffers that follow from the configuration.
    private static let knownBuffers: Set = ["_attn_mask"]
    /// `max_output_length` of the published configurations.
    static let defaultOutputLength = 11

    /// The keys that both architectures use.
    struct Dimensions {
        /// Post-processing of the sequence output.
        enum Normalization: String, CaseIterable {
            case l2
            case ln
        }

        var width: Int
        var layers: Int
        var heads: Int
        var maxSequenceLength: Int
        var maxOutputLength: Int
        var normalization: Normalization
        var itemL2Norm: Bool

        init(_ fields: inout JSONFields) throws(JSONError) {
            maxSequenceLength = try fields.integer("max_sequence_length", in: ArchitectureLimit.length)
            maxOutputLength = try fields.integer(
                "max_output_length",
                in: ArchitectureLimit.length,
                default: MetaImporter.defaultOutputLength
            )
            width = try fields.integer("d", in: ArchitectureLimit.dimension)
            layers = try fields.integer("blocks", in: ArchitectureLimit.layers)
            heads = try fields.integer("heads", in: ArchitectureLimit.heads)
            normalization = try fields.choice("norm", of: Normalization.self, default: .l2)
            itemL2Norm = try fields.boolean("item_l2_norm", default: true)
        }
    }

    /// Names of the tables that both architectures have.
    enum TableName {
        /// (V + 1, D)
        static let items = "_embedding_module._item_emb.weight"
        /// (N, D)
        static let positions = "_input_features_preproc._pos_emb.weight"
    }

    func open(
        _ checkpoint: InputFile,
        description: ImportDescription,
        weights: String?
    ) throws(ImportError) -> any ImportedModel {
        let state = try StateDictionary(
            TorchCheckpoint(checkpoint),
            anchors: [TableName.items, TableName.positions],
            choice: weights
        )
        let table = try state.tableShape(TableName.items, extents: "(rows, d)")
        let isHSTU =
            description.architecture.map { $0 == "hstu" } ?? (state.layerCount(MetaHSTU.layers) > 0)
        let description = try description.completed(
            by: Self.tableFacts(state, description, width: table.columns)
                + (isHSTU ? MetaHSTU.facts(state, description) : MetaSASRec.facts(state)),
            asking: [ImportDescription.Question(key: "heads", meaning: "attention heads")],
            of: state.path
        )
        let makeModel: (_ rows: Int) throws(JSONError) -> (architecture: Architecture, sources: TensorSources)
        if isHSTU {
            let stated = try description.take { fields throws(JSONError) in try MetaHSTU(&fields) }
            makeModel = stated.model
        } else {
            let stated = try description.take { fields throws(JSONError) in try MetaSASRec(&fields) }
            makeModel = stated.model
        }
        let model: (architecture: Architecture, sources: TensorSources)
        do throws(JSONError) {
            model = try makeModel(table.rows)
        } catch {
            throw ImportError(.mismatched, "\(state.path): \(error.description)")
        }
        return try NamedTensorModel(
            state,
            file: checkpoint,
            architecture: model.architecture,
            sources: model.sources,
            ignorable: Self.knownBuffers,
            outside: state.outside,
            description: description.name
        )
    }

    /// The width and the window. The position table has a row for each event of the window and `max_output_length`
    /// more.
    private static func tableFacts(
        _ state: StateDictionary,
        _ description: ImportDescription,
        width: Int
    ) throws(ImportError) -> [JSONMember] {
        let positions = try state.tableShape(TableName.positions, extents: "(positions, d)").rows
        let stated = description.members.first { $0.key == "max_output_length" }?.value
        let output = if case .integer(let value) = stated { Int(clamping: value) } else { defaultOutputLength }
        let window = positions.subtractingReportingOverflow(output).partialValue
        return [
            JSONMember("max_sequence_length", .integer(max(window, 0))), JSONMember("d", .integer(width)),
        ]
    }
}
