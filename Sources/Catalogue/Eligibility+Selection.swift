// Turns a request's rules into the mask that a device selects with, and selects by popularity for requests without a
// history.

package import Compute

extension Eligibility {
    /// The mask of a catalogue scan.
    ///
    /// A bitmap of the whole catalogue is built only for tags or an allowance; otherwise the list of excluded rows
    /// suffices, which costs no more than the length of the history.
    package func mask(history: [Int32], catalogue: CatalogueSnapshot) -> SelectionMask {
        var mask = SelectionMask()
        var excluded = excludedRows
        if excludesSeen { excluded += history }
        mask.excluded = excluded.ascendingRows()

        guard allowance != nil || !excludedTags.isEmpty else {
            mask.allowed = catalogue.available
            return mask
        }
        var words: [UInt64]
        if let allowance {
            words = Array(repeating: 0, count: catalogue.presentMask.count)
            for row in allowance.rows { words.insert(row) }
            for tag in allowance.tags {
                catalogue.forEachRow(withTag: tag) { words.insert($0) }
            }
            if let available = catalogue.available {
                for index in words.indices { words[index] &= available[index] }
            }
        } else {
            words = catalogue.available ?? catalogue.presentMask
        }
        for tag in excludedTags {
            catalogue.forEachRow(withTag: tag) { words.remove($0) }
        }
        mask.allowed = words
        return mask
    }

    /// Whether finding the most popular eligible items takes few steps and needs no thread of its own: true unless
    /// tags, an allowance or a diversity limit can make the walk as long as the catalogue.
    package var isCheap: Bool { allowance == nil && excludedTags.isEmpty && diversity == nil }
}

extension CatalogueSnapshot {
    /// The `count` most popular eligible items, ties toward the smaller row; fewer if fewer are eligible.
    package func mostPopular(_ count: Int, _ eligibility: Eligibility, history: [Int32] = []) -> [ScoredRow] {
        let mask = eligibility.mask(history: history, catalogue: self)
        var items: [ScoredRow] = []
        items.reserveCapacity(min(count, self.count))
        var quota = eligibility.diversity.map { TagQuota($0, self) }
        for row in popularityOrder {
            if items.count == count { break }
            if let allowed = mask.allowed, !allowed.has(row) { continue }
            if mask.excluded.containsSorted(row) { continue }
            guard quota?.takes(row) ?? true else { continue }
            items.append(ScoredRow(row: row, score: popularityScore(row)))
        }
        return items
    }
}

extension [Int32] {
    fileprivate func containsSorted(_ row: Int32) -> Bool {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < row { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low] == row
    }
}
