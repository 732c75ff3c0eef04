// Checkpoints of Meta's generative-recommenders (research code): HSTU. Names and shapes of its `state_dict` stand beside
// our own in `sources`.

import Compute
import Models

/// Imports what `torch.save({"epoch", "model_state_dict", "optimizer_state_dict"})` wrote, or a bare state dict.
struct MetaImporter: CheckpointImporter {
    let format = "meta"

    /// What the description says of an HSTU model.
    private struct HSTUDescription {
        var width: Int
        var layers: Int
        var heads: Int
        var attentionDimension: Int
        var linearDimension: Int
        var maxSequenceLength: Int
        var maxOutputLength: Int
        var concatUA: Bool
        var relativeAttentionBias: Bool
        var normalization: Normalization
        var itemL2Norm: Bool

        enum Normalization: String, CaseIterable {
            case l2
            case ln
        }

        init(_ fields: inout JSONFields) throws(JSONError) {
            typealias Limit = ArchitectureLimit
            maxSequenceLength = try fields.integer("max_sequence_length", in: Limit.length)
            maxOutputLength = try fields.integer("max_output_length", in: Limit.length, default: 11)
            width = try fields.integer("d", in: Limit.dimension)
            layers = try fields.integer("blocks", in: Limit.layers)
            heads = try fields.integer("heads", in: Limit.heads)
            attentionDimension = try fields.integer("dqk", in: Limit.dimension)
            linearDimension = try fields.integer("dv", in: Limit.dimension)
            concatUA = try fields.boolean("concat_ua", default: false)
            relativeAttentionBias = try fields.boolean("enable_relative_attention_bias", default: true)
            normalization = try fields.choice("norm", of: Normalization.self, default: .l2)
            itemL2Norm = try fields.boolean("item_l2_norm", default: true)
        }

        func configuration(rows: Int) throws(JSONError) -> HSTUConfiguration {
            try HSTUConfiguration(
                width: width,
                layers: layers,
                heads: heads,
                attentionDimension: attentionDimension,
                linearDimension: linearDimension,
                maxSequenceLength: maxSequenceLength,
                maxOutputLength: maxOutputLength,
                concatUA: concatUA,
                relativeBias: relativeAttentionBias ? .positionAndTime : .none,
                outputNormalization: normalization == .l2 ? .l2 : .layerNorm,
                itemL2Norm: itemL2Norm,
                rows: rows
            )
        }
    }

    private static let itemTable = "_embedding_module._item_emb.weight"
    /// Buffers that follow from the configuration.
    private static let knownBuffers: Set = ["_attn_mask"]

    func open(_ checkpoint: MappedFile, description: ImportDescription?) throws(ImportError) -> any ImportedModel {
        guard let description else {
            throw ImportError(
                .badDescription,
                "a checkpoint of format meta does not state its dimensions; give them with --describe"
            )
        }
        guard description.source ?? .meta == .meta else {
            throw ImportError(
                .badDescription,
                "\(description.path): source is not \(ImportDescription.Source.meta.rawValue), which --from meta reads"
            )
        }
        guard description.architecture == .hstu else {
            throw ImportError(
                .unsupported,
                "\(description.path): architecture \(description.architecture.rawValue) is not supported by --from meta, "
                    + "only hstu"
            )
        }
        let stated = try description.take { fields throws(JSONError) in try HSTUDescription(&fields) }
        let torch = try TorchCheckpoint(checkpoint)
        let state = try StateDictionary(torch, under: "model_state_dict", prefix: "module.")

        guard let items = state.tensors[Self.itemTable] else { throw state.missing(Self.itemTable) }
        guard items.shape.count == 2 else {
            throw ImportError(
                .mismatched,
                "\(torch.path): tensor \(quoted(Self.itemTable)) has shape \(shapeDescription(items.shape)), not (rows, d)"
            )
        }
        let configuration: HSTUConfiguration
        do throws(JSONError) {
            configuration = try stated.configuration(rows: items.shape[0])
        } catch {
            throw ImportError(.mismatched, "\(torch.path): \(error.reason)")
        }
        return try StateDictionaryModel(
            state,
            architecture: .hstu(configuration),
            sources: Self.sources(configuration),
            ignorable: Self.knownBuffers,
            description: description.path
        )
    }

    /// Our names of the tensors and those of the checkpoint. Both sides store them alike, so nothing is transposed:
    /// `_uvqk` input-major with columns u, v, q, k; `_o.weight` output-major.
    private static func sources(_ configuration: HSTUConfiguration) -> [String: String] {
        typealias Name = HSTUConfiguration.TensorName
        var sources = [
            Name.itemEmbedding: itemTable,
            Name.positionEmbedding: "_input_features_preproc._pos_emb.weight",
        ]
        for layer in 0..<configuration.layers {
            let prefix = "_hstu._attention_layers.\(layer)."
            sources[Name.uvqk(layer)] = prefix + "_uvqk"
            sources[Name.timeBias(layer)] = prefix + "_rel_attn_bias._ts_w"
            sources[Name.positionBias(layer)] = prefix + "_rel_attn_bias._pos_w"
            sources[Name.output(layer)] = prefix + "_o.weight"
            sources[Name.outputBias(layer)] = prefix + "_o.bias"
        }
        return sources
    }
}
