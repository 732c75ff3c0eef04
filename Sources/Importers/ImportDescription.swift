// The JSON file of `--describe`; it overrides the checkpoint. The documentation of Importers has the table of keys;
// each importer takes its own keys from here.

internal import Files
internal import JSON
import Models

/// A parsed description; the format's importer reads the keys it uses.
struct ImportDescription {
    /// Every key of the table. An architecture ignores the keys that it does not use; any other key is an error.
    static let knownKeys = [
        "architecture", "source", "max_sequence_length", "max_output_length", "d", "blocks", "heads", "dqk", "dv",
        "norm", "item_l2_norm", "concat_ua", "enable_relative_attention_bias", "relative_attention_bias", "attention",
        "time_buckets", "gate", "ffn", "layer_order", "tied", "embed_scale", "score_norm", "kind", "levels", "codebook",
    ]

    /// A key that checkpoints of a format never state.
    struct Question {
        let key: String
        /// A few words for people.
        let meaning: String
    }

    private static let byteLimit = 64 << 20

    /// No description at all.
    static let nothing = ImportDescription(path: nil, architecture: nil, source: nil, members: [], semanticIDs: nil)

    /// Its name in error messages; nil: there is no file.
    let path: String?
    /// An architecture that some importer reads; nil: not stated.
    let architecture: String?
    /// The trainer's format; nil: not stated.
    let source: String?
    /// The keys other than `architecture`, `source` and `semantic_ids`, without those that are null.
    let members: [JSONMember]
    /// The value of `semantic_ids`; nil: items are rows of the table.
    let semanticIDs: JSONValue?

    /// What determines the model's dimensions, for error messages.
    var name: String { path ?? "its other tensors" }

    private init(
        path: String?,
        architecture: String?,
        source: String?,
        members: [JSONMember],
        semanticIDs: JSONValue?
    ) {
        self.path = path
        self.architecture = architecture
        self.source = source
        self.members = members
        self.semanticIDs = semanticIDs
    }

    /// Reads a description: the object itself, or a document that has it under `model`. Either may have `semantic_ids`.
    init(path: String) throws(ImportError) {
        let content: OwnedBytes
        do throws(FileError) {
            content = try InputFile.contents(of: path, atMost: Self.byteLimit)
        } catch {
            throw ImportError(error.code == .unreadable ? .unreadable : .badDescription, error.message)
        }
        do throws(JSONError) {
            var value = try content.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            var outer: JSONValue?
            if case .object(let members) = value, let model = members.first(where: { $0.key == "model" }) {
                outer = members.first { $0.key == "semantic_ids" }?.value
                value = model.value
            }
            // Null is a field of a template that was not filled in.
            if case .object(let members) = value { value = .object(members.filter { $0.value != .null }) }
            var fields = try JSONFields(value)
            let architecture =
                fields.contains("architecture")
                ? try fields.word("architecture", of: ImporterRegistry.architectures) : nil
            let source = fields.contains("source") ? try fields.word("source", of: ImporterRegistry.sources) : nil
            let semanticIDs = fields.optional("semantic_ids") ?? outer
            var members: [JSONMember] = []
            for key in fields.names { members.append(JSONMember(key, try fields.value(key))) }
            self.init(
                path: path,
                architecture: architecture,
                source: source,
                members: members,
                semanticIDs: semanticIDs
            )
        } catch {
            throw ImportError(.badDescription, "\(path): \(error.description)")
        }
    }

    /// Checks that the description is for an importer and one of its architectures.
    ///
    /// - Throws: `ImportError` that says what the importer reads.
    func check(for importer: some CheckpointImporter) throws(ImportError) {
        let format = importer.format
        guard semanticIDs == nil || importer is HuggingFaceImporter else {
            throw ImportError(.badDescription, "\(name): semantic_ids are for --from huggingface, not for \(format)")
        }
        guard source ?? importer.source == importer.source else {
            throw ImportError(
                .badDescription,
                "\(name): source must be \(importer.source), the only one that --from \(format) reads"
            )
        }
        guard let architecture, !importer.architectures.contains(architecture) else { return }
        let known = importer.architectures.joined(separator: ", ")
        throw ImportError(
            .unsupported,
            "\(name): architecture \(architecture) is not supported by --from \(format), only \(known)"
        )
    }

    /// The description, completed with values from the checkpoint for the keys that it does not state.
    ///
    /// - Parameters:
    ///   - facts: the values from the checkpoint.
    ///   - questions: keys that must be stated unless `facts` has them.
    ///   - checkpoint: its path, for errors.
    /// - Throws: `ImportError.badDescription` that lists all missing keys at once, with a JSON object to fill in.
    func completed(
        by facts: [JSONMember],
        asking questions: [Question],
        of checkpoint: String
    ) throws(ImportError) -> ImportDescription {
        let stated = Set(members.map(\.key))
        let known = facts.filter { !stated.contains($0.key) }
        let open = questions.filter { question in
            !stated.contains(question.key) && !known.contains { $0.key == question.key }
        }
        guard open.isEmpty else {
            let wanted = open.map { "\($0.key) (\($0.meaning))" }.joined(separator: ", ")
            let template = JSONValue.object(open.map { JSONMember($0.key, .null) }).line
            let place = path.map { "add \(template) to \($0)" } ?? "give --describe a file with \(template)"
            let said = known.map { "\($0.key) \($0.value.line)" }.joined(separator: ", ")
            let read = said.isEmpty ? "" : "; the checkpoint states \(said)"
            throw ImportError(
                .badDescription,
                "\(checkpoint) does not state \(wanted): \(place), with values in place of the nulls\(read)"
            )
        }
        return ImportDescription(
            path: path,
            architecture: architecture,
            source: source,
            members: members + known,
            semanticIDs: semanticIDs
        )
    }

    /// Passes the keys to `body`, which takes those it uses; the other known keys are ignored, any other key is
    /// refused.
    func take<Result>(_ body: (inout JSONFields) throws(JSONError) -> Result) throws(ImportError) -> Result {
        do throws(JSONError) {
            var fields = try JSONFields(.object(members))
            let result = try body(&fields)
            for key in Self.knownKeys { _ = fields.optional(key) }
            try fields.end()
            return result
        } catch {
            throw ImportError(.badDescription, "\(name): \(error.description)")
        }
    }
}

extension JSONValue {
    fileprivate var line: String { String(decoding: compact, as: UTF8.self) }
}
