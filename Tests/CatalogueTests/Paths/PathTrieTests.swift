// The trie of token paths and its filter against a plain reading of the paths.

import Random
import Testing

@testable import Catalogue

/// Paths by item, item 1 first.
struct PathCatalogue {
    var levels: Int
    var paths: [[Int32]]

    var trie: PathTrie { PathTrie(tokens: paths.flatMap { $0 }, levels: levels) }

    /// Items sorted by path, then by number.
    var sorted: [Int32] {
        (1...Int32(paths.count)).sorted { left, right in
            let (a, b) = (paths[Int(left) - 1], paths[Int(right) - 1])
            return a == b ? left < right : a.lexicographicallyPrecedes(b)
        }
    }

    static func random(
        _ generator: inout SplitMix64,
        items: ClosedRange<Int> = 1...60,
        levels: ClosedRange<Int> = 2...8
    ) -> PathCatalogue {
        let levels = Int.random(in: levels, using: &generator)
        // Few codes cause shared prefixes and shared paths; large ones cause tokens of four bytes.
        let codes = (0..<levels).map { _ in Int32.random(in: 1...6, using: &generator) }
        let bases = (0..<levels).map { _ in Int32.random(in: 0...2_000_000_000, using: &generator) }
        let step = Int32.random(in: 1...30_000, using: &generator)
        let paths = (0..<Int.random(in: items, using: &generator)).map { _ in
            (0..<levels).map { bases[$0] / 2 + step * Int32.random(in: 0..<codes[$0], using: &generator) }
        }
        return PathCatalogue(levels: levels, paths: paths)
    }
}

@Suite struct PathTrieTests {
    @Test(arguments: 0..<200)
    func trie_IsThatOfThePaths(seed: Int) {
        var generator = SplitMix64(seed: UInt64(seed))
        let catalogue = PathCatalogue.random(&generator)
        let trie = catalogue.trie
        #expect(trie.levels == catalogue.levels)
        #expect((0..<trie.itemCount).map { trie.item(at: $0) } == catalogue.sorted)
        for (index, path) in catalogue.paths.enumerated() {
            let item = Int32(index + 1)
            #expect(trie.path(of: item) == path)
            #expect(trie.item(at: trie.position(of: item)) == item)
        }
        #expect(trie.pathCount == Set(catalogue.paths).count)
        let sizes = Dictionary(grouping: catalogue.paths) { $0 }.mapValues(\.count)
        #expect(trie.largestPath == sizes.values.max())
        for level in 0..<trie.levels {
            let prefixes = Set(catalogue.paths.map { Array($0[...level]) }).sorted { $0.lexicographicallyPrecedes($1) }
            #expect(trie.count(level: level) == prefixes.count)
            for (node, prefix) in prefixes.enumerated() {
                #expect(trie.token(level: level, node: node) == prefix.last)
                let below = catalogue.sorted.enumerated().filter {
                    catalogue.paths[Int($0.element) - 1].starts(with: prefix)
                }
                #expect(trie.positions(level: level, node: node) == below[0].offset..<below[0].offset + below.count)
            }
        }
    }

    @Test func wideLevels_AreSortedByMoreThanOneWord() {
        let far: [Int32] = [0, .max]
        let paths = (0..<64).map { number in (0..<6).map { far[number >> $0 & 1] } }
        let catalogue = PathCatalogue(levels: 6, paths: paths)
        #expect((0..<64).map { catalogue.trie.item(at: $0) } == catalogue.sorted)
        #expect(catalogue.trie.path(of: 38) == paths[37])
    }

    @Test func nodesOfOneChild_TakeNoPointers() {
        let distinct = PathCatalogue(levels: 2, paths: (0..<100).map { [$0, $0] }).trie
        // Two bytes per token; four each for an item's position and a position's item.
        #expect(distinct.byteCount == 100 * (2 * 2 + 4 * 2))
    }

    @Test(arguments: 0..<200)
    func filter_KeepsTheNodesAboveEligibleItems(seed: Int) {
        var generator = SplitMix64(seed: UInt64(1000 + seed))
        // Long enough that lists become bitmaps, and short enough that they do not.
        let catalogue = PathCatalogue.random(&generator, items: seed < 100 ? 1...60 : 300...600, levels: 2...4)
        let trie = catalogue.trie
        let items = Array(1...Int32(catalogue.paths.count))
        func some(_ share: Int) -> [Int32] {
            items.filter { _ in Int.random(in: 0..<100, using: &generator) < share }.shuffled(using: &generator)
        }
        let allowed = Bool.random(using: &generator) ? some([2, 30, 90].randomElement(using: &generator) ?? 0) : nil
        let excluded = some([0, 3, 60, 100].randomElement(using: &generator) ?? 0)
        func set(_ items: [Int32]) -> [UInt64] {
            var set = [UInt64](repeating: 0, count: (trie.itemCount + 63) / 64)
            for item in items { set.insert(Int32(trie.position(of: item))) }
            return set
        }
        // Tags arrive as sets of positions.
        let allowedTags = Bool.random(using: &generator) ? [some(20)] : []
        let excludedTags = Bool.random(using: &generator) ? [some(20), some(5)] : []
        let filter = PathFilter(
            allowed: allowed,
            allowedSets: allowedTags.map(set),
            excluded: excluded + excluded.prefix(2),
            excludedSets: excludedTags.map(set),
            in: trie
        )
        let eligible = Set(allowed.map { $0 + allowedTags.joined() } ?? items)
            .subtracting(excluded + excludedTags.joined())
        #expect(filter.count(in: trie) == eligible.count)
        for item in items { #expect(filter.contains(trie.position(of: item)) == eligible.contains(item)) }
        for level in 0..<trie.levels {
            var alive: [Int32] = []
            filter.appendAlive(0..<trie.count(level: level), level: level, of: trie, to: &alive)
            let expected = (0..<trie.count(level: level)).filter { node in
                trie.positions(level: level, node: node).contains { eligible.contains(trie.item(at: $0)) }
            }
            #expect(alive.map(Int.init) == expected)
        }
    }
}
