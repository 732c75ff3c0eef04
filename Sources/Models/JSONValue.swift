// JSON as a tree, for small documents: `config.json`, import descriptions, inspection output. Objects keep the order of
// their keys and never hold one twice.

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
    /// Reads a whole text.
    ///
    /// - Throws: `JSONError` that names the byte, or the key that stands twice in one object.
    package init(parsing bytes: UnsafeRawBufferPointer) throws(JSONError) {
        var scanner = JSONScanner(bytes.bindMemory(to: UInt8.self))
        self = try Self.value(&scanner, depth: 0)
        try scanner.end()
    }

    private static func value(_ scanner: inout JSONScanner, depth: Int) throws(JSONError) -> JSONValue {
        switch try scanner.kind() {
        case .object:
            try scanner.checkDepth(depth)
            return try object(&scanner, depth: depth)
        case .array:
            try scanner.checkDepth(depth)
            try scanner.beginArray()
            var elements: [JSONValue] = []
            var isFirst = true
            while try scanner.nextElement(isFirst: &isFirst) {
                elements.append(try value(&scanner, depth: depth + 1))
            }
            return .array(elements)
        case .string:
            var text: [UInt8] = []
            try scanner.string(into: &text)
            return .string(String(decoding: text, as: UTF8.self))
        case .number:
            switch try scanner.number() {
            case .integer(let value): return .integer(value)
            case .real(let value): return .real(value)
            }
        case .boolean: return .boolean(try scanner.boolean())
        case .null:
            try scanner.null()
            return .null
        }
    }

    private static func object(_ scanner: inout JSONScanner, depth: Int) throws(JSONError) -> JSONValue {
        try scanner.beginObject()
        var members: [JSONMember] = []
        var seen: Set<String> = []
        var key: [UInt8] = []
        var isFirst = true
        while try scanner.nextKey(into: &key, isFirst: &isFirst) {
            let name = String(decoding: key, as: UTF8.self)
            guard seen.insert(name).inserted else { throw JSONError("the key \(quoted(name)) stands twice") }
            members.append(JSONMember(name, try value(&scanner, depth: depth + 1)))
        }
        return .object(members)
    }

    // MARK: - Writing

    /// The value as text over several lines, two spaces a level; arrays of scalars stay on one line.
    package var prettyPrinted: String {
        var text: [UInt8] = []
        write(into: &text, indentation: 0)
        text.append(UInt8(ascii: "\n"))
        return String(decoding: text, as: UTF8.self)
    }

    /// The value as text without white space.
    package var compact: [UInt8] {
        var text: [UInt8] = []
        write(into: &text, indentation: nil)
        return text
    }

    private var isScalar: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    /// - Parameter indentation: levels of the line that the value stands on; nil: no white space at all.
    private func write(into text: inout [UInt8], indentation: Int?) {
        let inner = indentation.map { $0 + 1 }
        func newLine(_ text: inout [UInt8], _ levels: Int?) {
            guard let levels else { return }
            text.append(UInt8(ascii: "\n"))
            text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * levels))
        }
        switch self {
        case .null: text.append(contentsOf: "null".utf8)
        case .boolean(let value): text.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): text.append(contentsOf: value.description.utf8)
        case .real(let value): text.append(contentsOf: (value.isFinite ? value.description : "null").utf8)
        case .string(let value): appendJSONString(value.utf8, to: &text)
        case .array(let elements):
            let isFlat = elements.allSatisfy(\.isScalar)
            text.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { text.append(contentsOf: (isFlat && indentation != nil ? ", " : ",").utf8) }
                if !isFlat { newLine(&text, inner) }
                element.write(into: &text, indentation: inner)
            }
            if !isFlat { newLine(&text, indentation) }
            text.append(UInt8(ascii: "]"))
        case .object(let members):
            text.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                newLine(&text, inner)
                appendJSONString(member.key.utf8, to: &text)
                text.append(contentsOf: (indentation == nil ? ":" : ": ").utf8)
                member.value.write(into: &text, indentation: inner)
            }
            if !members.isEmpty { newLine(&text, indentation) }
            text.append(UInt8(ascii: "}"))
        }
    }
}

/// Appends a JSON string, quotes included. Only what must be escaped is: '"', '\' and control characters.
package func appendJSONString(_ characters: some Sequence<UInt8>, to text: inout [UInt8]) {
    let digits: StaticString = "0123456789abcdef"
    text.append(UInt8(ascii: "\""))
    for byte in characters {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            text.append(UInt8(ascii: "\\"))
            text.append(byte)
        case 0..<0x20:
            text.append(contentsOf: "\\u00".utf8)
            text.append(digits.utf8Start[Int(byte >> 4)])
            text.append(digits.utf8Start[Int(byte & 15)])
        default: text.append(byte)
        }
    }
    text.append(UInt8(ascii: "\""))
}
