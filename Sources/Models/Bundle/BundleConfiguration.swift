// `config.json` of a bundle: the model's name, architecture, dimensions and origin.

package import Catalogue
package import Compute
package import JSON

/// The origin of a bundle's weights.
package struct Provenance: Sendable, Equatable {
    /// The importer's name of the format: "meta".
    package let source: String
    /// Name of the imported file, without its folder.
    package let file: String
    /// SHA-256 of that file, 64 lower-case hexadecimal digits.
    package let sha256: String

    package init(source: String, file: String, sha256: String) {
        self.source = source
        self.file = file
        self.sha256 = sha256
    }
}

/// The content of `config.json`.
package struct BundleConfiguration: Sendable, Equatable {
    /// The one version of the format that is written and read.
    package static let formatVersion = 1

    package let name: String
    package let version: String
    package let architecture: Architecture
    /// How items map to paths of tokens; nil: each item is a row of the table. In the file under `model.semantic_ids`.
    package let semanticIDs: SemanticIDs?
    /// The type of every tensor in `model.safetensors`.
    package let dtype: DType
    package let provenance: Provenance

    /// - Throws: `JSONError` that names what is out of range: a text that is not printable, or a dtype that weights
    ///   cannot have.
    package init(
        name: String,
        version: String,
        architecture: Architecture,
        semanticIDs: SemanticIDs? = nil,
        dtype: DType,
        provenance: Provenance
    ) throws(JSONError) {
        self.name = name
        self.version = version
        self.architecture = architecture
        self.semanticIDs = semanticIDs
        self.dtype = dtype
        self.provenance = provenance
        for (key, text) in [("name", name), ("version", version), ("provenance.source", provenance.source)] {
            guard Self.isLabel(text, atMost: 128) else {
                throw JSONError("\(key) must be 1 to 128 bytes of printable text")
            }
        }
        guard Self.isLabel(provenance.file, atMost: 255) else {
            throw JSONError("provenance.file must be 1 to 255 bytes of printable text")
        }
        guard provenance.sha256.utf8.count == 64, provenance.sha256.utf8.allSatisfy(Self.isHexadecimal) else {
            throw JSONError("provenance.sha256 must be 64 hexadecimal digits")
        }
        guard [.float32, .float16, .bfloat16].contains(dtype) else {
            throw JSONError("dtype must be float32, float16 or bfloat16")
        }
        let model = architecture.configuration
        try semanticIDs?.check(rows: model.rows, window: model.maxSequenceLength)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// Whether the text can appear unchanged in a reply, a log line and a metric label.
    private static func isLabel(_ text: String, atMost limit: Int) -> Bool {
        guard 1...limit ~= text.utf8.count else { return false }
        return text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse: false
            default: true
            }
        }
    }

    /// Reads `config.json`. Errors name the key.
    package init(_ value: JSONValue) throws(JSONError) {
        var fields = try JSONFields(value)
        let version = try fields.value("format_version")
        guard version == .integer(Self.formatVersion) else {
            throw JSONError("format_version must be \(Self.formatVersion), the version that this program reads")
        }
        let name = try fields.choice("architecture", of: Architecture.Name.self)
        let dtype = try fields.choice("dtype", of: DType.self)
        var provenance = try fields.object("provenance")
        var model = try fields.object("model")
        let semanticIDs =
            model.contains("semantic_ids") ? try SemanticIDs(model.object("semantic_ids")) : nil
        try self.init(
            name: fields.string("name"),
            version: fields.string("version"),
            architecture: Architecture(name, model),
            semanticIDs: semanticIDs,
            dtype: dtype,
            provenance: Provenance(
                source: provenance.string("source"),
                file: provenance.string("file"),
                sha256: provenance.string("sha256")
            )
        )
        try provenance.end()
        try fields.end()
    }

    package var json: JSONValue {
        .object([
            JSONMember("format_version", .integer(Self.formatVersion)),
            JSONMember("name", .string(name)),
            JSONMember("version", .string(version)),
            JSONMember("architecture", .string(architecture.name.rawValue)),
            JSONMember("dtype", .string(dtype.rawValue)),
            JSONMember("model", modelJSON),
            JSONMember("provenance", provenance.json),
        ])
    }

    /// The object under `model`.
    package var modelJSON: JSONValue {
        let model = architecture.configuration.json
        guard let semanticIDs, case .object(let members) = model else { return model }
        return .object(members + [JSONMember("semantic_ids", semanticIDs.json)])
    }

    /// Rules for the token paths of the catalogue; nil: items have no paths.
    package var pathRules: PathRules? {
        semanticIDs.map { ids in
            PathRules(
                levels: ids.levels,
                vocabulary: architecture.configuration.rows,
                ranges: ids.ranges?.map { $0.first..<$0.first + $0.count }
            )
        }
    }
}

extension Provenance {
    package var json: JSONValue {
        .object([
            JSONMember("source", .string(source)),
            JSONMember("file", .string(file)),
            JSONMember("sha256", .string(sha256)),
        ])
    }
}
