// Hugging Face's `config.json`, read key by key with transformers' defaults for absent or null keys. A description may
// override any of its keys.

internal import Files
internal import JSON
import Models

/// The `config.json` next to a checkpoint's weights.
struct HuggingFaceConfiguration {
    private static let byteLimit = 1 << 20

    let path: String
    /// The keys that are left.
    var fields: JSONFields
    /// The keys of the file.
    private let stated: Set<String>

    /// - Parameter overrides: members of a description that replace the file's.
    init(path: String, overrides: [JSONMember]) throws(ImportError) {
        let content: OwnedBytes
        do throws(FileError) {
            content = try InputFile.contents(of: path, atMost: Self.byteLimit)
        } catch {
            throw ImportError(error)
        }
        do throws(JSONError) {
            let document = try content.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            guard case .object(let members) = document else { throw JSONError("expected an object") }
            // transformers treats null as absent.
            let stated = members.filter { $0.value != .null }
            let overridden = Set(overrides.map(\.key))
            fields = try JSONFields(.object(stated.filter { !overridden.contains($0.key) } + overrides))
            self.stated = Set(members.map(\.key))
            self.path = path
        } catch {
            throw ImportError(.malformed, "\(path): \(error.description)")
        }
    }

    /// Whether the file has a key, or the key has been read.
    func knows(_ key: String) -> Bool { stated.contains(key) || fields.asked.contains(key) }
}

extension JSONFields {
    /// Takes an object without its null members; nil if it is absent.
    mutating func optionalObject(_ key: String) throws(JSONError) -> JSONFields? {
        guard let value = optional(key) else { return nil }
        guard case .object(let members) = value else { throw JSONError("\(key) must be an object") }
        return try JSONFields(.object(members.filter { $0.value != .null }), path: key)
    }

    /// Takes an array of strings; nil if it is absent.
    mutating func strings(_ key: String) throws(JSONError) -> [String]? {
        guard let value = optional(key) else { return nil }
        guard case .array(let elements) = value else { throw JSONError("\(key) must be an array") }
        var strings: [String] = []
        for element in elements {
            guard case .string(let text) = element else { throw JSONError("\(key) must hold strings") }
            strings.append(text)
        }
        return strings
    }

    /// Refuses a key that changes the meaning of the weights.
    mutating func refuse(_ key: String) throws(JSONError) {
        guard optional(key) == nil else { throw JSONError("\(key) is not supported") }
    }
}
