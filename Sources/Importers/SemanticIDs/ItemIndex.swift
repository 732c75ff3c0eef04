// Reads each item's token path in the trainers' three formats: a JSON object (MiniOneRec, LC-Rec), JSON lines (NVIDIA's
// recsys-examples), CSV with a column per level (FORGE). The first bytes tell which.

internal import Catalogue
internal import Files
internal import JSON
import Models

/// The items of an index, in file order, each with the texts or numbers of its tokens.
struct ItemIndex {
    private static let byteLimit = 8 << 30

    /// A token in an index.
    enum Token: Equatable {
        case id(Int64)
        case text(String)
    }

    /// An item in an index.
    struct Entry: Equatable {
        let id: CatalogueItem.ID
        let title: String?
        let tokens: [Token]
    }

    let path: String
    private(set) var entries: [Entry] = []

    /// Reads an index.
    ///
    /// - Throws: `ImportError` that names the file, and the line or item.
    init(path: String) throws(ImportError) {
        self.path = path
        let content = try smallFile(path, atMost: Self.byteLimit)
        do throws(JSONError) {
            try content.withBytes { bytes throws(JSONError) in
                var text = bytes
                // Skips a byte-order mark.
                if text.starts(with: [0xEF, 0xBB, 0xBF]) { text = UnsafeRawBufferPointer(rebasing: text[3...]) }
                let first = text.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
                if first != UInt8(ascii: "{") {
                    try readTable(text)
                } else if Self.isLines(text) {
                    try readLines(text)
                } else {
                    try readObject(text)
                }
            }
        } catch {
            throw ImportError(.malformed, "\(path)\(error.description)")
        }
        guard !entries.isEmpty else { throw ImportError(.malformed, "\(path): the index has no items") }
    }

    /// Runs `body` for each line that is not blank, with its number from 1.
    private static func eachLine(
        _ text: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, Int) throws(JSONError) -> Void
    ) throws(JSONError) {
        var rest = text
        var number = 0
        while !rest.isEmpty {
            number += 1
            let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.count
            var line = UnsafeRawBufferPointer(rebasing: rest[..<end])
            rest = UnsafeRawBufferPointer(rebasing: rest[min(end + 1, rest.count)...])
            while let last = line.last, last == 0x0D || last == 0x20 || last == 0x09 {
                line = UnsafeRawBufferPointer(rebasing: line.dropLast())
            }
            if line.isEmpty { continue }
            do throws(JSONError) {
                try body(line, number)
            } catch {
                throw JSONError(", line \(number): \(error.description)")
            }
        }
    }

    // MARK: - JSON

    /// Whether the first line is a complete object with `token_ids`.
    private static func isLines(_ text: UnsafeRawBufferPointer) -> Bool {
        let start = text.firstIndex { $0 > 0x20 } ?? 0
        let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
        guard let value = try? JSONValue(parsing: UnsafeRawBufferPointer(rebasing: text[start..<end])),
            case .object(let members) = value
        else { return false }
        return members.contains { $0.key == "token_ids" }
    }

    private mutating func readLines(_ text: UnsafeRawBufferPointer) throws(JSONError) {
        var found: [Entry] = []
        try Self.eachLine(text) { line, _ throws(JSONError) in
            var fields = try JSONFields(JSONValue(parsing: line))
            let id: CatalogueItem.ID
            switch try fields.value("item_id") {
            case .integer(let value): id = .integer(value)
            case .string(let value): id = .string(value)
            default: throw JSONError("item_id must be an integer or a string")
            }
            let tokens = try Self.tokens(fields.value("token_ids"), of: "token_ids")
            var title: String?
            if case .object(let metadata)? = fields.optional("metadata"),
                case .string(let text)? = metadata.first(where: { $0.key == "title" })?.value
            {
                title = text
            }
            found.append(Entry(id: id, title: title, tokens: tokens))
        }
        entries = found
    }

    private mutating func readObject(_ text: UnsafeRawBufferPointer) throws(JSONError) {
        var reader = JSONReader(text.bindMemory(to: UInt8.self))
        var seen: Set<String> = []
        var found: [(key: String, number: Int64?, tokens: [Token])] = []
        do throws(JSONError) {
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let name = key.string
                guard seen.insert(name).inserted else { throw JSONError("the item \(quoted(name)) appears twice") }
                let number = Int64(name).flatMap { String($0) == name ? $0 : nil }
                found.append((name, number, try Self.tokens(JSONValue(&reader), of: "the item \(quoted(name))")))
            }
            try reader.finish()
        } catch {
            throw JSONError(": \(error.description)")
        }
        // Python writers sort numbers as text, or not at all.
        if found.allSatisfy({ $0.number != nil }) { found.sort { ($0.number ?? 0) < ($1.number ?? 0) } }
        entries = found.map { Entry(id: .string($0.key), title: nil, tokens: $0.tokens) }
    }

    private static func tokens(_ value: JSONValue, of name: String) throws(JSONError) -> [Token] {
        guard case .array(let elements) = value else { throw JSONError("\(name) has no array of tokens") }
        return try elements.map { element throws(JSONError) in
            switch element {
            case .integer(let id): .id(id)
            case .string(let text): .text(text)
            default: throw JSONError("\(name) has a token that is neither a string nor an integer")
            }
        }
    }

    // MARK: - CSV

    private mutating func readTable(_ text: UnsafeRawBufferPointer) throws(JSONError) {
        var columns: [String] = []
        var idColumn = 0
        var rows: [(id: String, tokens: [Token])] = []
        try Self.eachLine(text) { line, _ throws(JSONError) in
            guard let line = String(validating: line, as: UTF8.self) else { throw JSONError("not UTF-8") }
            let fields = line.split(separator: ",", omittingEmptySubsequences: false).map { field in
                String(field.drop { $0 == "\"" || $0 == " " }.reversed().drop { $0 == "\"" || $0 == " " }.reversed())
            }
            if columns.isEmpty {
                columns = fields
                idColumn = fields.firstIndex { ["item_id", "item", "id", "iid", "pid"].contains($0.lowercased()) } ?? 0
                guard fields.count > 1, fields.allSatisfy({ $0.first.map { $0.isLetter || $0 == "_" } ?? false }) else {
                    throw JSONError(
                        "expected a JSON object or a header with an item column and a column for each level"
                    )
                }
                return
            }
            guard fields.count == columns.count else {
                throw JSONError("\(fields.count) fields, but there are \(columns.count) columns")
            }
            var tokens: [Token] = []
            for (column, field) in fields.enumerated() where column != idColumn {
                tokens.append(Int64(field).map { .id($0) } ?? .text(field))
            }
            rows.append((fields[idColumn], tokens))
        }
        // CSV has no types: ids are integers if all of them look like integers.
        let numbers = rows.map { row in Int64(row.id).flatMap { String($0) == row.id ? $0 : nil } }
        let areIntegers = numbers.allSatisfy { $0 != nil }
        entries = zip(rows, numbers).map { row, number in
            let id: CatalogueItem.ID = if areIntegers, let number { .integer(number) } else { .string(row.id) }
            return Entry(id: id, title: nil, tokens: row.tokens)
        }
    }
}

extension CatalogueItem.ID {
    /// The id as text, for people and as a key in other files.
    var text: String {
        switch self {
        case .integer(let value): String(value)
        case .string(let text): text
        }
    }
}
