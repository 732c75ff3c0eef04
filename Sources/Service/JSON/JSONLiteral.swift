// A JSON text as a Swift literal, for documents that are written in the source. Not for the request path.

/// A JSON value whose objects keep their members in the order in which they were written.
enum JSONLiteral: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    /// A number with a fraction or an exponent, as it is to be written.
    case number(String)
    case string(String)
    case array([JSONLiteral])
    case object([(key: String, value: JSONLiteral)])

    /// The value as JSON.
    var bytes: [UInt8] {
        var writer = JSONWriter(capacity: 65_536)
        write(to: &writer)
        return writer.bytes
    }

    private func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let value): writer.bool(value)
        case .integer(let value): writer.integer(value)
        case .number(let text): writer.value { $0.append(contentsOf: text.utf8) }
        case .string(let value): writer.string(value)
        case .array(let elements):
            writer.beginArray()
            for element in elements { element.write(to: &writer) }
            writer.endArray()
        case .object(let members):
            writer.beginObject()
            for (key, value) in members {
                writer.key(text: key)
                value.write(to: &writer)
            }
            writer.endObject()
        }
    }

    /// The object with further members behind its own; anything but an object stays as it is.
    func adding(_ more: [(key: String, value: JSONLiteral)]) -> JSONLiteral {
        guard case .object(let members) = self else { return self }
        return .object(members + more)
    }

    /// The object without a member; anything but an object stays as it is.
    func without(_ key: String) -> JSONLiteral {
        guard case .object(let members) = self else { return self }
        return .object(members.filter { $0.key != key })
    }
}

extension JSONLiteral: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    init(nilLiteral: ()) { self = .null }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(integerLiteral value: Int) { self = .integer(value) }
    init(stringLiteral value: String) { self = .string(value) }
    init(arrayLiteral elements: JSONLiteral...) { self = .array(elements) }
    init(dictionaryLiteral members: (String, JSONLiteral)...) {
        self = .object(members.map { (key: $0.0, value: $0.1) })
    }
}
