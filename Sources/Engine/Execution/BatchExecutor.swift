// Runs one batch: rows of histories in, selected catalogue rows out. The only place where requests meet the device; it
// belongs to the engine's thread.

package import Catalogue
package import Compute
package import Models

/// A model on a device, with a stream to run it on. Made on the thread that will use it.
package struct LoadedModel {
    package let device: any Device
    package let model: any DecoderModel
    /// What the model was made of: kept as long as the model is.
    package let owner: AnyObject

    package init(device: any Device, model: any DecoderModel, owner: AnyObject) {
        self.device = device
        self.model = model
        self.owner = owner
    }
}

/// What a batch computes of one history.
package struct Pass: Sendable {
    package var history: UsedHistory
    /// The rows to compute. Those before them are in `cached`.
    package var rows: Range<Int>
    package var cached: PagedSequence
    /// Whose items are selected by the last of the rows; nil: nothing is selected in this pass.
    package var asks: RecommendationRequest?

    package init(
        history: UsedHistory,
        rows: Range<Int>,
        cached: PagedSequence = .none,
        asks: RecommendationRequest?
    ) {
        self.history = history
        self.rows = rows
        self.cached = cached
        self.asks = asks
    }

    package var work: ComputeWork { ComputeWork(rows: rows, asks: asks != nil) }
}

/// Packs batches and runs them through the model and the selection.
package final class BatchExecutor {
    private let loaded: LoadedModel
    private let stream: any Stream
    private let catalogue: Catalogue
    /// Where rows can be kept; nil where they cannot.
    private let pages: (any KeyValuePages)?
    /// What is kept from one request to the next.
    package let prefixCache: PrefixCacheDescription

    /// What a batch took, in nanoseconds.
    package struct Durations: Sendable, Equatable {
        package var prefill: UInt64
        package var topK: UInt64
    }

    /// - Parameter cacheBytes: bytes for users' keys and values; 0: none are kept. Where they hold not one page, or the device
    ///   has no room for them, `prefixCache` says so and histories are computed whole.
    package init(_ loaded: LoadedModel, catalogue: Catalogue, cacheBytes: Int = 0) throws(ComputeError) {
        self.loaded = loaded
        self.catalogue = catalogue
        stream = try loaded.device.makeStream()
        (pages, prefixCache) = Self.makePages(loaded, byteCount: cacheBytes)
    }

    private static func makePages(
        _ loaded: LoadedModel,
        byteCount: Int
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
                            dependsOnNextTime: dependsOnNextTime
                        )
                    )
                )
            } catch {
                return (nil, .none(reason: error.message))
            }
        }
    }

    /// What may be known of the device at any time.
    package var device: DeviceDescription { loaded.device.description }
    package var memory: DeviceMemory { loaded.device.memory }
    package var window: Int { loaded.model.window }

    /// Events of a history that the model sees.
    package func events(of request: RecommendationRequest) -> Int {
        min(request.history.count, loaded.model.window)
    }

    /// Computes the best rows for each request from its whole history, in order. Histories are not empty.
    ///
    /// - Returns: for each request its rows, best first, fewer than asked for when fewer are eligible; row 0 with the score
    ///   NaN where the model's scores are not numbers.
    /// - Throws: what the device throws; then no request of the batch has an answer.
    package func run(
        _ requests: [RecommendationRequest]
    ) throws(ComputeError) -> (selections: [[ScoredRow]], durations: Durations) {
        let window = HistoryWindow(length: loaded.model.window)
        let passes = requests.map { request in
            let history = UsedHistory(request, window)
            return Pass(history: history, rows: 0..<history.count, asks: request)
        }
        return try run(passes)
    }

    /// Computes passes, none of them without rows.
    ///
    /// - Returns: for each pass that asks what `run(_:)` returns, nothing for the others.
    package func run(
        _ passes: [Pass]
    ) throws(ComputeError) -> (selections: [[ScoredRow]], durations: Durations) {
        let start = Instant.now()
        try stream.begin()
        let queries = try loaded.model.encodeInParts(pack(passes), on: stream)
        let encoded = Instant.now()
        let asking = passes.indices.filter { passes[$0].asks != nil }
        let ticket = try select(asking, passes, queries)
        try stream.synchronize()
        var selections = [[ScoredRow]](repeating: [], count: passes.count)
        if let ticket {
            for (query, index) in asking.enumerated() {
                selections[index] = stream.selected(ticket, query: query)
                // A score that is NaN is never selected. Nothing selected while something is eligible can mean only that.
                if selections[index].isEmpty, let request = passes[index].asks, catalogue.hasEligible(request) {
                    selections[index] = [ScoredRow(row: 0, score: .nan)]
                }
            }
        }
        // Where nothing is selected, waiting for the encoding is all that comes after it.
        let end = Instant.now()
        let durations =
            ticket == nil
            ? Durations(prefill: end.nanoseconds(since: start), topK: 0)
            : Durations(prefill: encoded.nanoseconds(since: start), topK: end.nanoseconds(since: encoded))
        return (selections, durations)
    }

    /// Selects for the passes that ask; nil where none does.
    private func select(_ asking: [Int], _ passes: [Pass], _ queries: Tensor) throws(ComputeError) -> TopKTicket? {
        guard !asking.isEmpty else { return nil }
        var asked = queries
        if asking.count < passes.count {
            asked = try stream.makeTensor(rows: asking.count, columns: queries.columns, dtype: queries.dtype)
            try stream.gatherRows(queries, rows: asking.map { Int32($0) }, output: asked)
        }
        let requests = asking.compactMap { passes[$0].asks }
        return try stream.selectTopK(
            TopKOperation(
                queries: asked,
                catalogue: loaded.model.catalogue,
                masks: requests.map { $0.eligibility.mask(history: $0.history, catalogue: catalogue) },
                counts: requests.map { min($0.count, catalogue.count) }
            )
        )
    }

    /// Lays the rows of all passes back to back.
    private func pack(_ passes: [Pass]) -> SequenceBatch {
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
