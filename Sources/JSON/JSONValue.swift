// JSON as a tree, for small documents: `config.json`, import descriptions, reports, the OpenAPI contract. A text that is read
// never has the same key twice in an object; objects keep the order of their keys.

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

    /// An object of these members, in this order.
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
    /// Levels of arrays and objects that a tree may have; reading one uses the stack.
    package static let depthLimit = 64

    /// Reads a whole text.
    ///
    /// - Throws: `JSONError` that names the byte, or a duplicate key of an object. A number beyond `Double` is an
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
                    throw JSONError(.duplicateKey, at: offset, "the key \(quoted(name)) stands twice")
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
                guard value.isFinite else { throw JSONError(.limit, at: offset, "a number beyond a double") }
                self = .real(value)
            }
        case .bool: self = .boolean(try reader.readBool())
        case .null:
            _ = try reader.readNull()
            self = .null
        }
    }

    /// The object with more members appended; anything but an object is unchanged.
    package func adding(_ more: [(key: String, value: JSONValue)]) -> JSONValue {
        guard case .object(let members) = self else { return self }
        return .object(members + more.map { JSONMember($0.key, $0.value) })
    }

    /// The object without a member; anything but an object is unchanged.
    package func without(_ key: String) -> JSONValue {
        guard case .object(let members) = self else { return self }
        return .object(members.filter { $0.key != key })
    }

    /// The value of an object's member; nil for anything else.
    package subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    // MARK: - Writing

    /// The value as text over several lines, two spaces per level; arrays of scalars stay on one line.
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

    /// Writes the value without white space. A number that is not finite becomes null.
    package func write(to writer: inout JSONWriter) { write(to: &writer, indentation: nil) }

    private var isScalar: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    /// - Parameter indentation: levels of the line that the value stands on; nil: no white space at all.
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
