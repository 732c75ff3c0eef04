// Beam search against exhaustive scoring of all paths, over synthetic models.

import Random
import Testing

@testable import Catalogue

/// Log-probabilities that are a function of the path so far.
private struct MadeUpModel {
    let seed: UInt64
    /// The number of different values; small numbers cause ties.
    let values: UInt64

    func logProbability(of token: Int32, after path: [Int32]) -> Float {
        var generator = SplitMix64(seed: (path + [token]).reduce(seed) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 })
        return -Float(1 + generator.next() % values) / 64
    }

    /// The score of a path with its tail, summed in its order.
    func score(_ path: [Int32]) -> Float {
        var sum: Float = 0
        for (place, token) in path.enumerated() { sum += logProbability(of: token, after: Array(path[..<place])) }
        return sum
    }
}

private struct Run {
    var catalogue: PathCatalogue
    var trie: PathTrie
    var model: MadeUpModel
    var allowed: [Int32]?
    var excluded: [Int32]
    var tail: [Int32]

    init(seed: Int, values: UInt64 = 1 << 40) {
        var generator = SplitMix64(seed: UInt64(seed))
        catalogue = PathCatalogue.random(&generator, items: 1...80, levels: 2...5)
        trie = catalogue.trie
        model = MadeUpModel(seed: UInt64(seed), values: values)
        let items = Array(1...Int32(catalogue.paths.count))
        func some(_ share: Int) -> [Int32] {
            items.filter { _ in Int.random(in: 0..<100, using: &generator) < share }
        }
        allowed = Bool.random(using: &generator) ? some([5, 40].randomElement(using: &generator) ?? 0) : nil
        excluded = some([0, 10, 70].randomElement(using: &generator) ?? 0)
        tail = [[], [7], [7, 9]].randomElement(using: &generator) ?? []
    }

    var eligible: [Int32] {
        let allowed = Set(allowed ?? Array(1...Int32(catalogue.paths.count)))
        return allowed.subtracting(excluded).sorted()
    }

    /// All eligible items, best first: ties by path, then by number.
    var bruteForce: [BeamSearch.Found] {
        eligible.map { item in
            let path = catalogue.paths[Int(item) - 1]
            let leaf = trie.node(level: trie.levels - 1, above: trie.position(of: item), among: 0..<trie.pathCount)
            return BeamSearch.Found(item: item, score: model.score(path + tail), leaf: Int32(leaf))
        }.sorted { ($1.score, $0.leaf, $0.item) < ($0.score, $1.leaf, $1.item) }
    }

    func search(_ widths: [Int]) -> BeamSearch {
        var search = BeamSearch(
            trie: trie,
            filter: PathFilter(allowed: allowed, excluded: excluded, in: trie),
            widths: widths,
            tail: tail
        )
        // For each round, the path that each beam's row ends, to check `ancestorRows`.
        var rows: [[Int32]] = []
        while !search.isFinished {
            let candidates = search.candidates()
            let depth = max(search.round - 1, 0)
            let ancestors = search.ancestorRows
            #expect(ancestors.count == depth * search.beams.count)
            let paths = search.beams.indices.map { beam in
                ancestors[beam * depth..<(beam + 1) * depth].map { rows[Int($0)].last ?? -1 }
                    + [search.beams[beam].token]
            }
            rows += paths
            let prefixes = search.round == 0 ? [[]] : paths
            var values: [Float] = []
            for (beam, prefix) in prefixes.enumerated() {
                for place in candidates.offsets[beam]..<candidates.offsets[beam + 1] {
                    values.append(model.logProbability(of: candidates.tokens[place], after: prefix))
                }
            }
            search.advance(candidates, logProbabilities: values)
        }
        #expect(rows.count <= BeamSearch.mostRows(widths: widths, tail: tail.count))
        return search
    }
}

@Suite struct BeamSearchTests {
    @Test(arguments: 0..<300)
    func asManyBeamsAsPaths_FindWhatBruteForceFinds(seed: Int) {
        // A third of the models have ties.
        let run = Run(seed: seed, values: seed % 3 == 0 ? 3 : 1 << 40)
        let search = run.search([Int](repeating: run.trie.pathCount, count: run.trie.levels))
        let expected = run.bruteForce
        #expect(search.items(expected.count + 1) == expected)
        let few = search.items(3)
        #expect(few == Array(expected.prefix(3)))
        #expect(search.isExact(few, count: 3))
    }

    @Test(arguments: 0..<1000)
    func fewBeams_FindEligibleItemsAlone_AsManyAsAsked(seed: Int) {
        let run = Run(seed: 10_000 + seed, values: seed % 3 == 0 ? 3 : 1 << 40)
        var generator = SplitMix64(seed: UInt64(seed))
        let count = Int.random(in: 1...12, using: &generator)
        let widths = (0..<run.trie.levels).map { _ in count + Int.random(in: 0...3, using: &generator) }
        let search = run.search(widths)
        let found = search.items(count)
        let eligible = Set(run.eligible)
        #expect(found.allSatisfy { eligible.contains($0.item) })
        #expect(Set(found.map(\.item)).count == found.count)
        #expect(found.count == min(count, eligible.count))
        for item in found {
            #expect(item.score == run.model.score(run.catalogue.paths[Int(item.item) - 1] + run.tail))
        }
        if search.isExact(found, count: count) {
            #expect(found.map(\.score) == run.bruteForce.prefix(count).map(\.score))
        }
    }

    @Test func widthOfOne_IsGreedyAndNotExact() {
        // The better first token has the worse path.
        let catalogue = PathCatalogue(levels: 2, paths: [[1, 3], [2, 4]])
        var search = BeamSearch(trie: catalogue.trie, filter: .everything, widths: [1, 1])
        search.advance(search.candidates(), logProbabilities: [-1, -2])
        let second = search.candidates()
        #expect(second.tokens == [3])
        search.advance(second, logProbabilities: [-5])
        let found = search.items(1)
        #expect(found == [BeamSearch.Found(item: 1, score: -6, leaf: 0)])
        #expect(!search.isExact(found, count: 1))
    }

    @Test func itemsOfOnePath_HaveOneScoreAndTheOrderOfTheCatalogue() {
        let catalogue = PathCatalogue(levels: 2, paths: [[5, 5], [1, 1], [5, 5], [5, 5]])
        var search = BeamSearch(
            trie: catalogue.trie,
            filter: PathFilter(allowed: nil, excluded: [3], in: catalogue.trie),
            widths: [4, 4]
        )
        search.advance(search.candidates(), logProbabilities: [-3, -1])
        search.advance(search.candidates(), logProbabilities: [0, 0])
        #expect(search.items(4).map(\.item) == [1, 4, 2])
        #expect(search.items(4).map(\.score) == [-1, -1, -3])
        #expect(search.items(4, itemsPerPath: 1).map(\.item) == [1, 2])
    }

    @Test func nothingEligible_EndsTheSearch() {
        let catalogue = PathCatalogue(levels: 2, paths: [[5, 5], [1, 1]])
        let filter = PathFilter(allowed: [], excluded: [], in: catalogue.trie)
        var search = BeamSearch(trie: catalogue.trie, filter: filter, widths: [2, 2])
        #expect(search.candidates().tokens.isEmpty)
        search.advance(search.candidates(), logProbabilities: [])
        #expect(search.isFinished)
        #expect(search.items(2).isEmpty)
    }

    @Test func whatIsNotANumber_IsLeftOut() {
        let catalogue = PathCatalogue(levels: 2, paths: [[1, 1], [2, 2]])
        var search = BeamSearch(trie: catalogue.trie, filter: .everything, widths: [2, 2])
        search.advance(search.candidates(), logProbabilities: [.nan, -1])
        search.advance(search.candidates(), logProbabilities: [-1])
        #expect(search.items(2).map(\.item) == [2])
    }
}
