// Runs one batch: rows of histories in, selected catalogue rows out. The only file in which requests reach the device.
// It belongs to the engine's thread.

package import Catalogue
package import Compute
internal import Models

/// A batch's work on one history.
package struct Pass: Sendable {
    package var history: UsedHistory
    /// The rows to compute. `cached` holds the rows before them.
    package var rows: Range<Int>
    package var cached: PagedSequence
    /// The pages of the request's beam rows.
    package var beamPages: [Int32]
    /// The question to answer from the last row; nil if this pass has none.
    package var asks: Question?

    package init(
        history: UsedHistory,
        rows: Range<Int>,
        cached: PagedSequence = .none,
        beamPages: [Int32] = [],
        asks: Question?
    ) {
        self.history = history
        self.rows = rows
        self.cached = cached
        self.beamPages = beamPages
        self.asks = asks
    }

    /// Whether it computes only beam rows, which all follow `cached`, and no rows of the history.
    var isOfBeams: Bool { (asks?.beamRows ?? 0) > 0 }

    package var work: ComputeWork {
        guard case .paths(let round) = asks, round.beamRows > 0 else {
            return ComputeWork(rows: rows, scans: asks?.scans ?? 0)
        }
        var work = ComputeWork()
        work.rows = round.beamRows
        work.pairs = round.beamRows * (cached.rows + round.search.round)
        work.queries = round.queryRows
        return work
    }
}

/// Packs batches and runs them through the model and the selection.
package final class BatchExecutor {
    private let loaded: ResidentModel
    private var stream: any Stream
    /// The storage for rows; nil if rows cannot be cached.
    private let pages: (any KeyValuePages)?
    /// Set for items that are token paths; nil: items are rows of the table.
    private let decoder: (any TokenDecoder)?
    /// The cache between requests.
    package let prefixCache: PrefixCacheDescription

    /// The time of a batch, in nanoseconds.
    package struct Durations: Sendable, Equatable {
        package var prefill: UInt64
        package var topK: UInt64
    }

    /// - Parameters:
    ///   - stream: a stream of the model's device, which executors that run in turns may share; nil: a new one.
    ///   - cacheBytes: bytes for users' keys and values; 0: none are cached. If they do not hold one page, or the
    ///     device has no room for them, `prefixCache` says so and histories are computed in full.
    package init(
        _ loaded: ResidentModel,
        stream: (any Stream)? = nil,
        cacheBytes: Int = 0
    ) throws(ComputeError) {
        self.loaded = loaded
        if let stream { self.stream = stream } else { self.stream = try loaded.device.makeStream() }
        decoder = (loaded.model as? any TokenDecoder).flatMap { $0.hasTokens ? $0 : nil }
        // Beams need storage even if nothing is cached.
        let byteCount = decoder != nil && cacheBytes == 0 ? Self.workingBytes : cacheBytes
        (pages, prefixCache) = Self.makePages(loaded, byteCount: byteCount, keepsRows: cacheBytes > 0)
    }

    /// Switches to another stream of the model's device.
    func move(to stream: any Stream) { self.stream = stream }

    /// Device memory for prompts and beams if there is no cache.
    private static let workingBytes = 256 << 20

    /// Whether the model's items are paths of tokens.
    var searchesPaths: Bool { decoder != nil }

    private static func makePages(
        _ loaded: ResidentModel,
        byteCount: Int,
        keepsRows: Bool
    ) -> ((any KeyValuePages)?, PrefixCacheDescription) {
        switch loaded.model.prefixReuse {
        case .none(let reason): return (nil, .none(reason: reason))
        case .exact(let shape, let dependsOnNextTime):
            guard byteCount > 0 else { return (nil, .none(reason: "cache.bytes is 0")) }
            guard loaded.device.supports(.store) else {
                let name = loaded.device.description.name
                return (nil, .none(reason: "device \(name) does not keep keys and values"))
            }
            do throws(ComputeError) {
                let pages = try loaded.device.makeKeyValuePages(shape, byteCount: byteCount)
                return (
                    pages,
                    .exact(
                        PrefixCacheDescription.Pool(
                            pageRows: pages.pageRows,
                            pageCount: pages.pageCount,
                            pageByteCount: pages.pageByteCount,
                            dependsOnNextTime: dependsOnNextTime,
                            keepsRows: keepsRows,
                            takesMemoryWhenWritten: pages.takesMemoryWhenWritten
                        )
                    )
                )
            } catch {
                return (nil, .none(reason: error.message))
            }
        }
    }

    /// Frees the memory of pages without holders.
    func release(_ released: [Int32]) { pages?.release(released) }

    /// The device's current description, including the state of the catalogue copy.
    package var device: DeviceDescription {
        var description = loaded.device.description
        description.catalogueCopyBytes = loaded.model.catalogue.copyByteCount
        description.catalogueCopy = loaded.model.catalogue.copyState
        return description
    }
    package var memory: DeviceMemory { loaded.device.memory }
    var takesWeightsOnAnyThread: Bool { loaded.device.takesWeightsOnAnyThread }
    package var window: Int { loaded.model.window }

    /// Events of a history that the model sees.
    package func events(of request: RecommendationRequest) -> Int {
        min(request.history.count, loaded.model.window)
    }

    /// Computes the first question of each request from its whole history, in order. Histories are not empty.
    ///
    /// - Returns: the answer to each request's question; row 0 with the score NaN if the model's scores are not finite.
    /// - Throws: the device's error; then no request of the batch has an answer.
    package func run(
        _ requests: [RecommendationRequest],
        _ catalogue: CatalogueSnapshot
    ) throws(ComputeError) -> (selections: [[ScoredRow]], durations: Durations) {
        let window = HistoryWindow(length: loaded.model.window)
        let passes = requests.map { request in
            let history = UsedHistory(request, window)
            return Pass(history: history, rows: 0..<history.count, asks: request.strategy(catalogue).question)
        }
        return try run(passes)
    }

    /// Computes passes, each of which has rows.
    ///
    /// - Returns: for each pass with a question, what `run(_:_:)` returns; an empty selection for the others.
    package func run(
        _ passes: [Pass]
    ) throws(ComputeError) -> (selections: [[ScoredRow]], durations: Durations) {
        let (answers, durations) = try answers(passes)
        let selections = answers.map { answer -> [ScoredRow] in
            if case .rows(let rows) = answer { rows } else { [] }
        }
        return (selections, durations)
    }

    /// Computes passes, each of which has rows.
    ///
    /// - Returns: the answer for each pass with a question, no rows for the others; row 0 with the score NaN if the
    ///   model's scores are not finite.
    /// - Throws: the device's error; then no pass has an answer.
    package func answers(_ passes: [Pass]) throws(ComputeError) -> (answers: [Answer], durations: Durations) {
        let start = Instant.now()
        try loaded.model.takeAddedItems()
        try stream.begin()
        let packed = pack(passes)
        let queries = try loaded.model.encodeInParts(packed.batch, on: stream)
        let encoded = Instant.now()
        let asked = try ask(passes, queries, packed.firstQuery)
        try stream.synchronize()
        var answers = [Answer](repeating: .rows([]), count: passes.count)
        for (query, index) in asked.bestOf.enumerated() {
            guard let ticket = asked.best else { continue }
            var selection = stream.selected(ticket, query: query)
            // NaN scores are never selected, so an empty selection while items are eligible means that all are NaN.
            if selection.isEmpty,
                case .best(_, let eligibility, let history, let catalogue) = passes[index].asks,
                !catalogue.mostPopular(1, eligibility, history: history).isEmpty
            {
                selection = [ScoredRow(row: 0, score: .nan)]
            }
            answers[index] = .rows(selection)
        }
        for (query, index) in asked.scoresOf.enumerated() {
            guard let ticket = asked.scores, case .scores(let rows) = passes[index].asks else { continue }
            answers[index] = .rows(
                zip(rows, stream.scores(ticket, query: query)).map { ScoredRow(row: $0, score: $1) }
            )
        }
        if let ticket = asked.tokens {
            let values = stream.logProbabilities(ticket)
            var first = 0
            for index in asked.tokensOf {
                guard case .paths(let round) = passes[index].asks else { continue }
                let count = round.candidates?.tokens.count ?? 0
                answers[index] = .round(round.advanced(Array(values[first..<first + count])))
                first += count
            }
        }
        // Without a question, `synchronize` waited only for the encoding.
        let end = Instant.now()
        let durations =
            asked.isEmpty
            ? Durations(prefill: end.nanoseconds(since: start), topK: 0)
            : Durations(prefill: encoded.nanoseconds(since: start), topK: end.nanoseconds(since: encoded))
        return (answers, durations)
    }

    /// The pending questions of a batch: tickets, and the passes that they answer.
    private struct Asked {
        var best: TopKTicket?
        var bestOf: [Int] = []
        var scores: ScoreTicket?
        var scoresOf: [Int] = []
        var tokens: TokenScoresTicket?
        /// In the order of their queries.
        var tokensOf: [Int] = []

        var isEmpty: Bool { best == nil && scores == nil && tokens == nil }
    }

    /// - Parameter firstQuery: the row of each pass's first query.
    private func ask(_ passes: [Pass], _ queries: Tensor, _ firstQuery: [Int]) throws(ComputeError) -> Asked {
        var asked = Asked()
        var masks: [SelectionMask] = []
        var counts: [Int] = []
        var candidates: [[Int32]] = []
        for (index, pass) in passes.enumerated() {
            switch pass.asks {
            case .best(let count, let eligibility, let history, let catalogue):
                asked.bestOf.append(index)
                masks.append(eligibility.mask(history: history, catalogue: catalogue))
                counts.append(min(count, catalogue.count))
            case .scores(let rows):
                asked.scoresOf.append(index)
                candidates.append(rows)
            case .paths: asked.tokensOf.append(index)
            case nil: break
            }
        }
        let catalogue = loaded.model.catalogue
        if !asked.bestOf.isEmpty {
            let queries = try rows(asked.bestOf.map { firstQuery[$0] }, of: queries)
            asked.best = try stream.selectTopK(
                TopKOperation(queries: queries, catalogue: catalogue, masks: masks, counts: counts)
            )
        }
        if !asked.scoresOf.isEmpty {
            let queries = try rows(asked.scoresOf.map { firstQuery[$0] }, of: queries)
            asked.scores = try stream.scoreRows(
                ScoreOperation(queries: queries, catalogue: catalogue, rows: candidates)
            )
        }
        if !asked.tokensOf.isEmpty {
            asked.tokensOf.sort { firstQuery[$0] < firstQuery[$1] }
            asked.tokens = try askForTokens(asked.tokensOf.map { (firstQuery[$0], passes[$0].asks) }, queries)
        }
        return asked
    }

    /// - Parameter rounds: for each pass the row of its first query, ascending, and its question.
    private func askForTokens(
        _ rounds: [(first: Int, asks: Question?)],
        _ queries: Tensor
    ) throws(ComputeError) -> TokenScoresTicket {
        guard let decoder else {
            throw ComputeError(.unsupported, "this model's items are rows of its item table, not token paths")
        }
        var asking: [Int] = []
        var tokens: [Int32] = []
        var offsets = [0]
        var normalizations: [TokenNormalization] = []
        for (first, asks) in rounds {
            guard case .paths(let round) = asks, let candidates = round.candidates else { continue }
            asking += first..<first + round.queryRows
            offsets += candidates.offsets.dropFirst().map { tokens.count + $0 }
            tokens += candidates.tokens
            normalizations += repeatElement(round.normalization, count: round.queryRows)
        }
        return try decoder.scoreTokens(
            after: rows(asking, of: queries),
            tokens: tokens,
            offsets: offsets,
            normalizations: normalizations,
            on: stream
        )
    }

    /// The queries with these ascending indices; all of them without a copy.
    private func rows(_ indices: [Int], of queries: Tensor) throws(ComputeError) -> Tensor {
        guard indices.count < queries.rows else { return queries }
        let some = try stream.makeTensor(rows: indices.count, columns: queries.columns, dtype: queries.dtype)
        try stream.gatherRows(queries, rows: indices.map { Int32($0) }, output: some)
        return some
    }

    /// Lays out the rows of all passes back to back, beam rows last.
    ///
    /// - Returns: also the row of each pass's first query.
    private func pack(_ passes: [Pass]) -> (batch: SequenceBatch, firstQuery: [Int]) {
        let sequences = passes.filter { !$0.isOfBeams }
        var batch = packSequences(sequences)
        var firstQuery: [Int] = []
        var (nextSequence, nextBeam) = (0, sequences.count)
        for pass in passes {
            if pass.isOfBeams {
                firstQuery.append(nextBeam)
                nextBeam += pass.asks?.beamRows ?? 0
            } else {
                firstQuery.append(nextSequence)
                nextSequence += 1
            }
        }
        if let pages, sequences.count < passes.count { batch.beams = packBeams(passes, in: pages) }
        return (batch, firstQuery)
    }

    private func packBeams(_ passes: [Pass], in pages: any KeyValuePages) -> BeamBatch {
        var lengths: [Int] = []
        var tokens: [Int32] = []
        var prompts: [PagedSequence] = []
        var groups: [BeamGroup] = []
        var storedBehind: [Int?] = []
        for pass in passes where pass.isOfBeams {
            guard case .paths(let round) = pass.asks else { continue }
            lengths.append(round.beamRows)
            tokens += round.search.beams.map(\.token)
            prompts.append(PagedSequence(rows: pass.cached.rows, pages: pass.cached.pages, storesRows: false))
            groups.append(BeamGroup(beamPages: pass.beamPages, ancestors: round.search.ancestorRows))
            storedBehind.append(round.keepsRows ? round.keptRows : nil)
        }
        return BeamBatch(
            layout: Jagged(lengths: lengths),
            tokens: tokens,
            prompts: CachedRows(pages: pages, sequences: prompts),
            groups: groups,
            storedBehind: storedBehind
        )
    }

    private func packSequences(_ passes: [Pass]) -> SequenceBatch {
        let layout = Jagged(lengths: passes.map(\.rows.count))
        var batch = SequenceBatch(layout: layout, items: [], timestamps: [], timed: [])
        batch.items.reserveCapacity(layout.rows)
        for pass in passes {
            let history = pass.history
            batch.items += history.items[pass.rows]
            if let timestamps = history.timestamps {
                batch.timestamps += timestamps[..<pass.rows.upperBound]
                batch.timestamps.append(history.time(after: pass.rows.upperBound))
            } else {
                batch.timestamps += repeatElement(0, count: pass.rows.upperBound + 1)
            }
            batch.timed.append(history.timestamps != nil)
        }
        if let pages, passes.contains(where: { $0.cached != .none }) {
            batch.cached = CachedRows(pages: pages, sequences: passes.map(\.cached))
        }
        return batch
    }
}
