// Reads the YAML file as a list of scalars with dotted keys, lines and columns. Yams parses; aliases and nesting, which
// it would follow without limit, are bounded here.

internal import Files
internal import Foundation
internal import Yams

/// The scalars of a configuration file, in the order of the file.
struct SettingsYAML {
    struct Value {
        /// Keys from the root, joined by dots.
        let key: String
        /// As written, without quotes; empty for `key:` without a value.
        let text: String
        /// Where the key and the value start: `line:column`, from 1.
        let keyPlace: String
        let place: String
    }

    private(set) var values: [Value] = []
    /// Lists and other nodes that are not settings.
    private(set) var faults: [ConfigurationError] = []
    /// Lists and mappings under the `structured` keys.
    private(set) var nodes: [String: SettingsNode] = [:]
    private let file: String
    private let structured: Set<String>
    private var visited = 0

    /// Far more than all settings with comments. Deeper nesting needs long lines or many brackets, so bounding these
    /// bounds the recursion of Yams.
    private static let byteLimit = 1 << 20
    private static let lineLimit = 1_000
    private static let bracketLimit = 1_000
    private static let nodeLimit = 10_000

    /// - Parameter structured: root keys whose values are kept as nodes.
    /// - Throws: `ConfigurationError` for a file that cannot be read or is not YAML.
    init(contentsOf file: String, structured: Set<String> = []) throws(ConfigurationError) {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw ConfigurationError(description: "cannot read the configuration file \(file)")
        }
        self.file = file
        self.structured = structured
        guard data.count <= Self.byteLimit else {
            throw ConfigurationError(description: "\(file) has more than \(Self.byteLimit) bytes")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw ConfigurationError(description: "\(file) is not text in UTF-8")
        }
        try Self.checkNesting(text.utf8, file)
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw ConfigurationError(description: "\(file)\(Self.sentence(error))")
        }
        guard let root, !(root.scalar?.string.isEmpty ?? false) else { return }
        guard case .mapping = root else {
            throw ConfigurationError(description: "\(file) must be a mapping of settings, each with a single value")
        }
        try collect(root, under: "", keyPlace: "")
    }

    private static func checkNesting(_ text: String.UTF8View, _ file: String) throws(ConfigurationError) {
        var brackets = 0
        for (index, line) in text.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
            guard line.count <= lineLimit else {
                throw ConfigurationError(description: "\(file):\(index + 1): a line of more than \(lineLimit) bytes")
            }
            if line.first(where: { $0 != 32 }) == UInt8(ascii: "#") { continue }
            brackets += line.count { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }
            guard brackets <= bracketLimit else {
                throw ConfigurationError(description: "\(file):\(index + 1): more than \(bracketLimit) brackets")
            }
        }
    }

    private mutating func collect(_ node: Node, under prefix: String, keyPlace: String) throws(ConfigurationError) {
        try visit()
        switch node {
        case .mapping(let mapping):
            for (key, value) in mapping {
                guard let part = key.string else {
                    note(at: key, "a key\(prefix.isEmpty ? "" : " under '\(prefix)'") is not text")
                    continue
                }
                if prefix.isEmpty, structured.contains(part) {
                    nodes[part] = try SettingsNode(value) { () throws(ConfigurationError) in try visit() }
                    continue
                }
                try collect(value, under: prefix.isEmpty ? part : "\(prefix).\(part)", keyPlace: Self.place(key))
            }
        case .scalar(let scalar):
            values.append(Value(key: prefix, text: scalar.string, keyPlace: keyPlace, place: Self.place(node)))
        case .sequence, .alias:
            note(at: node, "'\(prefix)' must be a single value")
        }
    }

    private mutating func visit() throws(ConfigurationError) {
        visited += 1
        guard visited <= Self.nodeLimit else {
            throw ConfigurationError(description: "\(file) has more than \(Self.nodeLimit) values, counting aliases")
        }
    }

    private mutating func note(at node: Node, _ problem: String) {
        faults.append(ConfigurationError(description: "\(file):\(Self.place(node)): \(problem)"))
    }

    private static func place(_ node: Node) -> String {
        "\(node.mark?.line ?? 0):\(node.mark?.column ?? 0)"
    }

    /// The parser's message without the lines that it quotes from the file.
    private static func sentence(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            ":\(mark.line):\(mark.column): not valid YAML: \(problem)"
        case .duplicatedKeysInMapping(let duplicates, let context):
            ":\(context.mark.line):\(context.mark.column): \(duplicates.sorted().joined(separator: ", ")) occurs twice"
        default: " is not valid YAML: \(error)"
        }
    }
}
