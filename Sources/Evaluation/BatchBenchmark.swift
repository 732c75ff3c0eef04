// A batch of one shape for `bench`: histories, or further events of histories whose earlier events are cached, run
// through the model and the selection as in the engine.

internal import Catalogue
internal import Compute
internal import Models
internal import Random

/// Why a benchmark cannot run, in one sentence.
struct BenchmarkError: Error, CustomStringConvertible {
    let description: String
}

/// One batch that can be run repeatedly.
struct BatchBenchmark {
    private let model: any DecoderModel
    private let stream: any Compute.Stream
    private let batch: SequenceBatch
    private let masks: [SelectionMask]
    /// The masks with a share of the items unavailable; nil: not measured.
    private let reducedMasks: [SelectionMask]?
    private let counts: [Int]
    /// Number of items scored per history; nil: items are selected.
    private let candidates: Int?
    private let rows: [Int32]
    private var runs = 0

    /// - Parameters:
    ///   - length: events per history, at most the window.
    ///   - append: how many of them are computed, with the others cached; nil: all, without a cache.
    ///   - count: items selected per history.
    ///   - candidates: items scored per history instead; nil: items are selected.
    ///   - unavailable: the share of items that `runInParts(isReduced: true)` may not select; nil: it is not called.
    init(
        _ bundle: ModelBundle,
        _ model: any DecoderModel,
        _ device: any Device,
        sequences: Int,
        length: Int,
        append: Int?,
        count: Int,
        candidates: Int?,
        unavailable: Double?
    ) throws {
        self.model = model
        self.candidates = candidates
        stream = try device.makeStream()
        // Spread over the catalogue, so that the gather does not keep finding the same rows in the processor's cache.
        rows = bundle.catalogue.popularityOrder
        let rows = rows
        let histories = (0..<sequences).map { sequence in
            (0..<length).map { rows[(sequence * 7_919 + $0 * 104_729) % rows.count] }
        }
        masks = histories.map { SelectionMask(excluded: Set($0).sorted()) }
        counts = Array(repeating: min(count, rows.count), count: sequences)
        let plainMasks = masks
        reducedMasks = unavailable.map { share in Self.reduced(plainMasks, bundle.catalogue, unavailable: share) }

        /// Events `range` of every history, with the times up to the following event.
        func part(_ range: Range<Int>, _ cached: CachedRows?) -> SequenceBatch {
            SequenceBatch(
                layout: Jagged(lengths: repeatElement(range.count, count: sequences)),
                items: histories.flatMap { $0[range] },
                timestamps: histories.flatMap { _ in
                    (0...range.upperBound).map { 1_700_000_000 + Int64($0) * 4_111 }
                },
                timed: Array(repeating: true, count: sequences),
                cached: cached
            )
        }
        guard let append else {
            batch = part(0..<length, nil)
            return
        }
        guard append < length else {
            throw BenchmarkError(description: "--append \(append) leaves none of the \(length) events to cache")
        }
        let pool = try Self.pool(for: model, device, sequences: sequences, length: length)
        let pagesOfSequence = (length + pool.pageRows - 1) / pool.pageRows
        func cached(_ rows: Int) -> CachedRows {
            CachedRows(
                pages: pool,
                sequences: (0..<sequences).map { sequence in
                    let first = sequence * pagesOfSequence
                    return PagedSequence(
                        rows: rows,
                        pages: (first..<first + pagesOfSequence).map { Int32($0) },
                        storesRows: true
                    )
                }
            )
        }
        let earlier = length - append
        batch = part(earlier..<length, cached(earlier))
        try stream.begin()
        _ = try model.encode(part(0..<earlier, cached(0)), on: stream)
        try stream.synchronize()
    }

    /// Masks without a random share of a catalogue's items.
    private static func reduced(
        _ masks: [SelectionMask],
        _ catalogue: Catalogue,
        unavailable share: Double
    ) -> [SelectionMask] {
        var random = SplitMix64(seed: 1)
        var allowed = catalogue.presentMask
        for row in catalogue.popularityOrder where Double(random.next() >> 11) < share * 0x1p53 {
            allowed[Int(row) >> 6] &= ~(1 << UInt64(row & 63))
        }
        return masks.map { SelectionMask(allowed: allowed, excluded: $0.excluded) }
    }

    /// A pool with enough pages for all sequences.
    private static func pool(
        for model: any DecoderModel,
        _ device: any Device,
        sequences: Int,
        length: Int
    ) throws -> any KeyValuePages {
        let shape: KeyValueShape
        switch model.prefixReuse {
        case .exact(let exact, _): shape = exact
        case .none(let reason):
            throw BenchmarkError(description: "--append: this model does not reuse earlier events: \(reason)")
        }
        guard device.supports(.store) else {
            throw BenchmarkError(
                description: "--append: device \(device.description.name) has no cache of keys and values"
            )
        }
        // Only a pool knows its page size; this one is temporary.
        let bytesOfRow = shape.layers * shape.heads * (shape.keyColumns + shape.valueColumns) * 4
        let one = try device.makeKeyValuePages(shape, byteCount: 1_024 * bytesOfRow)
        let pages = sequences * ((length + one.pageRows - 1) / one.pageRows)
        return try device.makeKeyValuePages(shape, byteCount: pages * one.pageByteCount)
    }

    /// Computes the batch once, as the engine does.
    mutating func run() throws(ComputeError) {
        try stream.begin()
        try select(try model.encodeInParts(batch, on: stream))
    }

    /// Runs the batch once, synchronising between encoding and selection.
    ///
    /// - Parameters:
    ///   - isReduced: whether a share of the items is unavailable.
    ///   - encoded: called between the two.
    mutating func runInParts(isReduced: Bool = false, _ encoded: () -> Void) throws(ComputeError) {
        try stream.begin()
        let queries = try model.encodeInParts(batch, on: stream)
        try stream.synchronize()
        encoded()
        try select(queries, isReduced ? reducedMasks : nil)
    }

    private mutating func select(_ queries: Tensor, _ reduced: [SelectionMask]? = nil) throws(ComputeError) {
        if let candidates { return try score(queries, candidates) }
        let ticket = try stream.selectTopK(
            TopKOperation(queries: queries, catalogue: model.catalogue, masks: reduced ?? masks, counts: counts)
        )
        try stream.synchronize()
        for query in counts.indices { _ = stream.selected(ticket, query: query) }
    }

    /// Scores other items each time, so that their rows are not in the processor's caches yet.
    private mutating func score(_ queries: Tensor, _ count: Int) throws(ComputeError) {
        runs += 1
        let named = counts.indices.map { sequence in
            (0..<count).map { rows[((runs * 7_907 + sequence) * count + $0) * 104_729 % rows.count] }
        }
        let ticket = try stream.scoreRows(
            ScoreOperation(queries: queries, catalogue: model.catalogue, rows: named)
        )
        try stream.synchronize()
        for query in counts.indices { _ = stream.scores(ticket, query: query) }
    }
}
