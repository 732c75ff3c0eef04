// The limit per tag, and the reasons for fewer items than requested, against a plain reference: sort everything, apply
// the rules.

import Catalogue
import Compute
import Engine
import Files
import Foundation
import Random
import TestSupport
import Testing

@Suite struct DiversityTests {
    private static let names = ["genre:a", "genre:b", "genre:c", "new", "old"]

    /// A catalogue of up to 40 items, in which some rows are not items.
    private static func anyCatalogue(_ random: inout SplitMix64) throws -> CatalogueSnapshot {
        let rows = 2 + random.below(40)
        var lines = ""
        for row in 1...rows where row == 1 || random.below(5) > 0 {
            let tags = names.filter { _ in random.below(3) == 0 }.map { "\"\($0)\"" }.joined(separator: ",")
            lines += "{\"index\":\(row),\"id\":\(row),\"tags\":[\(tags)],\"popularity\":\(random.below(6))}\n"
        }
        let folder = try TemporaryDirectory(inMemory: true)
        let path = try folder.write("catalogue.jsonl", lines.utf8)
        let items = try Catalogue.load(path: path, rowCount: rows + 1)
        guard random.below(2) == 0 else { return CatalogueSnapshot(items) }
        var available = items.presentMask
        for row in 1...rows where random.below(4) == 0 { available[row >> 6] &= ~(1 << UInt64(row & 63)) }
        return CatalogueSnapshot(items, revision: 1, available: available)
    }

    private static func anyRows(_ catalogue: CatalogueSnapshot, _ random: inout SplitMix64) -> [Int32] {
        let all = (1..<Int32(catalogue.items.rowCount)).filter { catalogue.items.contains($0) }
        return (0..<random.below(8)).map { _ in all[random.below(all.count)] }
    }

    private static func anyRequest(_ catalogue: CatalogueSnapshot, _ random: inout SplitMix64) -> RecommendationRequest
    {
        func tags() -> [Int32] { names.filter { _ in random.below(4) == 0 }.compactMap { catalogue.tag(of: $0) } }
        var eligibility = Eligibility()
        eligibility.excludesSeen = random.below(3) > 0
        if random.below(2) == 0 { eligibility.excludedRows = anyRows(catalogue, &random) }
        if random.below(3) == 0 { eligibility.excludedTags = tags() }
        if random.below(3) == 0 { eligibility.allowance = .init(rows: anyRows(catalogue, &random), tags: tags()) }
        if random.below(4) > 0 {
            let prefix = [nil, "genre:", "n", "nothing"][random.below(4)]
            eligibility.diversity = Diversity(maxPerTag: 1 + random.below(3), prefix: prefix)
        }
        return RecommendationRequest(
            history: anyRows(catalogue, &random),
            timestamps: nil,
            requestTime: 0,
            count: 1 + random.below(45),
            eligibility: eligibility,
            arrival: .now()
        )
    }

    /// The reason for keeping or removing each item of a ranking.
    private struct Reference {
        var items: [Int32] = []
        var removals = Removals()

        init(_ ranking: [Int32], _ request: RecommendationRequest, _ catalogue: CatalogueSnapshot) {
            let rules = request.eligibility
            var had: [String: Int] = [:]
            for row in ranking {
                let tags = Set(catalogue.tags(row))
                if rules.excludesSeen && request.history.contains(row) {
                    removals.seen += 1
                } else if rules.excludedRows.contains(row) || !tags.isDisjoint(with: rules.excludedTags) {
                    removals.excluded += 1
                } else if let allowed = rules.allowance, !allowed.rows.contains(row),
                    tags.isDisjoint(with: allowed.tags)
                {
                    removals.notAllowed += 1
                } else if !catalogue.isAvailable(row) {
                    removals.unavailable += 1
                } else {
                    let names = tags.map { catalogue.tagName($0) }.filter { name in
                        rules.diversity.map { name.hasPrefix($0.prefix ?? "") } ?? false
                    }
                    if let bound = rules.diversity?.maxPerTag, names.contains(where: { had[$0, default: 0] >= bound }) {
                        removals.maxPerTag += 1
                    } else {
                        for name in names { had[name, default: 0] += 1 }
                        items.append(row)
                    }
                }
            }
            removals.eligible = items.count
        }
    }

    private static func ranking(_ catalogue: CatalogueSnapshot, _ score: (Int32) -> Float) -> [Int32] {
        (1..<Int32(catalogue.items.rowCount)).filter { catalogue.items.contains($0) }.sorted {
            score($0) != score($1) ? score($0) > score($1) : $0 < $1
        }
    }

    @Test(arguments: 1...300 as ClosedRange<UInt64>)
    func bestItems_EqualTheReference(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let catalogue = try Self.anyCatalogue(&random)
        let request = Self.anyRequest(catalogue, &random)
        let scores = (0..<catalogue.items.rowCount).map { _ in Float(random.below(12)) }
        let ranking = Self.ranking(catalogue) { scores[Int($0)] }
        let reference = Reference(ranking, request, catalogue)
        var strategy = request.strategy(catalogue)
        var passes = 0
        while true {
            passes += 1
            guard case .best(let count, let eligibility, let history, _) = strategy.question else { break }
            let mask = eligibility.mask(history: history, catalogue: catalogue)
            let answer = ranking.lazy.filter { row in
                !mask.excluded.contains(row)
                    && mask.allowed.map { $0[Int(row) >> 6] >> UInt64(row & 63) & 1 == 1 } ?? true
            }.prefix(min(count, catalogue.items.count))
            let progress = strategy.take(.rows(Array(answer.map { ScoredRow(row: $0, score: scores[Int($0)]) })))
            guard progress == .asksAgain else {
                #expect(progress == .done)
                break
            }
        }
        #expect(passes <= 1 + request.count)
        #expect(strategy.items.map(\.row) == Array(reference.items.prefix(request.count)))
        #expect(strategy.isExhausted == (reference.items.count < request.count))
        if strategy.isExhausted {
            let found = strategy.items.map(\.row)
            let removals = request.eligibility.removals(history: request.history, found: found, catalogue)
            #expect(removals == reference.removals)
        }
    }

    @Test(arguments: 1...200 as ClosedRange<UInt64>)
    func popularItems_EqualTheReference(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let catalogue = try Self.anyCatalogue(&random)
        let request = Self.anyRequest(catalogue, &random)
        let ranking = Self.ranking(catalogue) { Float(catalogue.popularity($0)) }
        let reference = Reference(ranking, request, catalogue)
        let found = catalogue.mostPopular(request.count, request.eligibility, history: request.history).map(\.row)
        #expect(found == Array(reference.items.prefix(request.count)))
    }

    /// Item by item: each is the best that the tags of the earlier items allow.
    @Test(arguments: 1...100 as ClosedRange<UInt64>)
    func sequence_KeepsTheBound(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let catalogue = try Self.anyCatalogue(&random)
        var request = Self.anyRequest(catalogue, &random)
        request.mode = .sequence(nil)
        request.eligibility.excludesSeen = true
        let scores = (0..<catalogue.items.rowCount).map { _ in Float(random.below(12)) }
        let ranking = Self.ranking(catalogue) { scores[Int($0)] }
        var strategy = request.strategy(catalogue)
        while true {
            guard case .best(1, let eligibility, let history, _) = strategy.question else { break }
            let mask = eligibility.mask(history: history, catalogue: catalogue)
            let best = ranking.first { row in
                !mask.excluded.contains(row)
                    && mask.allowed.map { $0[Int(row) >> 6] >> UInt64(row & 63) & 1 == 1 } ?? true
            }
            guard case .goesOn = strategy.take(.rows(best.map { [ScoredRow(row: $0, score: 1)] } ?? [])) else { break }
        }
        // The scores are constant, so the sequence equals the list of the best.
        let reference = Reference(ranking, request, catalogue)
        #expect(strategy.items.map(\.row) == Array(reference.items.prefix(request.count)))
        #expect(strategy.isExhausted == (reference.items.count < request.count))
    }
}
