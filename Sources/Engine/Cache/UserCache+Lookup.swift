// Finds the cached rows that serve a history: candidates by user or by hash, each of which is compared before it
// counts.

extension UserCache {
    /// An entry, and the number of its rows that a history shares.
    struct Found {
        var id: UInt64
        var rows: Int
        /// Whether the request may take the entry itself; otherwise it may share its full pages.
        var takesOver: Bool
    }

    /// Without a user's name, an entry is found up to its last row if the history grew by fewer than this many events,
    /// and by its full pages otherwise.
    private static let newestLengths = 64

    /// How many rows a request would find in the cache if it ran now.
    package func reusableRows(_ history: UsedHistory, owner: String?, hashes: PrefixHashes?) -> Int {
        guard let found = find(history, owner: owner, hashes: hashes) else { return 0 }
        return found.takesOver ? found.rows : found.rows / pageRows * pageRows
    }

    /// The entry that saves the most rows; nil if none saves any.
    func find(_ history: UsedHistory, owner: String?, hashes: PrefixHashes?) -> Found? {
        guard history.count > 0 else { return nil }
        if let owner {
            return (users[owner] ?? []).lazy.compactMap { share(of: $0, history) }.max { $0.rows < $1.rows }
        }
        guard let hashes else { return nil }
        var length = history.count
        while length > 0 {
            if let id = index[hashes[length]], let found = share(of: id, history) { return found }
            let isNear = history.count - length < Self.newestLengths
            length = isNear ? length - 1 : (length - 1) / pageRows * pageRows
        }
        return nil
    }

    /// Compares a history with an entry and returns what they share; nil if no row can be reused.
    ///
    /// The newest row is always computed, because it is the query.
    private func share(of id: UInt64, _ history: UsedHistory) -> Found? {
        guard let entry = entries[id], entry.keeps else { return nil }
        let rows = history.commonRows(
            with: entry.history,
            limit: min(entry.rows, history.count - 1),
            dependsOnNextTime: dependsOnNextTime
        )
        // A caller not known to be the same user must not discard more than the newest row.
        let takesOver = !entry.isLeased && (entry.owner != nil || rows >= entry.rows - 1)
        guard takesOver ? rows > 0 : rows >= pageRows else { return nil }
        return Found(id: id, rows: rows, takesOver: takesOver)
    }

    /// Idle entries that an entry with this many rows replaces: the user's, or those of the same history.
    func rivals(of id: UInt64, _ entry: Entry, rows: Int) -> [UInt64] {
        if let owner = entry.owner {
            return (users[owner] ?? []).filter { $0 != id && entries[$0]?.isLeased == false }
        }
        guard let hashes = entry.hashes, let other = index[hashes[rows]], other != id, let found = entries[other],
            !found.isLeased, found.rows == rows,
            found.history.commonRows(with: entry.history, limit: rows, dependsOnNextTime: false) == rows
        else { return [] }
        return [other]
    }
}
