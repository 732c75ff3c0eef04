// A computation on its way through the engine, and everyone who waits for it. A pure value, kept behind the engine's lock.

internal import Compute

/// What one or more callers have asked for: the same thing, so that it is computed once.
struct Job: Sendable {
    /// What it has of a batch's time, and what of that is not its selection's. Nanoseconds.
    struct Share: Sendable {
        var all: UInt64
        var rows: UInt64
    }

    /// One of those who wait. Each has its own deadline and is told the items by itself.
    struct Caller: Sendable {
        let request: Scheduler.Request
        let itemGenerated: Engine.ItemHandler?
        let completion: Engine.Completion
    }

    let request: RecommendationRequest
    let model: LoadedModel
    /// The model's number on this engine.
    let lane: Int
    /// Equal for requests that ask the same, and for hardly any others.
    let fingerprint: UInt64
    var callers: [Caller]
    private(set) var strategy: any Strategy
    /// Rows of the item table that were fed back.
    private var generated: [Int32] = []
    /// The part of the caller's own history that the model sees.
    let history: UsedHistory
    /// What the next pass sees: with what was generated at its end.
    private(set) var seen: UsedHistory
    /// By which the cache finds the history; nil where the caller names a user.
    let hashes: PrefixHashes?
    /// Whether what is computed may serve later requests.
    var keeps: Bool
    /// Where its rows are. nil before the first pass, and where there is no room: then every pass computes all rows.
    private(set) var lease: UserCache.Lease?
    /// Whether the cache has been asked.
    private(set) var isPrepared = false
    /// The first so many rows of `seen` need not be computed.
    private(set) var rows = 0
    var isRunning = false

    /// When its first pass began.
    var start: Instant?
    var historyCached = 0
    var prefillNanoseconds: UInt64 = 0
    var decodeNanoseconds: UInt64 = 0
    /// Its share of the device's time, and what of that went into rows of its history that may be kept.
    private(set) var deviceNanoseconds: UInt64 = 0
    private(set) var storedNanoseconds: UInt64 = 0
    /// Whether they are, now that it has given them back.
    private var areRowsKept = false

    init(
        _ request: RecommendationRequest,
        of model: LoadedModel,
        lane: Int,
        history: UsedHistory,
        hashes: PrefixHashes?,
        strategy: any Strategy,
        fingerprint: UInt64,
        caller: Caller
    ) {
        self.request = request
        self.model = model
        self.lane = lane
        self.history = history
        self.hashes = hashes
        self.fingerprint = fingerprint
        callers = [caller]
        self.strategy = strategy
        seen = history
        keeps = true
    }

    /// Rows of the next pass, if it computes all there are.
    var neededRows: Int { strategy.beamRows > 0 ? strategy.beamRows : seen.count - rows }
    /// Whether they can be computed in parts.
    var isDivisible: Bool { lease?.storesRows ?? false }
    /// How far it has come, for whoever goes away.
    var stage: CancellationStage {
        if isRunning { return .computing }
        guard start != nil else { return .queued }
        return isDecoding ? .decode : .prefill
    }
    /// Whether its first answer is there.
    var isDecoding: Bool { strategy.hasBegun }
    /// Whether it is a step of a sequence or a round of a search.
    var isStep: Bool { isDecoding && (strategy.beamRows > 0 || neededRows == 1) }

    /// What it has still to compute.
    ///
    /// - Parameter predicted: before the first pass: what the cache would save if it ran now, and whether rows can be stored.
    func demand(predicted: (rows: Int, storesRows: Bool)? = nil) -> Scheduler.Demand {
        let rows = predicted?.rows ?? rows
        let storesRows = predicted?.storesRows ?? isDivisible
        if let step = strategy.stepWork(after: seen.count) {
            return Scheduler.Demand(
                lane: lane,
                work: isDecoding ? step : ComputeWork(rows: rows..<seen.count, scans: 1),
                isDivisible: !isDecoding,
                steps: seen.count == 0 ? 0 : strategy.laterSteps,
                stepWork: step,
                isStep: isDecoding
            )
        }
        let known = request.history.count + generated.count
        let window = model.window
        let isStill = storesRows && window.start(of: known + 1) == seen.start
        let step = isStill ? seen.count..<seen.count + 1 : 0..<min(seen.count + 1, window.length)
        let scans = strategy.question.scans
        return Scheduler.Demand(
            lane: lane,
            work: ComputeWork(rows: rows..<seen.count, scans: scans),
            isDivisible: storesRows,
            steps: seen.count == 0 ? 0 : strategy.laterSteps,
            stepWork: ComputeWork(rows: step, scans: scans),
            isStep: storesRows && isDecoding && seen.count - rows == 1
        )
    }

    /// Asks the cache, before the first pass.
    mutating func prepare(_ cache: inout UserCache?) {
        guard !isPrepared else { return }
        isPrepared = true
        guard seen.count > 0 else { return }
        lease = cache?.checkOut(
            seen,
            owner: keeps ? request.userID : nil,
            hashes: hashes,
            keeps: keeps,
            reserving: strategy.reservedRows
        )
        rows = lease?.rows ?? 0
        historyCached = rows
    }

    /// The pass that computes the next `count` rows.
    func pass(_ count: Int) -> Pass {
        if strategy.beamRows > 0 {
            return Pass(
                history: seen,
                rows: seen.count..<seen.count,
                cached: PagedSequence(rows: seen.count, pages: lease?.pages ?? [], storesRows: false),
                beamPages: lease?.reservedPages ?? [],
                asks: strategy.question
            )
        }
        let end = rows + count
        return Pass(
            history: seen,
            rows: rows..<end,
            cached: lease.map { PagedSequence(rows: rows, pages: $0.pages, storesRows: $0.storesRows) } ?? .none,
            asks: end == seen.count ? strategy.question : nil
        )
    }

    // The four that follow run for every job in every batch. They change it where it is, and say all that is to be known at
    // once: to read it from the table copies it, and counts the references of everything in it.

    /// What it has to compute now; nil: there is no room for what it has to keep, until another job ends.
    mutating func size(_ cache: inout UserCache?) -> (rows: Int, isDivisible: Bool)? {
        if !isPrepared, seen.count > 0, strategy.reservedRows > 0,
            cache?.hasRoom(for: seen.count, reserving: strategy.reservedRows) == false
        {
            return nil
        }
        prepare(&cache)
        return (neededRows, isDivisible)
    }

    /// Notes that a pass has run.
    ///
    /// - Returns: whether anybody waits for it still.
    mutating func passed(through end: Int, _ share: Share, _ durations: BatchExecutor.Durations) -> Bool {
        isRunning = false
        computed(through: end)
        deviceNanoseconds += share.all
        decodeNanoseconds += durations.topK
        if strategy.beamRows == 0, !isDecoding {
            prefillNanoseconds += durations.prefill
            // What is generated is not kept.
            if isDivisible { storedNanoseconds += share.rows }
        } else {
            decodeNanoseconds += durations.prefill
        }
        return !callers.isEmpty
    }

    /// Takes the answer to what a pass asked.
    ///
    /// - Returns: also the items that are final by it, for those who are told of each.
    mutating func take(
        _ answer: Answer
    ) -> (progress: Progress, items: [(item: ScoredRow, rank: Int)], callers: [Caller]) {
        let known = strategy.items.count
        let progress = strategy.take(answer)
        guard strategy.findsItemsOneByOne, progress != .failed,
            callers.contains(where: { $0.itemGenerated != nil })
        else { return (progress, [], []) }
        let items = strategy.items[known...].enumerated().map { (item: $1, rank: known + $0 + 1) }
        return (progress, items, callers)
    }

    /// What the scheduler is told when it comes back for its next pass.
    mutating func readmission() -> (requests: [Scheduler.Request], demand: Scheduler.Demand) {
        (callers.map(\.request), demand())
    }

    /// Device time that nobody has anything of, if its callers are gone: what its rows took is not lost while they are kept, for
    /// the user's next request begins where they end.
    var lostNanoseconds: UInt64 { areRowsKept ? deviceNanoseconds - storedNanoseconds : deviceNanoseconds }

    /// Notes that rows have been computed.
    private mutating func computed(through end: Int) {
        if isDivisible { rows = end }
    }

    /// Lets the model see a row that was found: one more row, or, where the window moves on, another history.
    mutating func see(_ row: Int32, _ cache: inout UserCache?) {
        generated.append(row)
        let window = model.window
        let time = request.requestTime
        if window.start(of: request.history.count + generated.count) == seen.start {
            seen.items.append(row)
            seen.timestamps?.append(time)
            if !seen.actions.isEmpty { seen.actions.append(0) }
            if var lease, lease.storesRows {
                _ = cache?.extend(&lease, to: seen.count)
                self.lease = lease
            }
        } else {
            release(to: &cache)
            seen = UsedHistory(request, generated: generated, window)
            // What is generated has not happened: nothing of this is kept.
            lease = cache?.checkOut(seen, owner: nil, hashes: nil, keeps: false)
            rows = 0
        }
    }

    /// Lets the model see its newest row once more.
    mutating func seeAgain() { rows = min(rows, seen.count - 1) }

    /// Gives back what it holds of the cache, with the rows that are whole.
    mutating func release(to cache: inout UserCache?) {
        if let lease, cache?.checkIn(lease, rows: rows) == true { areRowsKept = true }
        lease = nil
    }

    /// Gives back what it holds of the cache, none of which can be trusted.
    mutating func discard(from cache: inout UserCache?) {
        if let lease { cache?.discard(lease) }
        lease = nil
    }

    /// Forgets its rows: the pages that held them are gone.
    mutating func loseRows() {
        lease = nil
        rows = 0
        historyCached = 0
        storedNanoseconds = 0
        if strategy.reservedRows > 0 {
            // Its beams are gone as well.
            strategy = model.strategy(request)
            isPrepared = false
        }
        // What has begun is not looked up again: it may have generated items, which are no part of anybody's history.
        if start == nil { isPrepared = false }
    }

    /// The answer to a caller who waited so long.
    func recommendation(queued: UInt64) -> Recommendation {
        var recommendation = Recommendation(
            items: strategy.items,
            source: .model,
            historyUsed: history.count,
            historyCached: historyCached,
            historyStart: model.window.stride > 0 ? history.start : nil,
            exhausted: strategy.isExhausted,
            timing: Recommendation.Timing(queue: queued, prefill: prefillNanoseconds, decode: decodeNanoseconds)
        )
        if let paths = model.paths { tell(paths, in: &recommendation) }
        return recommendation
    }

    /// A prompt's tokens are no events: what is said of the history is counted in items.
    private func tell(_ paths: PathCatalogue, in recommendation: inout Recommendation) {
        recommendation.paths = strategy.facts
        recommendation.paths?.promptTokens = history.count
        recommendation.paths?.tokensCached = historyCached
        let isLaidOut = request.paths.prompt == nil
        let start = model.window.start(of: request.history.count)
        recommendation.historyUsed = isLaidOut ? request.history.count - start : 0
        recommendation.historyCached =
            isLaidOut ? min(recommendation.historyUsed, paths.items(inTokens: historyCached)) : 0
        recommendation.historyStart = isLaidOut && model.window.stride > 0 ? start : nil
    }
}
