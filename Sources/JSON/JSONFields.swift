// Takes the fields of one JSON object one by one, checking type and range; fields left at the end are an error.
// Configurations and import descriptions are read this way, so that no misspelt key is silently ignored.

/// Reads an object strictly. Every error names the field with its path ("model.width").
package struct JSONFields {
    private let prefix: String
    private var members: [String: JSONValue] = [:]
    private var order: [String] = []
    /// Keys that callers asked for, present or not.
    package private(set) var asked: Set<String> = []

    /// - Parameters:
    ///   - value: the object.
    ///   - path: the object's path in its document; empty for the document itself.
    /// - Throws: `JSONError` if the value is not an object.
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

    /// The full path of a key.
    package func path(_ key: String) -> String { prefix + key }

    /// Keys of the fields not taken yet, in order.
    package var names: [String] { order.filter { members[$0] != nil } }

    /// Whether a field exists and has not been taken yet.
    package func contains(_ key: String) -> Bool { members[key] != nil }

    /// Whether a field that has not been taken yet is a boolean.
    package func isBoolean(_ key: String) -> Bool {
        if case .boolean = members[key] { return true }
        return false
    }

    /// Takes a field; nil if it is absent.
    package mutating func optional(_ key: String) -> JSONValue? {
        asked.insert(key)
        return members.removeValue(forKey: key)
    }

    private mutating func isAbsent(_ key: String) -> Bool {
        asked.insert(key)
        return members[key] == nil
    }

    /// Takes a required field.
    package mutating func value(_ key: String) throws(JSONError) -> JSONValue {
        guard let value = optional(key) else { throw JSONError("\(path(key)) is missing") }
        return value
    }

    /// Takes a required object.
    package mutating func object(_ key: String) throws(JSONError) -> JSONFields {
        try JSONFields(try value(key), path: path(key))
    }

    /// Takes an integer within a range.
    ///
    /// - Parameter fallback: the value of an absent field; nil: the field is required.
    package mutating func integer(
        _ key: String,
        in range: ClosedRange<Int>,
        default fallback: Int? = nil
    ) throws(JSONError) -> Int {
        if let fallback, isAbsent(key) { return fallback }
        guard case .integer(let value) = try value(key), range.contains(Int(value)) else {
            throw JSONError("\(path(key)) must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return Int(value)
    }

    /// Takes a number that is greater than zero and at most `maximum`.
    ///
    /// - Parameter fallback: the value of an absent field; nil: the field is required.
    package mutating func positiveReal(
        _ key: String,
        atMost maximum: Double,
        default fallback: Double? = nil
    ) throws(JSONError) -> Double {
        if let fallback, isAbsent(key) { return fallback }
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

    /// Takes a boolean.
    ///
    /// - Parameter fallback: the value of an absent field; nil: the field is required.
    package mutating func boolean(_ key: String, default fallback: Bool? = nil) throws(JSONError) -> Bool {
        if let fallback, isAbsent(key) { return fallback }
        guard case .boolean(let value) = try value(key) else {
            throw JSONError("\(path(key)) must be true or false")
        }
        return value
    }

    /// Takes a string.
    ///
    /// - Parameter fallback: the value of an absent field; nil: the field is required.
    package mutating func string(_ key: String, default fallback: String? = nil) throws(JSONError) -> String {
        if let fallback, isAbsent(key) { return fallback }
        guard case .string(let value) = try value(key) else { throw JSONError("\(path(key)) must be a string") }
        return value
    }

    /// Takes a string that is one of a type's raw values.
    ///
    /// - Parameter fallback: the value of an absent field; nil: the field is required.
    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String,
        of type: Choice.Type,
        default fallback: Choice? = nil
    ) throws(JSONError) -> Choice {
        if let fallback, isAbsent(key) { return fallback }
        guard let choice = Choice(rawValue: try word(key, of: Choice.allCases.map(\.rawValue))) else {
            preconditionFailure("every word of the list is the raw value of a choice")
        }
        return choice
    }

    /// Takes a string that is one of these words.
    package mutating func word(_ key: String, of words: [String]) throws(JSONError) -> String {
        if case .string(let text) = try value(key), words.contains(text) { return text }
        throw JSONError("\(path(key)) must be \(words.map { "\"\($0)\"" }.joined(separator: " or "))")
    }

    /// Checks that every field has been taken.
    package func end() throws(JSONError) {
        if let left = order.first(where: { members[$0] != nil }) {
            throw JSONError("\(prefix.isEmpty ? "" : prefix.dropLast() + ": ")the key \(quoted(left)) is not known")
        }
    }
}
