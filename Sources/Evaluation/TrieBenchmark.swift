// The trie of a synthetic catalogue, for `bench`: the cost of building and storing it, and what it and the choice of
// beams add to a round. Uses no model.

internal import Catalogue
internal import Compute
internal import Engine
internal import Foundation
internal import Random

/// Timings of the trie of a synthetic catalogue.
package struct TrieReport: Sendable {
    package var items: Int
    package var levels: Int
    package var codes: Int
    package var beams: Int
    package var paths: Int
    package var buildSeconds: Double
    package var bytes: Int
    /// For each kind of filter, the time of each round of a search; the first one includes building the filter.
    package var searches: [(name: String, rounds: [Durations])]

    package var bytesOfAnItem: Double { Double(bytes) / Double(items) }

    /// One JSON object.
    package var json: String {
        let times = searches.map { search in
            "\"\(search.name)\":[\(search.rounds.map(\.json).joined(separator: ","))]"
        }
        return """
            {"items":\(items),"levels":\(levels),"codes":\(codes),"beams":\(beams),"paths":\(paths),\
            "build_seconds":\(buildSeconds),"trie_bytes":\(bytes),"bytes_per_item":\(bytesOfAnItem),\
            "round_milliseconds":{\(times.joined(separator: ","))}}
            """
    }

    /// One line per figure.
    package var table: String {
        var lines = [
            "\(items) items, \(levels) levels of \(codes) codes, \(paths) paths, \(beams) beams",
            String(format: "build             %.2f s on one core", buildSeconds),
            String(format: "memory            %d bytes, %.1f per item", bytes, bytesOfAnItem),
        ]
        for search in searches {
            for (round, durations) in search.rounds.enumerated() {
                let name = round == 0 ? search.name.padding(toLength: 12, withPad: " ", startingAt: 0) : "            "
                lines.append("\(name) round \(round + 1)  \(durations.text) ms")
            }
        }
        return lines.joined(separator: "\n")
    }
}

/// Builds a trie of uniformly random paths and searches it with random probabilities.
package enum TrieBenchmark {
    /// Searches per kind of filter.
    private static let searches = 40
    /// Items in a short list.
    private static let listed = 1_000

    /// - Parameters:
    ///   - items: at least 1.
    ///   - levels: within `PathTrie.Limit.levels`.
    ///   - codes: codes per level, at least 1.
    ///   - beams: beams that a search keeps per round.
    package static func run(items: Int, levels: Int, codes: Int, beams: Int) -> TrieReport {
        var generator = SplitMix64(seed: 1)
        var tokens: [Int32] = []
        tokens.reserveCapacity(items * levels)
        for _ in 0..<items {
            for level in 0..<levels { tokens.append(Int32(level * codes + Int(generator.next() % UInt64(codes)))) }
        }
        let start = Instant.now()
        let trie = PathTrie(tokens: tokens, levels: levels)
        let built = Instant.now().nanoseconds(since: start)
        tokens = []
        func some(_ count: Int) -> [Int32] { (0..<count).map { _ in Int32(generator.next() % UInt64(items)) + 1 } }
        // A quarter of the catalogue, as for an excluded tag; its set is built once.
        var tagged = [UInt64](repeating: 0, count: (items + 63) / 64)
        for item in some(items / 4) {
            let position = trie.position(of: item)
            tagged[position >> 6] |= 1 << UInt64(position & 63)
        }
        let kinds: [(name: String, allowed: Int?, excluded: [Int32], sets: [[UInt64]])] = [
            ("no filter", nil, [], []), ("history", nil, some(200), []), ("allow 1000", min(items, listed), [], []),
            ("deny 1/4", nil, [], [tagged]),
        ]
        var report = TrieReport(
            items: items,
            levels: levels,
            codes: codes,
            beams: beams,
            paths: trie.pathCount,
            buildSeconds: Double(built) / 1e9,
            bytes: trie.byteCount,
            searches: []
        )
        for kind in kinds {
            var times = Array(repeating: [UInt64](), count: levels)
            for _ in 0..<searches {
                let allowed = kind.allowed.map(some)
                var moment = Instant.now()
                let filter = PathFilter(
                    allowed: allowed,
                    excluded: kind.excluded,
                    excludedSets: kind.sets,
                    in: trie
                )
                var search = BeamSearch(
                    trie: trie,
                    filter: filter,
                    widths: Array(repeating: beams, count: levels)
                )
                var asking: UInt64 = 0
                while !search.isFinished {
                    let candidates = search.candidates()
                    asking += Instant.now().nanoseconds(since: moment)
                    let probabilities = candidates.tokens.map { _ in
                        -20 * Float(generator.next() >> 40) / Float(1 << 24)
                    }
                    moment = .now()
                    search.advance(candidates, logProbabilities: probabilities)
                    times[search.round - 1].append(asking + Instant.now().nanoseconds(since: moment))
                    asking = 0
                    moment = .now()
                }
            }
            report.searches.append((kind.name, times.filter { !$0.isEmpty }.map(Durations.init)))
        }
        return report
    }
}
