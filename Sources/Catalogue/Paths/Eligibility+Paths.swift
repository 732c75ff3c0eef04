// From what a request allows and excludes to the positions of a trie.

extension Eligibility {
    /// The filter of a request.
    ///
    /// - Parameters:
    ///   - history: rows that count as seen.
    ///   - catalogue: the one that has the trie.
    package func pathFilter(history: [Int32], catalogue: Catalogue, in trie: PathTrie) -> PathFilter {
        var excluded = excludedRows
        if excludesSeen { excluded += history }
        for tag in excludedTags { excluded += catalogue.rows(withTag: tag) }
        let allowed = allowance.map { allowance in
            allowance.rows + allowance.tags.flatMap { catalogue.rows(withTag: $0) }
        }
        return PathFilter(allowed: allowed, excluded: excluded, in: trie)
    }
}
