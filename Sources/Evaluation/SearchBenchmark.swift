// Beam searches of one shape for `bench`: prompts, or further tokens of prompts whose earlier tokens are cached, and
// the rounds after them, as in the engine.

internal import Catalogue
internal import Compute
internal import Engine
internal import Models

/// Searches that run together, pass by pass, and can be repeated.
struct SearchBenchmark {
    private let executor: BatchExecutor
    private let model: LoadedModel
    private let requests: [RecommendationRequest]
    private let places: [Places]
    /// Number of cached rows per prompt.
    private let cachedRows: Int

    /// The pages for one request's rows.
    private struct Places {
        var prompt: [Int32]
        var beams: [Int32]
    }

    /// One search in progress.
    private struct Search {
        var strategy: any Strategy
        let history: UsedHistory
        let places: Places
        var isDone = false
    }

    /// - Parameters:
    ///   - sequences: searches in a batch.
    ///   - length: tokens per prompt, at most the window's.
    ///   - append: how many of them are computed, with the others cached; nil: all.
    ///   - count: items to find per search.
    ///   - beams: beams per search; nil: the default of requests.
    ///   - candidates: items scored per request instead; nil: items are searched for.
    init(
        _ bundle: ModelBundle,
        _ loaded: LoadedModel,
        _ paths: PathCatalogue,
        _ resident: ResidentModel,
        sequences: Int,
        length: Int,
        append: Int?,
        count: Int,
        beams: Int?,
        candidates: Int?
    ) throws {
        model = loaded
        if let append, append >= length {
            throw BenchmarkError(description: "--append \(append) leaves none of the \(length) tokens to cache")
        }
        let items = bundle.catalogue.popularityOrder
        requests = (0..<sequences).map { sequence in
            // Spread over the catalogue, with a different prompt for each.
            func item(_ place: Int) -> Int32 { items[(sequence * 7_919 + place * 104_729) % items.count] }
            var tokens: [Int32] = []
            for place in 0..<(length + paths.trie.levels - 1) / paths.trie.levels {
                tokens += paths.trie.path(of: item(place))
            }
            let named = candidates.map { count in (0..<count).map { item($0 * 31 + 5) } }
            var request = RecommendationRequest(
                history: [],
                timestamps: nil,
                requestTime: 0,
                count: min(count, items.count),
                mode: named.map { .rank($0) } ?? .topK,
                arrival: .now()
            )
            request.paths.prompt = Array(tokens.prefix(length))
            if let beams { request.paths.widths = [beams] }
            return request
        }
        let reserved = requests.map { loaded.strategy($0).reservedRows }
        let rows = reserved.reduce(sequences * length, +)
        // The device chooses the page size, and no two requests share a page.
        let slack = sequences * 2 * 1_024
        let bytesOfRow = bundle.configuration.architecture.configuration.cacheBytesPerEvent(.float32)
        executor = try BatchExecutor(resident, cacheBytes: (rows + slack) * bytesOfRow)
        guard case .exact(let pool) = executor.prefixCache else {
            throw BenchmarkError(description: "there is no room for the rows of a search")
        }
        var next: Int32 = 0
        func pages(_ rows: Int) -> [Int32] {
            let count = Int32((rows + pool.pageRows - 1) / pool.pageRows)
            defer { next += count }
            return Array(next..<next + count)
        }
        places = reserved.map { Places(prompt: pages(length), beams: pages($0)) }
        guard Int(next) <= pool.pageCount else {
            throw BenchmarkError(description: "the rows of \(sequences) searches do not fit on the device")
        }
        cachedRows = append.map { length - $0 } ?? 0
        guard cachedRows > 0 else { return }
        _ = try executor.answers(
            zip(requests, places).map { request, places in
                Pass(
                    history: loaded.usedHistory(request),
                    rows: 0..<cachedRows,
                    cached: PagedSequence(rows: 0, pages: places.prompt, storesRows: true),
                    asks: nil
                )
            }
        )
    }

    /// The work of the searches besides the prompts.
    struct Shape: Equatable {
        /// Number of passes after the first.
        var rounds = 0
        /// Beam rows in each of them, averaged over the searches.
        var rowsByRound: [Int] = []
    }

    /// Runs all searches once.
    ///
    /// - Parameter prompted: called when the prompts are done, before the beam rounds.
    func run(_ prompted: () -> Void = {}) throws -> Shape {
        var searches = zip(requests, places).map { request, places in
            Search(strategy: model.strategy(request), history: model.usedHistory(request), places: places)
        }
        var shape = Shape()
        var isFirst = true
        while true {
            let open = searches.indices.filter { !searches[$0].isDone }
            guard !open.isEmpty else { return shape }
            if !isFirst {
                shape.rounds += 1
                shape.rowsByRound.append(open.reduce(0) { $0 + searches[$1].strategy.beamRows } / open.count)
            }
            let answers = try executor.answers(open.map { pass(searches[$0]) }).answers
            for (index, answer) in zip(open, answers) {
                switch searches[index].strategy.take(answer) {
                case .done: searches[index].isDone = true
                case .failed: throw BenchmarkError(description: "the model's scores are not finite numbers")
                case .searches, .asksAgain, .goesOn: break
                }
            }
            if isFirst { prompted() }
            isFirst = false
        }
    }

    private func pass(_ search: Search) -> Pass {
        let isOfBeams = search.strategy.beamRows > 0
        let end = search.history.count
        return Pass(
            history: search.history,
            rows: (isOfBeams ? end : cachedRows)..<end,
            cached: PagedSequence(
                rows: isOfBeams ? end : cachedRows,
                pages: search.places.prompt,
                storesRows: !isOfBeams
            ),
            beamPages: search.places.beams,
            asks: search.strategy.question
        )
    }
}
