// Semantic ids through the whole engine on the real device: the answers of constrained beam search in float64, and the
// same bits whatever the other requests, the cached rows and the number of threads.

import Catalogue
import Compute
import ComputeCPU
import Dispatch
import Engine
import Foundation
import Importers
import Locking
import Models
import Random
import Testing

/// An engine with one semantic-id model.
private final class PathEngine {
    let engine: Engine
    let model: LoadedModel
    private let observer = ReadyObserver()
    private let ended = DispatchSemaphore(value: 0)

    init(_ bundle: ModelBundle, threads: Int, cacheBytes: Int = 64 << 20, chunk: Int = 512) throws {
        var configuration = SchedulerConfiguration()
        configuration.prefillChunkEvents = chunk
        configuration.maxQueuedNanoseconds = 0
        engine = Engine(configuration, observer: observer)
        model = LoadedModel(bundle)
        try engine.start(
            DeviceSource(make: { try CPUDevice(threads: threads) }),
            [
                (
                    model,
                    ModelSource(cacheBytes: cacheBytes) { device in
                        ResidentModel(device: device, model: try ModelRegistry.makeModel(bundle, on: device))
                    }
                )
            ],
            ended: { [ended] in ended.signal() }
        )
        observer.changed.wait()
    }

    func stop() {
        engine.stop()
        ended.wait()
    }

    var pool: PrefixCacheDescription.Pool? {
        if case .exact(let pool) = engine.prefixCache(of: model.id) { pool } else { nil }
    }

    /// The answers to simultaneous requests.
    func answers(_ requests: [RecommendationRequest]) throws -> [Recommendation] {
        let replies = Lock<[Int: Result<Recommendation, EngineError>]>([:])
        let group = DispatchGroup()
        for (index, request) in requests.enumerated() {
            group.enter()
            do {
                _ = try engine.submit(request, to: model) { result in
                    replies.withLock { $0[index] = result }
                    group.leave()
                }
            } catch {
                // Dispatch never frees a group that has been entered.
                group.leave()
                throw error
            }
        }
        group.wait()
        return try requests.indices.map { index in try #require(replies.withLock { $0[index] }).get() }
    }

    func answer(_ request: RecommendationRequest) throws -> Recommendation { try answers([request])[0] }
}

@Suite struct PathServingTests {
    private static let runs = ProcessInfo.processInfo.environment["GENREC_PROPERTY_RUNS"].flatMap(Int.init) ?? 200

    private func rows(_ names: [String], _ fixture: TokenFixture) -> [Int32] {
        names.compactMap { name in fixture.items.firstIndex(of: name).map { Int32($0 + 1) } }
    }

    /// - Parameter givesPrompt: true: the caller's prompt; false: a prompt made from the history.
    private func request(
        _ example: TokenFixture.Case,
        _ fixture: TokenFixture,
        user: String? = nil,
        givesPrompt: Bool
    ) -> RecommendationRequest {
        var request = RecommendationRequest(
            userID: user,
            history: rows(example.history.items, fixture),
            timestamps: nil,
            requestTime: 0,
            count: example.k,
            arrival: .now()
        )
        request.eligibility.excludedRows = rows(example.exclude.items, fixture)
        request.eligibility.excludesSeen = example.exclude.seen
        request.paths.widths = [example.beams]
        if givesPrompt { request.paths.prompt = example.prompt_tokens }
        return request
    }

    private func expect(_ reply: Recommendation, _ example: TokenFixture.Case, _ fixture: TokenFixture, _ note: String)
    {
        #expect(reply.items.map { fixture.items[Int($0.row) - 1] } == example.top.map(\.item), "\(note)")
        for (item, answer) in zip(reply.items, example.top) {
            #expect(abs(Double(item.score) - answer.score) <= 1e-4 * max(1, abs(answer.score)), "\(note)")
        }
        #expect(reply.paths?.promptTokens == example.prompt_tokens.count, "\(note)")
    }

    private func bits(_ reply: Recommendation) -> [UInt64] {
        reply.items.map { UInt64(UInt32(bitPattern: $0.row)) << 32 | UInt64($0.score.bitPattern) }
    }

    @Test(arguments: TokenFixture.names)
    func findsWhatTransformersFinds_AloneInCompanyAndCached(name: String) throws {
        let fixture = try TokenFixture(name)
        try fixture.withPathBundle { bundle in
            let alone = try PathEngine(bundle, threads: 1)
            defer { alone.stop() }
            let requests = fixture.cases.enumerated().map { number, example in
                request(
                    example,
                    fixture,
                    user: "u\(number)",
                    givesPrompt: example.history.items.isEmpty || number % 2 == 0
                )
            }
            var expected: [[UInt64]] = []
            for (number, example) in fixture.cases.enumerated() {
                let reply = try alone.answer(requests[number])
                expect(reply, example, fixture, "case \(number)")
                #expect(reply.paths?.tokensCached == 0 && reply.paths?.isExact != nil)
                expected.append(bits(reply))
            }
            for (number, example) in fixture.cases.enumerated() where example.prompt_tokens.count > 1 {
                let reply = try alone.answer(requests[number])
                #expect(bits(reply) == expected[number])
                #expect(reply.paths?.tokensCached == example.prompt_tokens.count - 1)
            }
            // Many simultaneous requests, in small chunks, with room for only some of them, and without user names.
            let pageBytes = try #require(alone.pool).pageByteCount
            for (threads, pages) in [(1, 4096), (2, 48)] {
                let crowded = try PathEngine(bundle, threads: threads, cacheBytes: pages * pageBytes, chunk: 8)
                defer { crowded.stop() }
                let anonymous = fixture.cases.map { request($0, fixture, givesPrompt: true) }
                for _ in 0..<2 {
                    #expect(try crowded.answers(anonymous + requests).map(bits) == expected + expected)
                }
            }
        }
    }

    /// With as many beams as paths, the search ranks items by their scores, and ranking returns exactly these scores.
    @Test(arguments: TokenFixture.names)
    func everyItem_HasTheScoreThatItIsRankedBy(name: String) throws {
        let fixture = try TokenFixture(name)
        try fixture.withPathBundle { bundle in
            let engine = try PathEngine(bundle, threads: 2)
            defer { engine.stop() }
            let all = (1...Int32(fixture.items.count)).map { $0 }
            var request = request(fixture.cases[3], fixture, givesPrompt: false)
            request.eligibility = Eligibility()
            request.eligibility.excludesSeen = false
            request.count = all.count
            request.paths.widths = [all.count]
            let best = try engine.answer(request)
            #expect(best.items.count == all.count && best.paths?.isExact == true)
            request.mode = .rank(all)
            let ranked = try engine.answer(request).items
            #expect(ranked.map(\.row) == all)
            let paths = fixture.paths
            let sorted = ranked.sorted { left, right in
                if left.score != right.score { return left.score > right.score }
                let (first, second) = (paths[Int(left.row) - 1], paths[Int(right.row) - 1])
                return first == second ? left.row < right.row : first.lexicographicallyPrecedes(second)
            }
            #expect(sorted == best.items)
            // A subset has the same scores.
            let some = [Int32](arrayLiteral: 7, 3, 77)
            request.mode = .rank(some)
            #expect(try engine.answer(request).items == some.map { ranked[Int($0) - 1] })
        }
    }

    @Test(arguments: ["sid-qwen3", "sid-llama"])
    func randomFilters_GiveEligibleItemsAlone_AndAsManyAsThereAre(name: String) throws {
        let fixture = try TokenFixture(name)
        try fixture.withPathBundle { bundle in
            let engine = try PathEngine(bundle, threads: 2)
            defer { engine.stop() }
            var random = SplitMix64(seed: 17)
            let count = UInt64(fixture.items.count)
            func some(_ most: UInt64) -> [Int32] {
                (0..<random.below(most + 1)).map { _ in Int32(1 + random.below(count)) }
            }
            var done = 0
            while done < Self.runs {
                let requests = (0..<8).map { _ in
                    var request = RecommendationRequest(
                        history: some(6) + [Int32(1 + random.below(count))],
                        timestamps: nil,
                        requestTime: 0,
                        count: 1 + Int(random.below(20)),
                        arrival: .now()
                    )
                    request.eligibility.excludedRows = some(random.below(4) == 0 ? count * 3 : 10)
                    request.eligibility.excludesSeen = random.below(2) == 0
                    if random.below(2) == 0 {
                        request.eligibility.allowance = Eligibility.Allowance(rows: some(40), tags: [])
                    }
                    request.paths.widths = [request.count + Int(random.below(10))]
                    return request
                }
                for (request, reply) in zip(requests, try engine.answers(requests)) {
                    var eligible = Set(request.eligibility.allowance?.rows ?? (1...Int32(count)).map { $0 })
                    eligible.subtract(request.eligibility.excludedRows)
                    if request.eligibility.excludesSeen { eligible.subtract(request.history) }
                    let found = reply.items.map(\.row)
                    #expect(Set(found).isSubset(of: eligible) && Set(found).count == found.count)
                    #expect(found.count == min(request.count, eligible.count))
                    #expect(reply.exhausted == (eligible.count < request.count))
                    #expect(zip(reply.items, reply.items.dropFirst()).allSatisfy { $0.score >= $1.score })
                }
                done += requests.count
            }
        }
    }

    /// Rows of beams are accounted for: a request that can never have its pages is refused, and a cancelled one returns
    /// them.
    @Test func rowsOfBeams_HaveTheirPages_OrARefusal() throws {
        let fixture = try TokenFixture("sid-qwen3")
        try fixture.withPathBundle { bundle in
            let roomy = try PathEngine(bundle, threads: 1)
            let pageBytes = try #require(roomy.pool).pageByteCount
            roomy.stop()
            let engine = try PathEngine(bundle, threads: 1, cacheBytes: 8 * pageBytes)
            defer { engine.stop() }
            var request = request(fixture.cases[3], fixture, givesPrompt: false)
            request.paths.widths = [400]
            #expect(throws: EngineError(.tooLarge, "")) { _ = try engine.answer(request) }
            request.paths.widths = [20]
            for _ in 0..<20 {
                let ticket = try engine.engine.submit(request, to: engine.model) { _ in }
                _ = engine.engine.cancel(ticket)
            }
            let reply = try engine.answer(request)
            #expect(!reply.items.isEmpty)
        }
    }
}
