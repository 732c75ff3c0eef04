// Explains why a reply has fewer items than requested: the reason for each item of the catalogue.

/// The number of eligible items, and of excluded ones by reason. Each item counts once, under the first reason that
/// applies in the order of the members, so the sum is the whole catalogue.
package struct Removals: Sendable, Equatable {
    package var eligible = 0
    /// In the history.
    package var seen = 0
    package var excluded = 0
    package var notAllowed = 0
    package var unavailable = 0
    /// Skipped because one of their tags had reached its limit.
    package var maxPerTag = 0

    package init() {}
}

extension Eligibility {
    /// Counts the items of a catalogue by reason. Takes one pass over a bit per item.
    ///
    /// - Parameter found: the rows of a reply that had all eligible items.
    package func removals(history: [Int32], found: some Sequence<Int32>, _ catalogue: CatalogueSnapshot) -> Removals {
        var removals = Removals()
        var left = catalogue.presentMask
        var count = catalogue.count
        /// Updates `count` and returns the number of rows removed since the last call.
        func removed() -> Int {
            let rest = left.bitCount
            defer { count = rest }
            return count - rest
        }
        if excludesSeen {
            for row in history { left.remove(row) }
            removals.seen = removed()
        }
        for row in excludedRows { left.remove(row) }
        for tag in excludedTags { catalogue.forEachRow(withTag: tag) { left.remove($0) } }
        removals.excluded = removed()
        if let allowance {
            var allowed = [UInt64](repeating: 0, count: left.count)
            for row in allowance.rows { allowed.insert(row) }
            for tag in allowance.tags { catalogue.forEachRow(withTag: tag) { allowed.insert($0) } }
            for index in left.indices { left[index] &= allowed[index] }
            removals.notAllowed = removed()
        }
        if let available = catalogue.available {
            for index in left.indices { left[index] &= available[index] }
            removals.unavailable = removed()
        }
        removals.eligible = count
        if diversity != nil {
            removals.eligible = Set(found).count
            removals.maxPerTag = count - removals.eligible
        }
        return removals
    }
}
