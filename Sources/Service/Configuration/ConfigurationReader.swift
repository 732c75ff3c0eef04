// Reads settings from their layers: a YAML file, under environment variables, under command-line flags. Every value is
// taken as text and parsed here, so that a wrong one ends in a sentence that names its key and what it may be.

internal import Configuration
internal import Foundation
internal import Yams

/// A configuration that cannot be used; one sentence names the key.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

/// Settings by dotted key, from the layers in which they may stand.
///
/// An environment variable is the key in capitals behind `GENREC_`, dots as underscores: `GENREC_HTTP_LISTEN` for
/// `http.listen`. Variables that name no key are left alone, because orchestrators set some of their own accord.
final class ConfigurationReader {
    private let layers: ConfigReader
    private let fileName: String
    /// Keys of the file, dotted.
    private let fileKeys: [String]
    /// Keys that have been asked for: once all settings are read, every key there is.
    private(set) var readKeys: Set<String> = []

    /// - Parameters:
    ///   - file: path of the YAML file; nil: no file.
    ///   - environment: all environment variables of the process.
    ///   - flags: values given on the command line, by dotted key.
    init(file: String?, environment: [String: String], flags: [String: String]) throws(ConfigurationError) {
        let prefix = "GENREC_"
        let variables = Dictionary(
            uniqueKeysWithValues: environment.filter { $0.key.hasPrefix(prefix) }.map {
                (String($0.key.dropFirst(prefix.count)), $0.value)
            }
        )
        var fileValues: [String: String] = [:]
        if let file {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw ConfigurationError(description: "cannot read the configuration file \(file)")
            }
            fileValues = try Self.scalars(ofYAML: data, name: file)
        }
        fileName = file ?? ""
        fileKeys = fileValues.keys.sorted()
        layers = ConfigReader(providers: [
            Self.provider(name: "command line", flags),
            EnvironmentVariablesProvider(environmentVariables: variables),
            Self.provider(name: file ?? "no file", fileValues),
        ])
    }

    private static func provider(name: String, _ values: [String: String]) -> InMemoryProvider {
        let pairs = values.map {
            (AbsoluteConfigKey(ConfigKey($0.key)), ConfigValue(.string($0.value), isSecret: false))
        }
        return InMemoryProvider(name: name, values: Dictionary(uniqueKeysWithValues: pairs))
    }

    /// Refuses keys of the file that no setting has asked for. Called when all settings have been read.
    func refuseUnknownKeys() throws(ConfigurationError) {
        for key in fileKeys where !readKeys.contains(key) {
            throw ConfigurationError(description: "\(fileName): there is no setting '\(key)'")
        }
    }

    /// A whole number within `range`.
    func integer(_ key: String, default fallback: Int, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
        guard let text = text(key) else { return fallback }
        guard let value = Int(text), range.contains(value) else {
            throw ConfigurationError(
                description:
                    "\(key) must be a whole number from \(range.lowerBound) to \(range.upperBound), not '\(text)'"
            )
        }
        return value
    }

    /// One of the cases of an enumeration, by raw value.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String,
        default fallback: Choice
    ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
        guard let text = text(key) else { return fallback }
        guard let value = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw ConfigurationError(description: "\(key) must be one of \(names), not '\(text)'")
        }
        return value
    }

    /// Text as it stands; nil where no layer has the key. Empty text counts as absent.
    func text(_ key: String) -> String? {
        readKeys.insert(key)
        // Every layer holds text, so that nothing is lost in a conversion here.
        return layers.string(forKey: ConfigKey(key)).flatMap { $0.isEmpty ? nil : $0 }
    }

    /// What the parser says without the lines of the file that it quotes.
    private static func sentence(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            "line \(mark.line), column \(mark.column): \(problem)"
        case .duplicatedKeysInMapping(let duplicates, let context):
            "\(duplicates.sorted().joined(separator: ", ")) occurs twice in the mapping at line \(context.mark.line)"
        default: "\(error)"
        }
    }

    /// All scalars of a YAML document by dotted key. `key:` with nothing behind it is left out: an empty section, or a
    /// setting left at its default.
    private static func scalars(ofYAML data: Data, name: String) throws(ConfigurationError) -> [String: String] {
        let root: Node?
        do {
            root = try Yams.compose(yaml: String(decoding: data, as: UTF8.self))
        } catch {
            throw ConfigurationError(description: "\(name) is not valid YAML: \(sentence(error))")
        }
        var values: [String: String] = [:]
        func collect(_ node: Node, under prefix: String) throws(ConfigurationError) {
            switch node {
            case .mapping(let mapping):
                for (key, value) in mapping {
                    guard let part = key.string else {
                        throw ConfigurationError(description: "\(name): a key under '\(prefix)' is not text")
                    }
                    try collect(value, under: prefix.isEmpty ? part : "\(prefix).\(part)")
                }
            case .scalar(let scalar) where scalar.string.isEmpty:
                break
            case .scalar where prefix.isEmpty, .sequence where prefix.isEmpty:
                throw ConfigurationError(
                    description: "\(name) must be a mapping of settings, each of which must be a single value"
                )
            case .scalar(let scalar):
                values[prefix] = scalar.string
            case .sequence, .alias:
                throw ConfigurationError(description: "\(name): '\(prefix)' must be a single value")
            }
        }
        if let root { try collect(root, under: "") }
        return values
    }
}
