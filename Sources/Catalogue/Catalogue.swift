// The items behind the rows of the item table: ids, titles, tags and popularity, with lookups in both directions. Every
// request maps ids to rows and back here; these lookups do not allocate.

/// A catalogue: which rows of the item table are items, and their properties. Immutable.
package final class Catalogue: Sendable {
    /// Rows of the item table, V + 1 with the padding row 0.
    package let rowCount: Int
    /// Number of items, at most V: rows without a line in the catalogue are never recommended.
    package let count: Int
    /// Whether ids are JSON integers; otherwise they are strings.
    package let idsAreIntegers: Bool
    /// Whether any line states a popularity.
    package let hasPopularity: Bool
    /// One bit per row, bit `row & 63` of word `row >> 6`, 1 if the row is an item. Row 0 never is.
    package let presentMask: [UInt64]
    /// The items' rows, most popular first, ties by smaller row: the answer for a cold start.
    package let popularityOrder: [Int32]
    /// Tag names by tag number.
    package let tagNames: [String]
    /// Tokens of each item's path (semantic ids); the rows are then not rows of a table but the items' numbers, without
    /// gaps. 0: items have no paths.
    package let levels: Int
    /// The paths of all items in row order, from row 1: `rowCount - 1` times `levels` tokens.
    package let tokens: [Int32]

    /// String ids: raw UTF-8 in quotes. Integer ids: digits. Both are valid JSON except for the ids in `escapedIDs`.
    let ids: TextColumn
    /// Rows whose id needs escaping in JSON, with the escaped form.
    private let escapedIDs: [Int32: [UInt8]]
    /// Integer ids by row; empty if ids are strings.
    let integerIDs: [Int64]
    let rowsByID: RowTable
    private let titles: TextColumn
    /// By row; empty if no line states any.
    private let popularities: [Double]
    private let tagsByName: RowTable
    private let tagNameBytes: TextColumn
    /// Rows of tag t: `taggedRows[tagStarts[t] ..< tagStarts[t + 1]]`, ascending.
    private let tagStarts: [Int]
    private let taggedRows: [Int32]
    /// Tags of row r: `rowTags[rowTagStarts[r] ..< rowTagStarts[r + 1]]`, ascending; both empty if there are no tags.
    private let rowTagStarts: [Int32]
    private let rowTags: [Int32]

    init(_ builder: consuming CatalogueBuilder) {
        rowCount = builder.rowCount
        count = builder.count
        idsAreIntegers = builder.idsAreIntegers ?? false
        hasPopularity = builder.hasPopularity
        presentMask = builder.presentMask
        levels = builder.levels
        tokens = builder.tokens
        popularityOrder = builder.popularityOrder()
        ids = builder.ids
        escapedIDs = builder.escapedIDs
        integerIDs = builder.integerIDs
        rowsByID = builder.rowsByID
        titles = builder.titles
        popularities = builder.hasPopularity ? builder.popularities : []
        tagsByName = builder.tagsByName
        tagNameBytes = builder.tagNames
        tagNames = (0..<builder.tagCount).map { builder.tagName($0) }
        let (starts, rows) = builder.rowsByTag()
        (tagStarts, taggedRows) = (starts, rows)
        (rowTagStarts, rowTags) = Self.tagsByRow(rowCount, starts, rows)
    }

    /// Tags grouped by row: the start of each row's group plus the end of the last, and the tags.
    private static func tagsByRow(_ rowCount: Int, _ tagStarts: [Int], _ rows: [Int32]) -> ([Int32], [Int32]) {
        guard !rows.isEmpty else { return ([], []) }
        var starts = Array(repeating: Int32(0), count: rowCount + 1)
        for row in rows { starts[Int(row) + 1] += 1 }
        for row in 0..<rowCount { starts[row + 1] += starts[row] }
        var next = starts
        var tags = Array(repeating: Int32(0), count: rows.count)
        for tag in 0..<tagStarts.count - 1 {
            for row in rows[tagStarts[tag]..<tagStarts[tag + 1]] {
                tags[Int(next[Int(row)])] = Int32(tag)
                next[Int(row)] += 1
            }
        }
        return (starts, tags)
    }

    /// Whether the row is an item.
    package func contains(_ row: Int32) -> Bool {
        row > 0 && Int(row) < rowCount && presentMask[Int(row) >> 6] >> (UInt64(row) & 63) & 1 == 1
    }

    // MARK: - Ids

    /// The row of an id given as a string; nil if no item has it. If ids are integers, the string must be canonical
    /// (see `CanonicalInteger`).
    package func row(ofString utf8: UnsafeBufferPointer<UInt8>) -> Int32? {
        if idsAreIntegers { return CanonicalInteger.value(of: utf8).flatMap { row(ofInteger: $0) } }
        return rowsByID.find(KeyedHash.shared.of(utf8)) { ids.holdsQuoted(utf8, at: Int($0)) }
    }

    /// The row of an id given as an integer; nil if no item has it. If ids are strings, its decimal digits are looked
    /// up.
    package func row(ofInteger id: Int64) -> Int32? {
        guard idsAreIntegers else { return CanonicalInteger.withText(of: id) { row(ofString: $0) } }
        return rowsByID.find(KeyedHash.shared.of(id)) { integerIDs[Int($0)] == id }
    }

    /// The row of an id given as text, as in a table of interactions.
    package func row(of id: String) -> Int32? {
        var id = id
        return id.withUTF8 { row(ofString: $0) }
    }

    /// Passes an item's id as JSON to `body`: an escaped string in quotes, or digits. Empty if the row is not an item.
    package func withIDJSON<Result, Failure: Error>(
        _ row: Int32,
        _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard contains(row), let range = ids.range(Int(row)) else {
            return try body(UnsafeBufferPointer(start: nil, count: 0))
        }
        if !escapedIDs.isEmpty, let escaped = escapedIDs[row] {
            return try escaped.withUnsafeBufferPointer { bytes throws(Failure) in try body(bytes) }
        }
        return try ids.bytes.withUnsafeBufferPointer { bytes throws(Failure) in
            try body(UnsafeBufferPointer(rebasing: bytes[range]))
        }
    }

    /// An item's id for people and tables, without quotes. Empty if the row is not an item.
    package func idDescription(_ row: Int32) -> String {
        guard contains(row), let range = ids.range(Int(row)) else { return "" }
        let text = idsAreIntegers ? range : range.lowerBound + 1..<range.upperBound - 1
        return String(decoding: ids.bytes[text], as: UTF8.self)
    }

    /// The tokens of an item's path; empty if it has none or the row is not an item.
    package func path(_ row: Int32) -> ArraySlice<Int32> {
        contains(row) ? tokens[(Int(row) - 1) * levels..<Int(row) * levels] : []
    }

    /// An item's title; nil if it has none or the row is not an item.
    package func title(_ row: Int32) -> String? {
        guard contains(row), let range = titles.range(Int(row)) else { return nil }
        return String(decoding: titles.bytes[range], as: UTF8.self)
    }

    /// An item's popularity; 0 if it has none or the row is not an item.
    package func popularity(_ row: Int32) -> Double {
        guard contains(row), hasPopularity else { return 0 }
        return popularities[Int(row)]
    }

    // MARK: - Tags

    /// Number of distinct tags.
    package var tagCount: Int { tagNames.count }

    /// The number of a tag, 0 ..< `tagCount`; nil if no item has it.
    package func tag(utf8: UnsafeBufferPointer<UInt8>) -> Int32? {
        let number = tagsByName.find(KeyedHash.shared.of(utf8)) { tagNameBytes.holds(utf8, at: Int($0) - 1) }
        return number.map { $0 - 1 }
    }

    /// The number of a tag; nil if no item has it.
    package func tag(of name: String) -> Int32? {
        var name = name
        return name.withUTF8 { tag(utf8: $0) }
    }

    /// The rows of the items with a tag, ascending. `tag` is a number from `tag(utf8:)`.
    package func rows(withTag tag: Int32) -> ArraySlice<Int32> {
        taggedRows[tagStarts[Int(tag)]..<tagStarts[Int(tag) + 1]]
    }

    /// The numbers of an item's tags, ascending; none if the row is not an item.
    package func tags(_ row: Int32) -> ArraySlice<Int32> {
        guard contains(row), !rowTags.isEmpty else { return [] }
        return rowTags[Int(rowTagStarts[Int(row)])..<Int(rowTagStarts[Int(row) + 1])]
    }
}
