// A computation in progress, and the requests that wait for it. A pure value, protected by the engine's lock.

internal import Compute

/// One computation for one or more identical requests.
struct Job: Sendable {
    /// A job's share of a batch's time, and the part of it without the selection, in nanoseconds.
    struct Share: Sendable {
        var all: UInt64
        var rows: UInt64
    }

    /// One waiting request. Each has its own deadline and receives items separately.
    struct Caller: Sendable {
        let request: Scheduler.Request
        let itemGenerated: Engine.ItemHandler?
        let completion: Engine.Completion
    }

    let request: RecommendationRequest
    let model: LoadedModel
    /// The model's number on this engine.
    let lane: Int
    /// Equal for identical requests, and almost never for others.
    let fingerprint: UInt64
    var callers: [Caller]
    private(set) var strategy: any Strategy
    /// Generated rows of the item table, which were fed back.
    private var generated: [Int32] = []
    /// The part of the caller's own history that the model sees.
    let history: UsedHistory
    /// The input of the next pass, generated items last.
    private(set) var seen: UsedHistory
    /// Hashes by which the cache finds the history; nil if the caller names a user.
    let hashes: PrefixHashes?
    /// Whether computed rows may serve later requests.
    var keeps: Bool
    /// The location of its rows. nil before the first pass, and if there is no room; then every pass computes all rows.
    private(set) var lease: UserCache.Lease?
    /// Whether the cache has been searched.
    private(set) var isPrepared = false
    /// How many of the first rows of `seen` are already computed.
    private(set) var rows = 0
    var isRunning = false

    /// When its first pass began.
    var start: Instant?
    var historyCached = 0
    var prefillNanoseconds: UInt64 = 0
    var decodeNanoseconds: UInt64 = 0
    /// Its share of the device's time, and the part spent on cacheable rows of its history.
    private(set) var deviceNanoseconds: UInt64 = 0
    private(set) var storedNanoseconds: UInt64 = 0
    /// Whether those rows stayed in the cache after its lease was returned.
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

    /// Rows of the next pass, if it computes all of them.
    var neededRows: Int { strategy.beamRows > 0 ? strategy.beamRows : seen.count - rows }
    /// Whether those rows can be computed in parts.
    var isDivisible: Bool { lease?.storesRows ?? false }
    /// Its stage, reported when a caller disconnects.
    var stage: CancellationStage {
        if isRunning { return .computing }
        guard start != nil else { return .queued }
        return isDecoding ? .decode : .prefill
    }
    /// Whether it has its first answer.
    var isDecoding: Bool { strategy.hasBegun }
    /// Whether it is a step of a sequence or a round of a search.
    var isStep: Bool { isDecoding && (strategy.beamRows > 0 || neededRows == 1) }

    /// Its remaining work.
    ///
    /// - Parameter predicted: before the first pass, what the cache would save if it ran now, and whether rows can be
    ///   stored.
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

    /// Checks the history out of the cache before the first pass.
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

    // The next four functions run for every job in every batch. They mutate the job in place and return everything at
    // once: reading it from the table would copy it and retain all its members.

    /// Its work in the next pass; nil if there is no room for its reserved rows until another job ends.
    mutating func size(_ cache: inout UserCache?) -> (rows: Int, isDivisible: Bool)? {
        if !isPrepared, seen.count > 0, strategy.reservedRows > 0,
            cache?.hasRoom(for: seen.count, reserving: strategy.reservedRows) == false
        {
            return nil
        }
        prepare(&cache)
        return (neededRows, isDivisible)
    }

    /// Records that a pass has run.
    ///
    /// - Returns: whether any caller still waits.
    mutating func passed(through end: Int, _ share: Share, _ durations: BatchExecutor.Durations) -> Bool {
        isRunning = false
        computed(through: end)
        deviceNanoseconds += share.all
        decodeNanoseconds += durations.topK
        if strategy.beamRows == 0, !isDecoding {
            prefillNanoseconds += durations.prefill
            // Generated items are not cached.
            if isDivisible { storedNanoseconds += share.rows }
        } else {
            decodeNanoseconds += durations.prefill
        }
        return !callers.isEmpty
    }

    /// Accepts the answer to a pass's question.
    ///
    /// - Returns: also the items that are now final, if a caller receives items one by one.
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

    /// The demand reported to the scheduler for its next pass.
    mutating func readmission() -> (requests: [Scheduler.Request], demand: Scheduler.Demand) {
        (callers.map(\.request), demand())
    }

    /// Device time wasted if its callers are gone. Time for rows that stay in the cache is not wasted, because the
    /// user's next request starts where they end.
    var lostNanoseconds: UInt64 { areRowsKept ? deviceNanoseconds - storedNanoseconds : deviceNanoseconds }

    /// Records that rows have been computed.
    private mutating func computed(through end: Int) {
        if isDivisible { rows = end }
    }

    /// Appends a generated row to the model's input. If the window moves, the input becomes another history.
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
            // Generated events did not happen, so these rows are not cached.
            lease = cache?.checkOut(seen, owner: nil, hashes: nil, keeps: false)
            rows = 0
        }
    }

    /// Makes the next pass compute the newest row again.
    mutating func seeAgain() { rows = min(rows, seen.count - 1) }

    /// Returns its cache lease with the rows that are complete.
    mutating func release(to cache: inout UserCache?) {
        if let lease, cache?.checkIn(lease, rows: rows) == true { areRowsKept = true }
        lease = nil
    }

    /// Returns its cache lease without keeping the rows, which cannot be trusted.
    mutating func discard(from cache: inout UserCache?) {
        if let lease { cache?.discard(lease) }
        lease = nil
    }

    /// Drops its rows, whose pages are lost.
    mutating func loseRows() {
        lease = nil
        rows = 0
        historyCached = 0
        storedNanoseconds = 0
        if strategy.reservedRows > 0 {
            // Its beams are lost as well.
            strategy = model.strategy(request)
            isPrepared = false
        }
        // A started job is not looked up again: it may have generated items, which are not part of any history.
        if start == nil { isPrepared = false }
    }

    /// The answer to a caller that waited this long.
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

    /// Counts the history in items, because a prompt's tokens are not events.
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
