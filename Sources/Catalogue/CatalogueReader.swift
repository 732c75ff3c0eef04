// Reads `catalogue.jsonl`: per line an object with `index`, `id`, and optionally `title`, `tags`, `popularity`; with
// semantic ids also `tokens`. Other keys are ignored, because operators store more about items; so are blank lines.

package import Files
internal import Glibc
internal import JSON

extension Catalogue {
    /// Reads a catalogue, decompressing it if it is gzipped.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - rowCount: rows of the item table that the catalogue is for, V + 1.
    /// - Throws: `FileError` with the path and the line.
    package static func load(path: String, rowCount: Int) throws(FileError) -> Catalogue {
        let text = try TextFile.contents(of: path)
        return try text.withUnsafeBufferPointer { bytes throws(FileError) in
            try Catalogue(reading: UnsafeRawBufferPointer(bytes), path: path, rowCount: rowCount)
        }
    }

    /// Reads the catalogue of a model with semantic ids: every line has `tokens`, and the indices run from 1 to the number
    /// of lines.
    ///
    /// - Throws: `FileError` with the path and the line.
    package static func load(path: String, paths rules: PathRules) throws(FileError) -> Catalogue {
        let text = try TextFile.contents(of: path)
        return try text.withUnsafeBufferPointer { bytes throws(FileError) in
            let bytes = UnsafeRawBufferPointer(bytes)
            return try Catalogue(reading: bytes, path: path, rowCount: itemLineCount(bytes) + 1, paths: rules)
        }
    }

    private static func itemLineCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        var count = 0
        var isBlank = true
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                count += isBlank ? 0 : 1
                isBlank = true
            } else if byte != 0x20 && byte != 0x09 && byte != 0x0D {
                isBlank = false
            }
        }
        return isBlank ? count : count + 1
    }

    /// Reads a catalogue from memory; errors name `path`.
    package convenience init(
        reading bytes: UnsafeRawBufferPointer,
        path: String,
        rowCount: Int,
        paths rules: PathRules? = nil
    ) throws(FileError) {
        guard rowCount > 1, rowCount <= Int(Int32.max) else {
            throw FileError(.mismatched, "\(path): the item table has \(rowCount) rows and no room for an item")
        }
        var builder = CatalogueBuilder(rowCount: rowCount, levels: rules?.levels ?? 0)
        var line = CatalogueLine()
        var number = 0
        var rest = bytes
        while let start = rest.baseAddress, !rest.isEmpty {
            number += 1
            let length = memchr(start, Int32(UInt8(ascii: "\n")), rest.count).map { UnsafeRawPointer($0) - start }
            let text = UnsafeRawBufferPointer(rebasing: rest[..<(length ?? rest.count)]).bindMemory(to: UInt8.self)
            rest = UnsafeRawBufferPointer(rebasing: rest[min(rest.count, text.count + 1)...])
            if text.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
            do throws(JSONError) {
                line.clear()
                try line.read(text, number: number, paths: rules, into: &builder)
                try builder.add(line, number: number)
            } catch {
                // If the bytes are not UTF-8, that causes every other fault of the line.
                let sentence =
                    TextFile.firstInvalidByte(text).map { TextFile.notUTF8(byte: text[$0], at: $0) } ?? "\(error)"
                throw FileError(.malformed, "\(path), line \(number): \(sentence)")
            }
        }
        guard builder.count > 0 else { throw FileError(.malformed, "\(path): the catalogue has no items") }
        self.init(builder)
    }

    /// The catalogue of a model whose items have no ids but their row numbers: integers 1 … `rows` − 1.
    ///
    /// - Parameter rows: rows of the item table, V + 1; 2 to `Int32.max`.
    package static func numbered(rows: Int) -> Catalogue {
        precondition(rows > 1 && rows <= Int(Int32.max), "no place for an item")
        var builder = CatalogueBuilder(rowCount: rows)
        var line = CatalogueLine()
        for row in 1..<rows {
            line.index = Int64(row)
            line.id = .integer(Int64(row))
            do throws(JSONError) {
                try builder.add(line, number: row)
            } catch {
                preconditionFailure("rows are unique and within the table")
            }
        }
        return Catalogue(builder)
    }
}

extension CatalogueLine {
    /// Reads a line; new tags are added to the builder directly.
    fileprivate mutating func read(
        _ line: UnsafeBufferPointer<UInt8>,
        number: Int,
        paths rules: PathRules?,
        into builder: inout CatalogueBuilder
    ) throws(JSONError) {
        var reader = JSONReader(line)
        // One bit per field, because a set would be allocated for every line.
        var seen: UInt8 = 0
        try reader.beginObject()
        while let key = try reader.nextKey() {
            guard let field = CatalogueField(key) else {
                try reader.skipValue()
                continue
            }
            guard seen & 1 << field.rawValue == 0 else { throw JSONError("\(field) appears twice") }
            seen |= 1 << field.rawValue
            // Data frames write null where a column has nothing. An item without an index or id is a mistake.
            if field.isOptional, try reader.readNull() { continue }
            switch field {
            case .index:
                guard try reader.peek() == .number, let value = try reader.readNumber().integer else {
                    throw JSONError("index must be an integer")
                }
                index = value
            case .id: id = try readID(&reader)
            case .title:
                guard try reader.peek() == .string else { throw JSONError("title must be a string") }
                title.replace(with: try reader.readString())
                guard title.count <= CatalogueBuilder.Limit.titleBytes else {
                    throw JSONError("title is longer than \(CatalogueBuilder.Limit.titleBytes) bytes")
                }
                hasTitle = true
            case .tags: try readTags(&reader, number: number, into: &builder)
            case .popularity: popularity = try readPopularity(&reader)
            case .tokens:
                guard let rules else {
                    try reader.skipValue()
                    continue
                }
                try readTokens(&reader, rules)
            }
        }
        try reader.finish()
        guard rules == nil || seen & 1 << CatalogueField.tokens.rawValue != 0 else {
            throw JSONError("tokens is missing")
        }
    }

    private mutating func readTokens(_ reader: inout JSONReader, _ rules: PathRules) throws(JSONError) {
        let fault = JSONError("tokens must be an array of \(rules.levels) token ids")
        guard try reader.peek() == .array else { throw fault }
        try reader.beginArray()
        while try reader.nextElement() {
            guard try reader.peek() == .number, let value = try reader.readNumber().integer,
                let token = Int32(exactly: value), tokens.count < rules.levels
            else { throw fault }
            tokens.append(token)
        }
        if let reason = rules.fault(tokens) { throw JSONError("tokens: \(reason)") }
    }

    private mutating func readID(_ reader: inout JSONReader) throws(JSONError) -> ID {
        switch try reader.peek() {
        case .string:
            idText.replace(with: try reader.readString())
            guard 1...CatalogueBuilder.Limit.idBytes ~= idText.count else {
                throw JSONError("id must have 1 to \(CatalogueBuilder.Limit.idBytes) bytes")
            }
            return .string
        case .number:
            if let value = try reader.readNumber().integer { return .integer(value) }
        default: break
        }
        throw JSONError("id must be a string or an integer of at most 64 bits")
    }

    private mutating func readTags(
        _ reader: inout JSONReader,
        number: Int,
        into builder: inout CatalogueBuilder
    ) throws(JSONError) {
        guard try reader.peek() == .array else { throw JSONError("tags must be an array of strings") }
        try reader.beginArray()
        while try reader.nextElement() {
            guard try reader.peek() == .string else { throw JSONError("tags must be an array of strings") }
            let text = try reader.readString().utf8
            guard 1...CatalogueBuilder.Limit.tagBytes ~= text.count else {
                throw JSONError("a tag must have 1 to \(CatalogueBuilder.Limit.tagBytes) bytes")
            }
            if let tag = builder.intern(tag: text, line: number) { tags.append(tag) }
        }
    }

    private func readPopularity(_ reader: inout JSONReader) throws(JSONError) -> Double {
        let value = try reader.peek() == .number ? try reader.readNumber().doubleValue : -1
        guard value >= 0, value.isFinite else { throw JSONError("popularity must be a finite number, at least 0") }
        return value
    }
}

extension [UInt8] {
    fileprivate mutating func replace(with string: JSONString) {
        removeAll(keepingCapacity: true)
        append(contentsOf: string.utf8)
    }
}

/// The keys of a line that are read.
private enum CatalogueField: UInt8 {
    case index
    case id
    case title
    case tags
    case popularity
    case tokens

    var isOptional: Bool { self == .title || self == .tags || self == .popularity }

    // Compares bytes: building a String for every key costs more than the rest of the line.
    init?(_ key: JSONString) {
        switch key {
        case "index": self = .index
        case "id": self = .id
        case "title": self = .title
        case "tags": self = .tags
        case "popularity": self = .popularity
        case "tokens": self = .tokens
        default: return nil
        }
    }
}
