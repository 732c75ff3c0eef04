// Hugging Face's `config.json`: read key by key with the defaults that transformers has for what is absent or null, and
// kept, so that a description that repeats a key can be checked against it.

internal import Files
internal import JSON
import Models

/// The `config.json` beside a checkpoint's weights.
struct HuggingFaceConfiguration {
    private static let byteLimit = 1 << 20

    let path: String
    private var fields: JSONFields
    /// What is stated, and the defaults that were taken for what is not.
    private(set) var values: [String: JSONValue] = [:]

    init(path: String) throws(ImportError) {
        let file = try mapFile(path)
        guard file.bytes.count <= Self.byteLimit else {
            throw ImportError(.malformed, "\(path) is larger than \(Self.byteLimit) bytes")
        }
        do throws(JSONError) {
            let document = try file.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            guard case .object(let members) = document else { throw JSONError("expected an object") }
            // Null and absent are the same to transformers.
            let stated = members.filter { $0.value != .null }
            fields = try JSONFields(.object(stated))
            for member in stated { values[member.key] = member.value }
            self.path = path
        } catch {
            throw ImportError(.malformed, "\(path): \(error.description)")
        }
    }

    mutating func integer(
        _ key: String,
        in range: ClosedRange<Int>,
        default fallback: Int? = nil
    ) throws(JSONError) -> Int {
        let value = try fields.integer(key, in: range, default: fallback)
        values[key] = .integer(value)
        return value
    }

    mutating func boolean(_ key: String, default fallback: Bool) throws(JSONError) -> Bool {
        let value = try fields.boolean(key, default: fallback)
        values[key] = .boolean(value)
        return value
    }

    mutating func positiveReal(
        _ key: String,
        atMost maximum: Double,
        default fallback: Double
    ) throws(JSONError) -> Double {
        let value = try fields.positiveReal(key, atMost: maximum, default: fallback)
        values[key] = .real(value)
        return value
    }

    mutating func string(_ key: String, default fallback: String) throws(JSONError) -> String {
        let value = fields.contains(key) ? try fields.string(key) : fallback
        values[key] = .string(value)
        return value
    }

    /// Takes an object, without what is null in it; nil if it is absent.
    mutating func object(_ key: String) throws(JSONError) -> JSONFields? {
        guard let value = fields.optional(key) else { return nil }
        guard case .object(let members) = value else { throw JSONError("\(key) must be an object") }
        return try JSONFields(.object(members.filter { $0.value != .null }), path: key)
    }

    /// Takes `architectures`, whose names are those of transformers' classes; empty if it is absent.
    mutating func architectures() throws(JSONError) -> [String] {
        guard let value = fields.optional("architectures") else { return [] }
        guard case .array(let elements) = value else { throw JSONError("architectures must be an array") }
        var names: [String] = []
        for element in elements {
            guard case .string(let name) = element else { throw JSONError("architectures must hold strings") }
            names.append(name)
        }
        return names
    }

    /// Refuses a key that changes what the weights mean.
    mutating func refuse(_ key: String) throws(JSONError) {
        guard fields.optional(key) == nil else { throw JSONError("\(key) is not supported") }
    }
}

/// Whether two JSON values say the same: numbers by their value, objects whatever the order of their keys.
func areEquivalent(_ left: JSONValue, _ right: JSONValue) -> Bool {
    switch (left, right) {
    case (.integer(let integer), .real(let real)), (.real(let real), .integer(let integer)):
        return Double(integer) == real
    case (.array(let first), .array(let second)):
        return first.count == second.count && zip(first, second).allSatisfy { areEquivalent($0, $1) }
    case (.object(let first), .object(let second)):
        guard first.count == second.count else { return false }
        let values = Dictionary(uniqueKeysWithValues: second.map { ($0.key, $0.value) })
        return first.allSatisfy { member in values[member.key].map { areEquivalent(member.value, $0) } ?? false }
    default: return left == right
    }
}
