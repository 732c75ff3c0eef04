// A whole JSON text as a value, parsed by our reader and by Foundation, so that the results can be compared. Only for
// tests: the request path never builds a tree.

internal import Foundation
package import JSON

/// A JSON value whose objects ignore the order of their members.
package enum JSONTree: Equatable, Decodable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONTree])
    case object([String: JSONTree])

    /// A text as our reader parses it. `hasDoubtfulMeaning` is set if readers may rightly differ: for a repeated key,
    /// or a number too large or too small for `Double`.
    package static func read(_ text: [UInt8], hasDoubtfulMeaning: inout Bool) throws(JSONError) -> JSONTree {
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.count)
        defer { copy.deallocate() }
        _ = copy.initialize(from: text)
        var reader = JSONReader(UnsafeBufferPointer(copy))
        let tree = try value(&reader, &hasDoubtfulMeaning)
        try reader.finish()
        return tree
    }

    package static func read(_ text: String) throws(JSONError) -> JSONTree {
        var ignored = false
        return try read(Array(text.utf8), hasDoubtfulMeaning: &ignored)
    }

    /// A text as Foundation parses it.
    package static func decode(_ text: [UInt8]) throws -> JSONTree {
        try JSONDecoder().decode(JSONTree.self, from: Data(text))
    }

    private static func value(_ reader: inout JSONReader, _ doubtful: inout Bool) throws(JSONError) -> JSONTree {
        switch try reader.peek() {
        case .null:
            _ = try reader.readNull()
            return .null
        case .bool: return .bool(try reader.readBool())
        case .number:
            let number = try reader.readNumber()
            let value = number.doubleValue
            if !value.isFinite || value == 0 && number.integer == nil { doubtful = true }
            return .number(value)
        case .string: return .string(try reader.readString().string)
        case .array:
            var elements: [JSONTree] = []
            try reader.beginArray()
            while try reader.nextElement() { elements.append(try value(&reader, &doubtful)) }
            return .array(elements)
        case .object:
            var members: [String: JSONTree] = [:]
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let key = key.string
                if members[key] != nil { doubtful = true }
                members[key] = try value(&reader, &doubtful)
            }
            return .object(members)
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONTree].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONTree].self))
        }
    }
}
