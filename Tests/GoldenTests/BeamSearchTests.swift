// Beam search by the decoders' operations against constrained beam search in float64, alone and in a batch.

import Catalogue
import Compute
import ComputeCPU
import Testing

@testable import Models

/// Requests on one device, each with its prompt and its beams in pages, as in an engine.
private final class Searcher {
    struct Request {
        var prompt: [Int32]
        var search: BeamSearch
        var promptPages: [Int32]
        var beamPages: [Int32]
        /// Stored rows of beams.
        var kept = 0
        /// Prompt rows that are computed earlier, as for a returning user.
        var cached = 0
    }

    private let model: any TokenDecoder
    private let stream: any Compute.Stream
    private let pages: any KeyValuePages
    private var nextPage: Int32 = 0
    /// Whether probabilities are over the allowed tokens; otherwise over the vocabulary.
    private let isOverAllowed: Bool
    var requests: [Request] = []
    /// Rows encoded at a time; nil: as many as suit the device.
    var mostRows: Int?

    init(_ bundle: ModelBundle, _ fixture: TokenFixture, threads: Int) throws {
        isOverAllowed = fixture.semanticIDs.normalization == "allowed"
        let configuration = bundle.architecture.configuration
        let device = try CPUDevice(threads: threads)
        let loader = WeightLoader(
            device: device,
            names: Set(configuration.tensorSpecifications.map(\.name)),
            hasTokens: true
        ) { (name) throws(ComputeError) -> HostTensor in
            do {
                return try bundle.tensor(name)
            } catch {
                throw ComputeError(.invalidArgument, "\(error)")
            }
        }
        model = try #require(try configuration.makeDecoder(loader, eligible: []) as? any TokenDecoder)
        stream = try device.makeStream()
        guard case .exact(let shape, _) = model.prefixReuse else { throw ComputeError(.unsupported, "no prefix") }
        pages = try device.makeKeyValuePages(shape, byteCount: 64 << 20)
    }

    private func takePages(rows: Int) -> [Int32] {
        let count = Int32((rows + pages.pageRows - 1) / pages.pageRows)
        defer { nextPage += count }
        return Array(nextPage..<nextPage + count)
    }

    func add(prompt: [Int32], _ search: BeamSearch, mostRows: Int, cached: Int = 0) throws {
        var request = Request(
            prompt: prompt,
            search: search,
            promptPages: takePages(rows: prompt.count),
            beamPages: takePages(rows: mostRows)
        )
        if cached > 0 {
            // The state left by an earlier request.
            try stream.begin()
            _ = try model.encode(batch(prompt: prompt[..<cached], behind: 0, request.promptPages), on: stream)
            try stream.synchronize()
            request.cached = cached
        }
        requests.append(request)
    }

    private func batch(prompt: ArraySlice<Int32>, behind rows: Int, _ pageNumbers: [Int32]) -> SequenceBatch {
        SequenceBatch(
            layout: Jagged(lengths: [prompt.count]),
            items: Array(prompt),
            timestamps: [Int64](repeating: 0, count: rows + prompt.count + 1),
            timed: [false],
            cached: CachedRows(
                pages: pages,
                sequences: [PagedSequence(rows: rows, pages: pageNumbers, storesRows: true)]
            )
        )
    }

    /// One round of some requests: prompts of those that start, beams of the others.
    func step(_ numbers: [Int]) throws {
        let prompts = numbers.filter { requests[$0].search.round == 0 }
        let beams = numbers.filter { requests[$0].search.round > 0 }
        var tokens: [Int32] = []
        var offsets = [0]
        var rows = 0
        let candidates = (prompts + beams).map { requests[$0].search.candidates() }
        for own in candidates {
            offsets += own.offsets.dropFirst().map { $0 + tokens.count }
            tokens += own.tokens
            rows += own.offsets.count - 1
        }
        let lengths = prompts.map { requests[$0].prompt.count - requests[$0].cached }
        var batch = SequenceBatch(
            layout: Jagged(lengths: lengths),
            items: prompts.flatMap { requests[$0].prompt[requests[$0].cached...] },
            timestamps: [Int64](repeating: 0, count: prompts.reduce(0) { $0 + requests[$1].prompt.count + 1 }),
            timed: prompts.map { _ in false },
            cached: CachedRows(
                pages: pages,
                sequences: prompts.map {
                    PagedSequence(rows: requests[$0].cached, pages: requests[$0].promptPages, storesRows: true)
                }
            )
        )
        if !beams.isEmpty {
            batch.beams = BeamBatch(
                layout: Jagged(lengths: beams.map { requests[$0].search.beams.count }),
                tokens: beams.flatMap { requests[$0].search.beams.map(\.token) },
                prompts: CachedRows(
                    pages: pages,
                    sequences: beams.map {
                        PagedSequence(
                            rows: requests[$0].prompt.count,
                            pages: requests[$0].promptPages,
                            storesRows: false
                        )
                    }
                ),
                groups: beams.map {
                    BeamGroup(beamPages: requests[$0].beamPages, ancestors: requests[$0].search.ancestorRows)
                },
                storedBehind: beams.map { number in
                    let request = requests[number]
                    return request.search.round + 1 < request.search.rounds ? request.kept : nil
                }
            )
        }
        try stream.begin()
        let queries = try model.encodeInParts(batch, on: stream, mostRows: mostRows)
        let ticket = try model.scoreTokens(
            after: queries,
            tokens: tokens,
            offsets: offsets,
            normalizations: [TokenNormalization](
                repeating: isOverAllowed ? .candidates : .tokens(0..<model.vocabulary),
                count: rows
            ),
            on: stream
        )
        try stream.synchronize()
        let values = stream.logProbabilities(ticket)
        var first = 0
        for (place, number) in (prompts + beams).enumerated() {
            let own = candidates[place]
            if requests[number].search.round > 0 { requests[number].kept += requests[number].search.beams.count }
            requests[number].search.advance(
                own,
                logProbabilities: Array(values[first..<first + own.tokens.count])
            )
            first += own.tokens.count
        }
    }
}

@Suite struct BeamSearchTests {
    private func search(_ fixture: TokenFixture, _ example: TokenFixture.Case, _ trie: PathTrie) -> BeamSearch {
        func items(_ names: [String]) -> [Int32] {
            names.compactMap { fixture.items.firstIndex(of: $0).map { Int32($0 + 1) } }
        }
        let excluded = items(example.exclude.items) + (example.exclude.seen ? items(example.history.items) : [])
        return BeamSearch(
            trie: trie,
            filter: PathFilter(allowed: nil, excluded: excluded, in: trie),
            widths: [Int](repeating: example.beams, count: trie.levels),
            tail: fixture.semanticIDs.tail
        )
    }

    private func trie(_ fixture: TokenFixture) -> PathTrie {
        PathTrie(tokens: fixture.paths.flatMap { $0 }, levels: fixture.paths[0].count)
    }

    @Test(arguments: TokenFixture.names)
    func findsWhatTransformersFinds(name: String) throws {
        let fixture = try TokenFixture(name)
        let trie = trie(fixture)
        try fixture.withBundle { bundle in
            let searcher = try Searcher(bundle, fixture, threads: 1)
            for (number, example) in fixture.cases.enumerated() {
                try searcher.add(
                    prompt: example.prompt_tokens,
                    search(fixture, example, trie),
                    mostRows: BeamSearch.mostRows(
                        widths: [Int](repeating: example.beams, count: trie.levels),
                        tail: fixture.semanticIDs.tail.count
                    )
                )
                while !searcher.requests[number].search.isFinished { try searcher.step([number]) }
                let found = searcher.requests[number].search.items(example.k)
                #expect(found.map { fixture.items[Int($0.item) - 1] } == example.top.map(\.item), "case \(number)")
                for (item, answer) in zip(found, example.top) {
                    #expect(abs(Double(item.score) - answer.score) <= 1e-4 * max(1, abs(answer.score)))
                }
            }
        }
    }

    /// To the bit: a reply must not depend on the other requests, the number of threads, or the cached part of the
    /// prompt.
    @Test(arguments: TokenFixture.names, [1, 2])
    func findsTheSameBits_InCompany(name: String, threads: Int) throws {
        let fixture = try TokenFixture(name)
        let trie = trie(fixture)
        let cases = fixture.cases.filter { $0.prompt_tokens.count > 1 }.prefix(6)
        try fixture.withBundle { bundle in
            let alone = try Searcher(bundle, fixture, threads: 1)
            let crowded = try Searcher(bundle, fixture, threads: threads)
            if threads == 1 { crowded.mostRows = 30 }
            for (number, example) in cases.enumerated() {
                let search = search(fixture, example, trie)
                try alone.add(prompt: example.prompt_tokens, search, mostRows: 4096)
                let cached = number % 2 == 0 ? 0 : example.prompt_tokens.count / 2
                try crowded.add(prompt: example.prompt_tokens, search, mostRows: 4096, cached: cached)
                while !alone.requests[number].search.isFinished { try alone.step([number]) }
            }
            // Each request starts one round after the previous one, so that prompts and beams of all rounds share
            // batches.
            for round in 0... {
                let running = cases.indices.filter { $0 <= round && !crowded.requests[$0].search.isFinished }
                if running.isEmpty { break }
                try crowded.step(running)
            }
            for number in cases.indices {
                #expect(crowded.requests[number].search.beams == alone.requests[number].search.beams)
            }
        }
    }
}
