// Collects the lines of a catalogue into columns and refuses lines that contradict earlier ones.

internal import JSON

/// The content of one line; the buffers are reused for the next line.
struct CatalogueLine {
    enum ID {
        case integer(Int64)
        /// The text is in `idText`.
        case string
    }

    var index: Int64?
    var id: ID?
    var idText: [UInt8] = []
    var hasTitle = false
    var title: [UInt8] = []
    /// Tag numbers of the builder, without duplicates.
    var tags: [Int32] = []
    var popularity: Double?
    /// The token path; read only if items have paths.
    var tokens: [Int32] = []

    mutating func clear() {
        index = nil
        id = nil
        hasTitle = false
        tags.removeAll(keepingCapacity: true)
        popularity = nil
        tokens.removeAll(keepingCapacity: true)
    }
}

/// The columns of a catalogue that is being read. `CatalogueReader` drives it.
struct CatalogueBuilder {
    /// Bounds of a line's texts, in bytes.
    enum Limit {
        static let idBytes = 1024
        static let tagBytes = 1024
        static let titleBytes = 65_536
    }

    let rowCount: Int
    /// Tokens of each item's path; 0: items have no paths.
    let levels: Int
    private(set) var count = 0
    private(set) var idsAreIntegers: Bool?
    private(set) var hasPopularity = false
    private(set) var presentMask: [UInt64]
    private(set) var ids: TextColumn
    private(set) var escapedIDs: [Int32: [UInt8]] = [:]
    private(set) var integerIDs: [Int64] = []
    private(set) var rowsByID = RowTable()
    private(set) var titles: TextColumn
    private(set) var popularities: [Double] = []
    private(set) var tagsByName = RowTable()
    private(set) var tagNames: TextColumn
    private(set) var tagCount = 0
    /// The paths of all items in row order, from row 1.
    private(set) var tokens: [Int32]
    /// The line that described each row, for the error about a duplicate.
    private var lineNumbers: [Int]
    /// Tag and row of each tagging, in line order.
    private var taggings: [(tag: Int32, row: Int32)] = []
    /// The last line that used each tag, so that a duplicate within a line counts once.
    private var lastLineOfTag: [Int] = []

    /// - Parameters:
    ///   - rowCount: rows of the item table, at most `Int32.max`.
    ///   - levels: tokens of each item's path; 0: items have no paths.
    init(rowCount: Int, levels: Int = 0) {
        self.rowCount = rowCount
        self.levels = levels
        tokens = Array(repeating: 0, count: (rowCount - 1) * levels)
        presentMask = Array(repeating: 0, count: (rowCount + 63) / 64)
        ids = TextColumn(rows: rowCount)
        titles = TextColumn(rows: rowCount)
        tagNames = TextColumn(rows: 0)
        lineNumbers = Array(repeating: 0, count: rowCount)
    }

    /// The number of a tag, assigned if it is new. Nil if this line has the tag already.
    mutating func intern(tag: UnsafeBufferPointer<UInt8>, line: Int) -> Int32? {
        let hash = KeyedHash.shared.of(tag)
        let known = tagsByName.find(hash) { tagNames.holds(tag, at: Int($0) - 1) }
        if let known {
            if lastLineOfTag[Int(known) - 1] == line { return nil }
            lastLineOfTag[Int(known) - 1] = line
            return known - 1
        }
        tagNames.append(Array(tag))
        lastLineOfTag.append(line)
        tagCount += 1
        tagsByName.insert(hash, Int32(tagCount))
        return Int32(tagCount - 1)
    }

    /// Adds a line.
    ///
    /// - Throws: `JSONError` that names what is missing, out of range, or contradicts an earlier line.
    mutating func add(_ line: CatalogueLine, number: Int) throws(JSONError) {
        guard let index = line.index else { throw JSONError("index is missing") }
        guard let id = line.id else { throw JSONError("id is missing") }
        guard index != 0 else { throw JSONError("index 0 is the padding row, not an item") }
        guard index > 0, index < rowCount else {
            throw JSONError("index \(index) is outside the item table, whose rows are 1 to \(rowCount - 1)")
        }
        let row = Int32(index)
        guard lineNumbers[Int(row)] == 0 else {
            throw JSONError("index \(row) is already on line \(lineNumbers[Int(row)])")
        }
        guard line.tokens.count == levels else {
            throw JSONError("a path of \(line.tokens.count) tokens, but there are \(levels) levels")
        }
        switch id {
        case .integer(let value): try add(integerID: value, row: row)
        case .string: try add(stringID: line.idText, row: row)
        }
        lineNumbers[Int(row)] = number
        presentMask[Int(row) >> 6] |= 1 << (UInt64(row) & 63)
        count += 1
        if levels > 0 {
            let start = (Int(row) - 1) * levels
            tokens.replaceSubrange(start..<start + levels, with: line.tokens)
        }
        if line.hasTitle { titles.set(Int(row), line.title) }
        for tag in line.tags { taggings.append((tag, row)) }
        if let popularity = line.popularity {
            if !hasPopularity {
                hasPopularity = true
                popularities = Array(repeating: 0, count: rowCount)
            }
            popularities[Int(row)] = popularity
        }
    }

    private mutating func add(integerID id: Int64, row: Int32) throws(JSONError) {
        guard idsAreIntegers != false else {
            throw JSONError("id \(id) is an integer, but the ids of the lines before it are strings")
        }
        if idsAreIntegers == nil {
            idsAreIntegers = true
            integerIDs = Array(repeating: 0, count: rowCount)
        }
        let hash = KeyedHash.shared.of(id)
        if let other = rowsByID.find(hash, matches: { integerIDs[Int($0)] == id }) {
            throw JSONError("id \(id) is already on line \(lineNumbers[Int(other)])")
        }
        rowsByID.insert(hash, row)
        integerIDs[Int(row)] = id
        ids.set(Int(row), Array(id.description.utf8))
    }

    private mutating func add(stringID id: [UInt8], row: Int32) throws(JSONError) {
        guard idsAreIntegers != true else {
            let text = quoted(String(decoding: id, as: UTF8.self))
            throw JSONError("id \(text) is a string, but the ids of the lines before it are integers")
        }
        idsAreIntegers = false
        let hash = id.withUnsafeBufferPointer { KeyedHash.shared.of($0) }
        let other = rowsByID.find(hash) { other in
            id.withUnsafeBufferPointer { ids.holdsQuoted($0, at: Int(other)) }
        }
        if let other {
            let text = quoted(String(decoding: id, as: UTF8.self))
            throw JSONError("id \(text) is already on line \(lineNumbers[Int(other)])")
        }
        rowsByID.insert(hash, row)
        ids.set(Int(row), quoting: id)
        if id.contains(where: { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            var writer = JSONWriter()
            id.withUnsafeBufferPointer { writer.string(utf8: $0) }
            escapedIDs[row] = writer.bytes
        }
    }

    // MARK: - Finishing

    func tagName(_ tag: Int) -> String {
        guard let range = tagNames.range(tag) else { return "" }
        return String(decoding: tagNames.bytes[range], as: UTF8.self)
    }

    /// Rows by popularity, most popular first, ties by smaller row.
    func popularityOrder() -> [Int32] {
        let rows = (1..<Int32(rowCount)).filter { presentMask[Int($0) >> 6] >> (UInt64($0) & 63) & 1 == 1 }
        guard hasPopularity else { return rows }
        let keys = rows.map { (popularity: popularities[Int($0)], row: $0) }
        return keys.sorted { left, right in
            left.popularity != right.popularity ? left.popularity > right.popularity : left.row < right.row
        }.map(\.row)
    }

    /// Rows grouped by tag: each group's start plus the last one's end, and the rows, ascending in each group.
    func rowsByTag() -> (starts: [Int], rows: [Int32]) {
        var starts = Array(repeating: 0, count: tagCount + 1)
        for tagging in taggings { starts[Int(tagging.tag) + 1] += 1 }
        for tag in 0..<tagCount { starts[tag + 1] += starts[tag] }
        var next = starts
        var rows = Array(repeating: Int32(0), count: taggings.count)
        for tagging in taggings {
            rows[next[Int(tagging.tag)]] = tagging.row
            next[Int(tagging.tag)] += 1
        }
        // Most catalogues list their rows in order, so most groups are already sorted.
        for tag in 0..<tagCount {
            let group = starts[tag]..<starts[tag + 1]
            if zip(rows[group], rows[group].dropFirst()).contains(where: { $0 > $1 }) { rows[group].sort() }
        }
        return (starts, rows)
    }
}
