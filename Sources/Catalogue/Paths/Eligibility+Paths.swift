// Turns a request's rules into positions of a trie.

extension Eligibility {
    /// The filter of a request.
    ///
    /// - Parameters:
    ///   - history: rows that count as seen.
    ///   - catalogue: a snapshot of the trie's catalogue.
    ///   - sets: position sets of the trie.
    package func pathFilter(
        history: [Int32],
        catalogue: CatalogueSnapshot,
        in trie: PathTrie,
        _ sets: PositionSets
    ) -> PathFilter {
        var excluded = excludedRows
        var excludedSets: [[UInt64]] = []
        if let unavailable = sets.unavailable(catalogue, in: trie) {
            excludedSets.append(unavailable)
        } else {
            excluded += catalogue.unavailableRows
        }
        if excludesSeen { excluded += history }
        for tag in excludedTags {
            if let set = sets.tag(tag, catalogue, in: trie) {
                excludedSets.append(set)
            } else {
                catalogue.forEachRow(withTag: tag) { excluded.append($0) }
            }
        }
        var allowed = allowance?.rows
        var allowedSets: [[UInt64]] = []
        for tag in allowance?.tags ?? [] {
            if let set = sets.tag(tag, catalogue, in: trie) {
                allowedSets.append(set)
            } else {
                catalogue.forEachRow(withTag: tag) { allowed?.append($0) }
            }
        }
        return PathFilter(
            allowed: allowed,
            allowedSets: allowedSets,
            excluded: excluded,
            excludedSets: excludedSets,
            in: trie
        )
    }
}

extension CatalogueSnapshot {
    /// Items that may not be recommended, ascending.
    package var unavailableRows: [Int32] {
        guard let available else { return [] }
        var rows: [Int32] = []
        for (index, word) in items.presentMask.enumerated() {
            var missing = word & ~available[index]
            while missing != 0 {
                rows.append(Int32(index << 6 + missing.trailingZeroBitCount))
                missing &= missing - 1
            }
        }
        return rows
    }
}
