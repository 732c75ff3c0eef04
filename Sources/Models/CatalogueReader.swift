// Reads `catalogue.jsonl`: one JSON object a line with `index` and `id`, and perhaps `title`, `tags`, `popularity`. Other
// keys are stepped over, because operators keep more about their items than we need; blank lines too.

import Glibc

extension Catalogue {
    /// Reads a catalogue.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - rowCount: rows of the item table that the catalogue is for, V + 1.
    /// - Throws: `BundleError` with the path and the line.
    package static func load(path: String, rowCount: Int) throws(BundleError) -> Catalogue {
        let file = try MappedFile(path: path)
        return try file.withBytes { bytes throws(BundleError) in
            try Catalogue(reading: bytes, path: path, rowCount: rowCount)
        }
    }

    /// Reads a catalogue from memory; `path` is what errors name.
    package convenience init(
        reading bytes: UnsafeRawBufferPointer,
        path: String,
        rowCount: Int
    ) throws(BundleError) {
        guard rowCount > 1, rowCount <= Int(Int32.max) else {
            throw BundleError(.mismatched, "\(path): the item table has \(rowCount) rows, no place for an item")
        }
        var builder = CatalogueBuilder(rowCount: rowCount)
        var line = CatalogueLine()
        var keyBuffer: [UInt8] = []
        var textBuffer: [UInt8] = []
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
                try line.read(text, number: number, into: &builder, key: &keyBuffer, text: &textBuffer)
                try builder.add(line, number: number)
            } catch {
                throw BundleError(.malformed, "\(path), line \(number): \(error.reason)")
            }
        }
        guard builder.count > 0 else { throw BundleError(.malformed, "\(path): the catalogue has no item") }
        self.init(builder)
    }

    /// The catalogue of a model whose items have no other names than their rows: integer ids 1 … `rows` − 1.
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
    /// Reads a line; tags go to the builder at once. The buffers are the caller's, used again for each line.
    fileprivate mutating func read(
        _ line: UnsafeBufferPointer<UInt8>,
        number: Int,
        into builder: inout CatalogueBuilder,
        key: inout [UInt8],
        text: inout [UInt8]
    ) throws(JSONError) {
        var scanner = JSONScanner(line)
        // One bit a field: a set would be made anew for every line.
        var seen: UInt8 = 0
        var isFirst = true
        try scanner.beginObject()
        while try scanner.nextKey(into: &key, isFirst: &isFirst) {
            guard let field = CatalogueField(key) else {
                try scanner.skipValue(depth: 1)
                continue
            }
            guard seen & 1 << field.rawValue == 0 else { throw JSONError("\(field) stands twice") }
            seen |= 1 << field.rawValue
            switch field {
            case .index:
                guard try scanner.kind() == .number, case .integer(let value) = try scanner.number() else {
                    throw JSONError("index must be an integer")
                }
                index = value
            case .id: id = try readID(&scanner)
            case .title:
                guard try scanner.kind() == .string else { throw JSONError("title must be a string") }
                try scanner.string(into: &title)
                guard title.count <= CatalogueBuilder.Limit.titleBytes else {
                    throw JSONError("title is longer than \(CatalogueBuilder.Limit.titleBytes) bytes")
                }
                hasTitle = true
            case .tags: try readTags(&scanner, number: number, into: &builder, text: &text)
            case .popularity: popularity = try readPopularity(&scanner)
            }
        }
        try scanner.end()
    }

    private mutating func readID(_ scanner: inout JSONScanner) throws(JSONError) -> ID {
        switch try scanner.kind() {
        case .string:
            try scanner.string(into: &idText)
            guard 1...CatalogueBuilder.Limit.idBytes ~= idText.count else {
                throw JSONError("id must have 1 to \(CatalogueBuilder.Limit.idBytes) bytes")
            }
            return .string
        case .number:
            if case .integer(let value) = try scanner.number() { return .integer(value) }
        default: break
        }
        throw JSONError("id must be a string or an integer of at most 64 bits")
    }

    private mutating func readTags(
        _ scanner: inout JSONScanner,
        number: Int,
        into builder: inout CatalogueBuilder,
        text: inout [UInt8]
    ) throws(JSONError) {
        guard try scanner.kind() == .array else { throw JSONError("tags must be an array of strings") }
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(isFirst: &isFirst) {
            guard try scanner.kind() == .string else { throw JSONError("tags must be an array of strings") }
            try scanner.string(into: &text)
            guard 1...CatalogueBuilder.Limit.tagBytes ~= text.count else {
                throw JSONError("a tag must have 1 to \(CatalogueBuilder.Limit.tagBytes) bytes")
            }
            if let tag = builder.intern(tag: text, line: number) { tags.append(tag) }
        }
    }

    private func readPopularity(_ scanner: inout JSONScanner) throws(JSONError) -> Double {
        var value = -1.0
        if try scanner.kind() == .number {
            switch try scanner.number() {
            case .integer(let integer): value = Double(integer)
            case .real(let real): value = real
            }
        }
        guard value >= 0 else { throw JSONError("popularity must be a number that is not negative") }
        return value
    }
}

/// The keys of a line that mean something here.
private enum CatalogueField: UInt8 {
    case index
    case id
    case title
    case tags
    case popularity

    // By comparing bytes: making a String of every key costs more than the rest of the line.
    init?(_ key: [UInt8]) {
        if key.elementsEqual("index".utf8) {
            self = .index
        } else if key.elementsEqual("id".utf8) {
            self = .id
        } else if key.elementsEqual("title".utf8) {
            self = .title
        } else if key.elementsEqual("tags".utf8) {
            self = .tags
        } else if key.elementsEqual("popularity".utf8) {
            self = .popularity
        } else {
            return nil
        }
    }
}
