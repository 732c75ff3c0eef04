// The fields of one JSON object, taken one by one with their type and range; what is not taken is an error at the end.
// Configurations and import descriptions are read with it, so that no misspelt key is ever silently ignored.

/// Reads an object strictly. Every error names the field with its path ("model.width").
package struct JSONFields {
    private let prefix: String
    private var members: [String: JSONValue] = [:]
    private var order: [String] = []

    /// - Parameters:
    ///   - value: the object.
    ///   - path: what the object is called in its document; empty for the document itself.
    /// - Throws: `JSONError` if it is no object.
    package init(_ value: JSONValue, path: String = "") throws(JSONError) {
        guard case .object(let object) = value else {
            throw JSONError(path.isEmpty ? "expected an object" : "\(path) must be an object")
        }
        prefix = path.isEmpty ? "" : path + "."
        for member in object {
            members[member.key] = member.value
            order.append(member.key)
        }
    }

    /// The key with the object's path before it.
    package func path(_ key: String) -> String { prefix + key }

    /// Keys of the fields that are not taken yet, in their order.
    package var names: [String] { order.filter { members[$0] != nil } }

    /// Whether a field is there and not taken yet.
    package func contains(_ key: String) -> Bool { members[key] != nil }

    /// Whether a field that is not taken yet is true or false.
    package func isBoolean(_ key: String) -> Bool {
        if case .boolean = members[key] { return true }
        return false
    }

    /// Takes a field; nil if it is absent.
    package mutating func optional(_ key: String) -> JSONValue? { members.removeValue(forKey: key) }

    /// Takes a field that must be there.
    package mutating func value(_ key: String) throws(JSONError) -> JSONValue {
        guard let value = optional(key) else { throw JSONError("\(path(key)) is missing") }
        return value
    }

    /// Takes an object that must be there.
    package mutating func object(_ key: String) throws(JSONError) -> JSONFields {
        try JSONFields(try value(key), path: path(key))
    }

    /// Takes an integer within a range.
    ///
    /// - Parameter fallback: what an absent field means; nil: the field must be there.
    package mutating func integer(
        _ key: String,
        in range: ClosedRange<Int>,
        default fallback: Int? = nil
    ) throws(JSONError) -> Int {
        if let fallback, members[key] == nil {
            return fallback
        }
        guard case .integer(let value) = try value(key), range.contains(Int(value)) else {
            throw JSONError("\(path(key)) must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return Int(value)
    }

    /// Takes a number that is greater than zero and at most `maximum`.
    ///
    /// - Parameter fallback: what an absent field means; nil: the field must be there.
    package mutating func positiveReal(
        _ key: String,
        atMost maximum: Double,
        default fallback: Double? = nil
    ) throws(JSONError) -> Double {
        if let fallback, members[key] == nil {
            return fallback
        }
        let number: Double? =
            switch try value(key) {
            case .integer(let value): Double(value)
            case .real(let value): value
            default: nil
            }
        guard let number, number > 0, number <= maximum else {
            throw JSONError("\(path(key)) must be a number greater than 0 and at most \(maximum)")
        }
        return number
    }

    /// Takes true or false.
    ///
    /// - Parameter fallback: what an absent field means; nil: the field must be there.
    package mutating func boolean(_ key: String, default fallback: Bool? = nil) throws(JSONError) -> Bool {
        if let fallback, members[key] == nil {
            return fallback
        }
        guard case .boolean(let value) = try value(key) else {
            throw JSONError("\(path(key)) must be true or false")
        }
        return value
    }

    /// Takes a string that must be there.
    package mutating func string(_ key: String) throws(JSONError) -> String {
        guard case .string(let value) = try value(key) else { throw JSONError("\(path(key)) must be a string") }
        return value
    }

    /// Takes one of a few words.
    ///
    /// - Parameter fallback: what an absent field means; nil: the field must be there.
    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String,
        of type: Choice.Type,
        default fallback: Choice? = nil
    ) throws(JSONError) -> Choice {
        if let fallback, members[key] == nil {
            return fallback
        }
        guard let choice = Choice(rawValue: try word(key, of: Choice.allCases.map(\.rawValue))) else {
            preconditionFailure("every word of the list is the raw value of a choice")
        }
        return choice
    }

    /// Takes one of these words.
    package mutating func word(_ key: String, of words: [String]) throws(JSONError) -> String {
        if case .string(let text) = try value(key), words.contains(text) { return text }
        throw JSONError("\(path(key)) must be \(words.map { "\"\($0)\"" }.joined(separator: " or "))")
    }

    /// Makes sure that every field has been taken.
    package func end() throws(JSONError) {
        if let left = order.first(where: { members[$0] != nil }) {
            throw JSONError("\(prefix.isEmpty ? "" : prefix.dropLast() + ": ")the key \(quoted(left)) is not known")
        }
    }
}
