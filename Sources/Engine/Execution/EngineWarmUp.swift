// The batches that run before the first request.

internal import CLinux
internal import Catalogue
internal import Compute
internal import Locking
internal import Models

/// The golden cases and the warm-up of a model on a device.
struct Trial {
    let executor: BatchExecutor
    private var check: GoldenCheck?
    private var warmUp: WarmUp

    init(_ executor: BatchExecutor, _ check: GoldenCheck?, _ warmUp: WarmUp) {
        self.executor = executor
        self.check = check
        self.warmUp = warmUp
    }

    /// The measured times.
    var times: ServiceTimeModel { warmUp.times }

    /// Runs the next golden case, or the next batch of the warm-up. On the engine's thread, requests for other models
    /// are served between them.
    ///
    /// - Returns: false if none was left.
    /// - Throws: as `GoldenCheck.next`.
    mutating func next() throws -> Bool {
        if try check?.next(executor) == true { return true }
        return try warmUp.next(executor)
    }
}

/// Representative batches and their times, from which admission predicts.
struct WarmUp {
    /// The number of threads that will compute a batch in service, if the warm-up runs on one background thread; nil:
    /// the warm-up runs as service does.
    var sharedBy: Int?
    /// The batches still to run; the last one is next.
    private var batches: [[Pass]] = []
    /// Whether the next batch has run once.
    private var hasRun = false
    /// The measured times.
    private(set) var times = ServiceTimeModel()

    init(_ batches: [[Pass]] = []) {
        self.batches = batches.filter { $0.allSatisfy { $0.work.rows > 0 } }.reversed()
    }

    /// Runs the next batch. Each runs twice: the first pays for first use, the second gives the service time.
    ///
    /// - Returns: false if none was left.
    mutating func next(_ executor: BatchExecutor) throws(ComputeError) -> Bool {
        guard let batch = batches.last else { return false }
        let start = CLinux_threadNanoseconds()
        let (_, durations) = try executor.answers(batch)
        let ofThread = CLinux_threadNanoseconds() - start
        hasRun.toggle()
        if hasRun { return true }
        batches.removeLast()
        let work = batch.reduce(into: ComputeWork()) { $0 += $1.work }
        times.calibrate(work, nanoseconds: sharedBy.map { ofThread / UInt64($0) } ?? durations.prefill + durations.topK)
        return true
    }
}

extension Engine {
    /// The trial of a model before it serves requests.
    ///
    /// - Parameters:
    ///   - stream: the stream it runs on; nil: a new one.
    ///   - cacheBytes: bytes for the keys and values of the model's users.
    ///   - sharedBy: as in `WarmUp`.
    func trial(
        of resident: ResidentModel,
        _ hosted: HostedModel,
        on stream: (any Stream)?,
        cacheBytes: Int,
        sharedBy: Int? = nil
    ) throws -> Trial {
        let executor = try BatchExecutor(resident, stream: stream, cacheBytes: cacheBytes)
        var warmUp = warmUp(of: executor, hosted.model)
        warmUp.sharedBy = sharedBy
        return Trial(executor, GoldenCheck(hosted), warmUp)
    }

    /// Representative batches that allocate memory, load code and let admission predict: long and short histories, one
    /// and several together, with and without a selection, and a step on many cached rows.
    func warmUp(of executor: BatchExecutor, _ model: LoadedModel) -> WarmUp {
        if let paths = model.paths { return warmUp(of: executor, paths) }
        let catalogue = model.catalogue
        guard let row = catalogue.items.popularityOrder.first else { return WarmUp() }
        var pool: PrefixCacheDescription.Pool?
        if case .exact(let description) = executor.prefixCache { pool = description }
        let limit = state.withLock { $0.scheduler.configuration.eventLimit(isDivisible: pool != nil) }
        let chunk = min(limit, SchedulerConfiguration.shortChunkEvents)
        let longest = pool == nil ? executor.window : min(executor.window, chunk)
        func pass(_ length: Int, cached: Int = 0, asks: Bool = true) -> Pass {
            let request = RecommendationRequest(
                history: Array(repeating: row, count: cached + length),
                timestamps: Array(repeating: 0, count: cached + length),
                requestTime: 0,
                count: 1,
                arrival: .now()
            )
            let pages = pool.map { (cached + $0.pageRows - 1) / $0.pageRows } ?? 0
            return Pass(
                history: UsedHistory(
                    start: 0,
                    items: request.history,
                    timestamps: request.timestamps,
                    followingTime: 0
                ),
                rows: cached..<cached + length,
                cached: cached == 0
                    ? .none : PagedSequence(rows: cached, pages: (0..<Int32(pages)).map(\.self), storesRows: false),
                asks: asks ? request.strategy(catalogue).question : nil
            )
        }
        var batches = [
            [pass(1)], [pass(longest)], [pass(longest, asks: false)], [pass((longest + 3) / 4)],
            Array(repeating: pass((longest + 7) / 8), count: 4), Array(repeating: pass(1), count: 8),
        ]
        if let pool {
            // Nothing has been stored yet; the contents of the pages do not affect the time.
            let cached = min(executor.window - 1, (pool.pageCount - 1) * pool.pageRows)
            if cached > 0 {
                batches.append([pass(1, cached: cached)])
                batches.append([pass(min(longest, executor.window - cached / 2), cached: cached / 2)])
            }
        }
        return WarmUp(batches)
    }

    /// The same for items that are token paths: prompts and rounds of a search.
    private func warmUp(of executor: BatchExecutor, _ paths: PathCatalogue) -> WarmUp {
        guard paths.trie.itemCount > 0, case .exact(let pool) = executor.prefixCache else { return WarmUp() }
        let trie = paths.trie
        let prompt = paths.longestPrompt
        let limit = state.withLock { $0.scheduler.configuration.eventLimit(isDivisible: true) }
        let longest = max(1, min(prompt, min(limit, SchedulerConfiguration.shortChunkEvents)))
        let first = PathRound(
            paths,
            BeamSearch(
                trie: trie,
                filter: .everything,
                widths: [Int](repeating: paths.ids.defaultBeams, count: trie.levels),
                tail: paths.tail
            )
        )
        func history(_ length: Int) -> UsedHistory {
            UsedHistory(
                start: 0,
                items: [Int32](repeating: trie.token(level: 0, node: 0), count: length),
                timestamps: nil,
                followingTime: 0
            )
        }
        // Nothing has been stored yet; the contents of the pages do not affect the time.
        func pages(_ rows: Int) -> [Int32] { (0..<Int32((rows + pool.pageRows - 1) / pool.pageRows)).map { $0 } }
        func pass(_ length: Int, cached: Int = 0, asks: Bool = true) -> Pass {
            Pass(
                history: history(cached + length),
                rows: cached..<cached + length,
                cached: cached == 0
                    ? .none : PagedSequence(rows: cached, pages: pages(cached), storesRows: false),
                asks: asks ? .paths(first) : nil
            )
        }
        let second = first.advanced(
            [Float](repeating: -1, count: first.candidates?.tokens.count ?? 0)
        )
        // Each of several rounds has its own pages for beams, from the end of the pool.
        let beamPages = second.keepsRows ? Int32(pages(second.beamRows).count) : 0
        func round(cached: Int, number: Int32 = 0) -> Pass {
            let end = Int32(pool.pageCount) - number * beamPages
            return Pass(
                history: history(cached),
                rows: cached..<cached,
                cached: PagedSequence(rows: cached, pages: pages(cached), storesRows: false),
                beamPages: (end - beamPages..<end).map { $0 },
                asks: .paths(second)
            )
        }
        var batches = [
            [pass(1)], [pass(longest)], [pass(longest, asks: false)], [pass((longest + 3) / 4)],
            Array(repeating: pass((longest + 7) / 8), count: 4), Array(repeating: pass(1), count: 8),
        ]
        let most = min(prompt, (pool.pageCount - 4 * Int(beamPages)) * pool.pageRows)
        if most > 0, second.beamRows > 0 {
            batches += [
                [round(cached: 1)], [round(cached: most)],
                (0..<4).map { round(cached: max(1, most / 8), number: $0) },
            ]
        }
        if most > 1 { batches.append([pass(1, cached: most - 1)]) }
        return WarmUp(batches)
    }
}
