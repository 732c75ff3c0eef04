// Hugging Face's `config.json`: read key by key with the defaults that transformers has for what is absent or null. A
// description may state any of its keys otherwise.

internal import Files
internal import JSON
import Models

/// The `config.json` next to a checkpoint's weights.
struct HuggingFaceConfiguration {
    private static let byteLimit = 1 << 20

    let path: String
    private var fields: JSONFields
    /// The file's keys, and those that were read.
    private var known: Set<String>

    /// - Parameter overrides: the members of a description that replace the file's.
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
            // Null and absent are the same to transformers.
            let stated = members.filter { $0.value != .null }
            let overridden = Set(overrides.map(\.key))
            fields = try JSONFields(.object(stated.filter { !overridden.contains($0.key) } + overrides))
            known = Set(members.map(\.key))
            self.path = path
        } catch {
            throw ImportError(.malformed, "\(path): \(error.description)")
        }
    }

    /// Whether the file has a key, or it has been read.
    func knows(_ key: String) -> Bool { known.contains(key) }

    mutating func integer(
        _ key: String,
        in range: ClosedRange<Int>,
        default fallback: Int? = nil
    ) throws(JSONError) -> Int {
        known.insert(key)
        return try fields.integer(key, in: range, default: fallback)
    }

    mutating func boolean(_ key: String, default fallback: Bool) throws(JSONError) -> Bool {
        known.insert(key)
        return try fields.boolean(key, default: fallback)
    }

    mutating func positiveReal(
        _ key: String,
        atMost maximum: Double,
        default fallback: Double
    ) throws(JSONError) -> Double {
        known.insert(key)
        return try fields.positiveReal(key, atMost: maximum, default: fallback)
    }

    mutating func string(_ key: String, default fallback: String) throws(JSONError) -> String {
        known.insert(key)
        return fields.contains(key) ? try fields.string(key) : fallback
    }

    /// Takes an object, without what is null in it; nil if it is absent.
    mutating func object(_ key: String) throws(JSONError) -> JSONFields? {
        known.insert(key)
        guard let value = fields.optional(key) else { return nil }
        guard case .object(let members) = value else { throw JSONError("\(key) must be an object") }
        return try JSONFields(.object(members.filter { $0.value != .null }), path: key)
    }

    /// Takes an array of strings; nil if it is absent.
    mutating func strings(_ key: String) throws(JSONError) -> [String]? {
        known.insert(key)
        guard let value = fields.optional(key) else { return nil }
        guard case .array(let elements) = value else { throw JSONError("\(key) must be an array") }
        var strings: [String] = []
        for element in elements {
            guard case .string(let text) = element else { throw JSONError("\(key) must hold strings") }
            strings.append(text)
        }
        return strings
    }

    /// Refuses a key that changes what the weights mean.
    mutating func refuse(_ key: String) throws(JSONError) {
        guard fields.optional(key) == nil else { throw JSONError("\(key) is not supported") }
    }
}
