// JSON as a tree, for small documents: `config.json`, import descriptions, reports, the OpenAPI contract. Parsed
// objects never have duplicate keys, and objects keep the order of their keys.

/// A JSON value.
package enum JSONValue: Equatable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    case real(Double)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    package static func integer(_ value: Int) -> JSONValue { .integer(Int64(value)) }

    /// An object with these members, in this order.
    package static func object(pairs members: [(key: String, value: JSONValue)]) -> JSONValue {
        .object(members.map { JSONMember($0.key, $0.value) })
    }
}

/// A key and its value.
package struct JSONMember: Equatable, Sendable {
    package let key: String
    package let value: JSONValue

    package init(_ key: String, _ value: JSONValue) {
        self.key = key
        self.value = value
    }
}

extension JSONValue {
    /// The most levels of arrays and objects, because parsing recurses.
    package static let depthLimit = 64

    /// Reads a whole text.
    ///
    /// - Throws: `JSONError` that names the byte, or a duplicate key. A number outside the range of `Double` is an
    ///   error.
    package init(parsing bytes: UnsafeRawBufferPointer) throws(JSONError) {
        var reader = JSONReader(bytes.bindMemory(to: UInt8.self), depthLimit: Self.depthLimit)
        try self.init(&reader)
        try reader.finish()
    }

    /// Reads the next value of a reader.
    package init(_ reader: inout JSONReader) throws(JSONError) {
        switch try reader.peek() {
        case .object:
            var members: [JSONMember] = []
            var names: Set<String> = []
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let (name, offset) = (key.string, key.offset)
                guard names.insert(name).inserted else {
                    throw JSONError(.duplicateKey, at: offset, "the key \(quoted(name)) appears twice")
                }
                members.append(JSONMember(name, try JSONValue(&reader)))
            }
            self = .object(members)
        case .array:
            var elements: [JSONValue] = []
            try reader.beginArray()
            while try reader.nextElement() { elements.append(try JSONValue(&reader)) }
            self = .array(elements)
        case .string: self = .string(try reader.readString().string)
        case .number:
            let offset = reader.offset
            let number = try reader.readNumber()
            if let integer = number.integer {
                self = .integer(integer)
            } else {
                let value = number.doubleValue
                guard value.isFinite else { throw JSONError(.limit, at: offset, "a number too large for a double") }
                self = .real(value)
            }
        case .bool: self = .boolean(try reader.readBool())
        case .null:
            _ = try reader.readNull()
            self = .null
        }
    }

    /// The object with more members appended; any other value unchanged.
    package func adding(_ more: [(key: String, value: JSONValue)]) -> JSONValue {
        guard case .object(let members) = self else { return self }
        return .object(members + more.map { JSONMember($0.key, $0.value) })
    }

    /// The object without a member; any other value unchanged.
    package func without(_ key: String) -> JSONValue {
        guard case .object(let members) = self else { return self }
        return .object(members.filter { $0.key != key })
    }

    /// The value of an object's member; nil if there is none.
    package subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    // MARK: - Writing

    /// The value as indented text, two spaces per level; arrays of scalars stay on one line.
    package var prettyPrinted: String {
        var writer = JSONWriter()
        write(to: &writer, indentation: 0)
        writer.endLine()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// The value as text without white space.
    package var compact: [UInt8] {
        var writer = JSONWriter(capacity: 1_024)
        write(to: &writer)
        return writer.bytes
    }

    /// Writes the value without white space. Non-finite numbers become null.
    package func write(to writer: inout JSONWriter) { write(to: &writer, indentation: nil) }

    private var isScalar: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    /// - Parameter indentation: indentation level of the value's line; nil: no white space.
    private func write(to writer: inout JSONWriter, indentation: Int?) {
        let inner = indentation.map { $0 + 1 }
        switch self {
        case .null: writer.null()
        case .boolean(let value): writer.bool(value)
        case .integer(let value): writer.integer(Int(value))
        case .real(let value): writer.numberOrNull(value)
        case .string(let value): writer.string(value)
        case .array(let elements):
            let isFlat = elements.allSatisfy(\.isScalar)
            writer.beginArray()
            for (index, element) in elements.enumerated() {
                if !isFlat { writer.indent(inner) } else if indentation != nil, index > 0 { writer.space() }
                element.write(to: &writer, indentation: inner)
            }
            if !isFlat { writer.closeLine(indentation) }
            writer.endArray()
        case .object(let members):
            writer.beginObject()
            for member in members {
                writer.indent(inner)
                writer.key(text: member.key)
                if indentation != nil { writer.space() }
                member.value.write(to: &writer, indentation: inner)
            }
            if !members.isEmpty { writer.closeLine(indentation) }
            writer.endObject()
        }
    }
}

extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringInterpolation, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(nilLiteral: ()) { self = .null }
    package init(booleanLiteral value: Bool) { self = .boolean(value) }
    package init(integerLiteral value: Int) { self = .integer(value) }
    package init(floatLiteral value: Double) { self = .real(value) }
    package init(stringLiteral value: String) { self = .string(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral members: (String, JSONValue)...) {
        self = .object(members.map { JSONMember($0.0, $0.1) })
    }
}
