// Position sets of a trie that many requests use: of tags, and of unavailable items. A tag may have a quarter of the
// catalogue, and looking up its rows one by one takes longer than a round of a search.

internal import Locking

/// Sets of positions, one bit each, built on first use. Belongs to one trie.
package final class PositionSets: Sendable {
    private struct State {
        /// The snapshot that the sets were built from.
        var catalogue: CatalogueSnapshot?
        var sets: [Key: [UInt64]] = [:]
    }

    private enum Key: Hashable {
        case tag(Int32)
        case unavailable
    }

    /// The most cached sets, each of one bit per item. The cache is cleared when it is full.
    private static let most = 64

    private let state = Lock(State())

    package init() {}

    /// The items with a tag; nil if there are so few that a list is shorter.
    func tag(_ tag: Int32, _ catalogue: CatalogueSnapshot, in trie: PathTrie) -> [UInt64]? {
        let own = Int(tag) < catalogue.items.tagCount ? catalogue.items.rows(withTag: tag).count : 0
        guard own > PathFilter.longestList(in: trie) else { return nil }
        return set(.tag(tag), catalogue, in: trie) { insert in catalogue.forEachRow(withTag: tag, insert) }
    }

    /// The items that may not be recommended; nil if there are few.
    func unavailable(_ catalogue: CatalogueSnapshot, in trie: PathTrie) -> [UInt64]? {
        guard catalogue.unavailableCount > PathFilter.longestList(in: trie) else { return nil }
        return set(.unavailable, catalogue, in: trie) { catalogue.unavailableRows.forEach($0) }
    }

    private func set(
        _ key: Key,
        _ catalogue: CatalogueSnapshot,
        in trie: PathTrie,
        _ forEachRow: (_ insert: (Int32) -> Void) -> Void
    ) -> [UInt64] {
        let known = state.withLock { state -> [UInt64]? in
            guard let of = state.catalogue, of.isSame(as: catalogue) else { return nil }
            return state.sets[key]
        }
        if let known { return known }
        // Outside the lock: building takes milliseconds, and building the same set twice is harmless.
        var set = [UInt64](repeating: 0, count: (trie.itemCount + 63) / 64)
        set.withUnsafeMutableBufferPointer { set in
            forEachRow { row in
                let position = trie.position(of: row)
                set[position >> 6] |= 1 << UInt64(position & 63)
            }
        }
        state.withLock { state in
            if state.sets.count == Self.most || !(state.catalogue?.isSame(as: catalogue) ?? false) { state.sets = [:] }
            state.catalogue = catalogue
            state.sets[key] = set
        }
        return set
    }
}
