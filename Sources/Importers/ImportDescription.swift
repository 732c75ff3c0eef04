// What a checkpoint does not say of itself: the JSON that `--describe` names. The keys are those of the table in the
// documentation of Importers; each importer takes its own from here.

internal import Files
internal import JSON
import Models

/// A description that has been read; the importer of the format takes the keys that concern it.
struct ImportDescription {
    /// Every key of the table. One that does not concern an architecture is ignored, any other key is an error.
    static let knownKeys = [
        "architecture", "source", "max_sequence_length", "max_output_length", "d", "blocks", "heads", "dqk", "dv",
        "norm", "item_l2_norm", "concat_ua", "enable_relative_attention_bias", "relative_attention_bias", "attention",
        "gate", "ffn", "layer_order", "tied", "embed_scale", "score_norm",
    ]

    /// The architectures of the table.
    enum ArchitectureKey: String, CaseIterable {
        case hstu
        case sasrec
        case llama
        case gpt
        case gpt2
    }

    /// Whose format, as descriptions call it.
    enum Source: String, CaseIterable {
        case meta = "meta-generative-recommenders"
        case sasrecPyTorch = "sasrec.pytorch"
        case huggingFace = "huggingface"
        case performanceLaw = "performance-law"
    }

    private static let byteLimit = 64 << 20

    let path: String
    let architecture: ArchitectureKey
    let source: Source?
    /// The keys that are left after `architecture` and `source`.
    private let fields: JSONFields

    /// Reads a description: the object itself, or a document that has it under `model` beside other things.
    init(path: String) throws(ImportError) {
        let file: MappedFile
        do throws(FileError) {
            file = try MappedFile(path: path)
        } catch {
            throw ImportError(.unreadable, error.message)
        }
        guard file.bytes.count <= Self.byteLimit else {
            throw ImportError(.badDescription, "\(path) is larger than \(Self.byteLimit) bytes")
        }
        do throws(JSONError) {
            var value = try file.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            if case .object(let members) = value, let model = members.first(where: { $0.key == "model" }) {
                value = model.value
            }
            var fields = try JSONFields(value)
            architecture = try fields.choice("architecture", of: ArchitectureKey.self)
            source = fields.contains("source") ? try fields.choice("source", of: Source.self) : nil
            self.fields = fields
            self.path = path
        } catch {
            throw ImportError(.badDescription, "\(path): \(error.description)")
        }
    }

    /// Makes sure that the description is of a format's checkpoints and of an architecture that the format has.
    ///
    /// - Parameter format: the value of `--from`.
    /// - Throws: `ImportError` that says what it is of instead.
    func check(source: Source, architectures: [ArchitectureKey], format: String) throws(ImportError) {
        guard self.source ?? source == source else {
            throw ImportError(
                .badDescription,
                "\(path): source is not \(source.rawValue), which --from \(format) reads"
            )
        }
        guard architectures.contains(architecture) else {
            let known = architectures.map(\.rawValue).joined(separator: ", ")
            throw ImportError(
                .unsupported,
                "\(path): architecture \(architecture.rawValue) is not supported by --from \(format), only \(known)"
            )
        }
    }

    /// Hands the remaining keys to `body`, which takes those that concern it; the rest of the table is ignored, and any
    /// other key refused.
    func take<Result>(_ body: (inout JSONFields) throws(JSONError) -> Result) throws(ImportError) -> Result {
        do throws(JSONError) {
            var fields = fields
            let result = try body(&fields)
            for key in Self.knownKeys { _ = fields.optional(key) }
            try fields.end()
            return result
        } catch {
            throw ImportError(.badDescription, "\(path): \(error.description)")
        }
    }
}
