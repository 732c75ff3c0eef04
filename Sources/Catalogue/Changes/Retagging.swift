// Replaced tags in a few arrays: a million retagged rows must not cost a million dictionary entries.

/// The tags of the rows whose tags were replaced. A pure value.
struct Retagging: Sendable {
    /// One bit per row, set if its tags were replaced.
    private var mask: [UInt64]
    /// The number of bits set before each word of `mask`.
    private var ranks: [Int32] = []
    /// Tags of the r-th retagged row: `tagsByRow[starts[r] ..< starts[r + 1]]`, in the given order.
    private var starts: [Int32] = [0]
    private var tagsByRow: [Int32] = []
    /// Rows of tag t: `rowsByTag[tagStarts[t] ..< tagStarts[t + 1]]`, ascending.
    private var tagStarts: [Int32] = []
    private var rowsByTag: [Int32] = []
    /// Tags that no item of the bundle has, numbered after the bundle's.
    private var names = TextColumn(rows: 0)
    /// Indices into `names`, plus 1.
    private var placesByName = RowTable()

    /// The state after changes; nil: all rows have the bundle's tags.
    ///
    /// - Parameters:
    ///   - rows: the rows whose tags may have changed, each once.
    ///   - states: all states, by number.
    ///   - removed: rows that are no longer items.
    ///   - words: words of a mask of all rows.
    init?(
        after before: Retagging?,
        _ items: Catalogue,
        _ rows: [CatalogueSnapshot.ChangedRow],
        of states: [ItemState],
        removed: [Int32],
        words: Int
    ) {
        if let before { (names, placesByName) = (before.names, before.placesByName) }
        mask = (before?.mask ?? []).grown(to: words)
        for row in removed { mask.remove(row) }
        // In order of state numbers, which is the order of the tags in memory.
        var changed: [(row: Int32, tags: Range<Int>)] = []
        var newTags: [Int32] = []
        for (row, number) in rows {
            guard states[number].hasTags, let tags = states[number].tags else {
                mask.remove(row)
                continue
            }
            mask.insert(row)
            let start = newTags.count
            for tag in tags {
                let tag = self.number(of: tag, items)
                if !newTags[start...].contains(tag) { newTags.append(tag) }
            }
            changed.append((row, start..<newTags.count))
        }
        changed.sort { $0.row < $1.row }
        var next = 0
        ranks.reserveCapacity(words)
        for (index, word) in mask.enumerated() {
            ranks.append(Int32(starts.count - 1))
            var word = word
            while word != 0 {
                let row = Int32(index * 64 + word.trailingZeroBitCount)
                word &= word - 1
                if next < changed.count, changed[next].row == row {
                    tagsByRow += newTags[changed[next].tags]
                    next += 1
                } else if let tags = before?.tags(row) {
                    tagsByRow += tags
                }
                starts.append(Int32(tagsByRow.count))
            }
        }
        guard starts.count > 1 else { return nil }
        groupByTag(items.tagCount + placesByName.count)
    }

    /// The number of a tag, assigned if it is new.
    private mutating func number(of tag: String, _ items: Catalogue) -> Int32 {
        var tag = tag
        return tag.withUTF8 { utf8 in
            items.tag(utf8: utf8) ?? Int32(items.tagCount) + (place(of: utf8) ?? addName(utf8))
        }
    }

    /// The index in `names` of a tag that the bundle does not have; nil: it is not there yet.
    private func place(of tag: UnsafeBufferPointer<UInt8>) -> Int32? {
        placesByName.find(KeyedHash.shared.of(tag)) { names.holds(tag, at: Int($0) - 1) }.map { $0 - 1 }
    }

    private mutating func addName(_ tag: UnsafeBufferPointer<UInt8>) -> Int32 {
        names.append(tag)
        placesByName.insert(KeyedHash.shared.of(tag), Int32(placesByName.count + 1))
        return Int32(placesByName.count - 1)
    }

    private mutating func groupByTag(_ tagCount: Int) {
        tagStarts = Array(repeating: 0, count: tagCount + 1)
        for tag in tagsByRow { tagStarts[Int(tag) + 1] += 1 }
        for tag in 0..<tagCount { tagStarts[tag + 1] += tagStarts[tag] }
        var next = tagStarts
        rowsByTag = Array(repeating: 0, count: tagsByRow.count)
        var rank = 0
        for (index, word) in mask.enumerated() {
            var word = word
            while word != 0 {
                for tag in tagsByRow[Int(starts[rank])..<Int(starts[rank + 1])] {
                    rowsByTag[Int(next[Int(tag)])] = Int32(index * 64 + word.trailingZeroBitCount)
                    next[Int(tag)] += 1
                }
                rank += 1
                word &= word - 1
            }
        }
    }

    /// Whether the row's tags were replaced.
    func has(_ row: Int32) -> Bool { Int(row) >> 6 < mask.count && mask.has(row) }

    /// The tags of a row; nil: they were not replaced.
    func tags(_ row: Int32) -> ArraySlice<Int32>? {
        guard has(row) else { return nil }
        let word = Int(row) >> 6
        let rank = Int(ranks[word]) + (mask[word] & (1 << UInt64(row & 63) - 1)).nonzeroBitCount
        return tagsByRow[Int(starts[rank])..<Int(starts[rank + 1])]
    }

    /// The retagged rows that have a tag, ascending.
    func rows(withTag tag: Int32) -> ArraySlice<Int32> {
        guard Int(tag) + 1 < tagStarts.count else { return [] }
        return rowsByTag[Int(tagStarts[Int(tag)])..<Int(tagStarts[Int(tag) + 1])]
    }

    /// The number of a tag that the bundle does not have; nil: no item has ever had it.
    func tag(of utf8: UnsafeBufferPointer<UInt8>, _ items: Catalogue) -> Int32? {
        place(of: utf8).map { Int32(items.tagCount) + $0 }
    }

    /// The name of a tag that the bundle does not have.
    func tagName(_ tag: Int32, _ items: Catalogue) -> String {
        names.range(Int(tag) - items.tagCount).map { String(decoding: names.bytes[$0], as: UTF8.self) } ?? ""
    }
}
