// An engine over the stub device, and a record of its reports.

import Catalogue
import Compute
import Dispatch
import Locking
import Models
import Synchronization
import Testing

@testable import Engine

/// Collects the engine's reports.
final class RecordingObserver: EngineObserver {
    struct Record {
        var phases: [EnginePhase] = []
        var cancellations: [CancellationStage] = []
        var failures: [ComputeError] = []
        /// Names of the devices that failed, and of those that recovered.
        var failedDevices: [String] = []
        var recoveries: [String] = []
        /// Sequences of each batch that the fallback computed.
        var fallbackSizes: [Int] = []
        var batchSizes: [Int] = []
        var steps: [Int] = []
        var deduplicated = 0
        var vain = 0
        /// Across all models.
        var cache = UserCache.Statistics()
        var caches: [ModelID: UserCache.Statistics] = [:]
    }

    let record = Lock(Record())
    private let readyOrEnded = DispatchSemaphore(value: 0)

    func batchFinished(_ report: BatchReport) {
        record.withLock {
            $0.batchSizes.append(report.lengths.count)
            if report.isFallback { $0.fallbackSizes.append(report.lengths.count) }
            $0.steps.append(report.steps)
        }
    }
    func deduplicated(_ model: ModelID) { record.withLock { $0.deduplicated += 1 } }
    func computedInVain(nanoseconds: UInt64) { record.withLock { $0.vain += 1 } }
    func cachesChanged(to statistics: [ModelID: UserCache.Statistics]) {
        record.withLock { record in
            record.caches = statistics
            record.cache = statistics.values.reduce(UserCache.Statistics(), +)
        }
    }
    func deviceFailed(_ error: ComputeError, device: String) {
        record.withLock {
            $0.failures.append(error)
            $0.failedDevices.append(device)
        }
    }
    func deviceRecovered(_ device: String) { record.withLock { $0.recoveries.append(device) } }
    func cancelled(at stage: CancellationStage) { record.withLock { $0.cancellations.append(stage) } }
    func queueDepthChanged(to depth: Int) {}
    func phaseChanged(to phase: EnginePhase) {
        record.withLock { $0.phases.append(phase) }
        switch phase {
        case .ready, .failed: readyOrEnded.signal()
        default: break
        }
    }

    func waitUntilReadyOrFailed() { readyOrEnded.wait() }
}

/// A started, ready engine over a stub; it collects answers by name.
final class Fixture: Sendable {
    typealias Outcome = Result<Recommendation, EngineError>

    let control: DeviceControl
    /// For the fallback, if there is one.
    let fallbackControl = DeviceControl(isGated: false)
    let observer = RecordingObserver()
    let engine: Engine
    let model: LoadedModel
    let ended = DispatchSemaphore(value: 0)
    private let outcomes = Lock<[String: Outcome]>([:])
    private let answered = DispatchSemaphore(value: 0)

    /// - Parameters:
    ///   - cachePages: pages of four rows; 0: the model allows none.
    ///   - hasFallback: whether a second stub is the device's fallback.
    ///   - shared: the model of another fixture, with the same window; nil: a new model.
    ///   - firstPause: nanoseconds until a failed device is made again; later pauses are at most four times as long.
    init(
        gated: Bool = false,
        cachePages: Int = 0,
        windowStride: Int = 0,
        window: Int = 8,
        hasFallback: Bool = false,
        firstPause: UInt64 = 1_000_000,
        model shared: LoadedModel? = nil,
        _ change: (inout SchedulerConfiguration) -> Void = { _ in }
    ) throws {
        let control = DeviceControl(isGated: false)
        self.control = control
        var configuration = SchedulerConfiguration()
        // The stub's times mean nothing and must not decide when a batch starts.
        configuration.maxWaitNanoseconds = 0
        change(&configuration)
        engine = Engine(configuration, observer: observer)
        model =
            shared
            ?? LoadedModel(
                window: HistoryWindow(length: window, stride: windowStride),
                catalogue: CatalogueSnapshot(Catalogue.numbered(rows: 101))
            )
        var backoff = RecoveryBackoff()
        backoff.firstNanoseconds = firstPause
        backoff.mostNanoseconds = 4 * firstPause
        var device = DeviceSource(
            backoff: backoff,
            make: {
                try control.takeLoadFailure()
                return StubDevice(control)
            }
        )
        if hasFallback {
            device.makeFallback = { [fallbackControl] in StubDevice(fallbackControl, name: "spare") }
        }
        let source = Self.source(window: window, cachePages: cachePages)
        try engine.start(device, [(model, source)], ended: { [ended] in ended.signal() })
        observer.waitUntilReadyOrFailed()
        control.state.withLock {
            $0.batches.removeAll()
            $0.cached.removeAll()
        }
        fallbackControl.state.withLock {
            $0.batches.removeAll()
            $0.cached.removeAll()
        }
        control.isGated.store(gated, ordering: .releasing)
    }

    /// A model of 101 rows.
    static func source(window: Int, cachePages: Int) -> ModelSource {
        ModelSource(cacheBytes: cachePages) { device in
            ResidentModel(
                device: device,
                model: StubModel(window: window, rows: 101, keepsRows: cachePages > 0)
            )
        }
    }

    var prefixCache: PrefixCacheDescription? { engine.prefixCache(of: model.id) }

    func request(
        _ history: [Int32],
        count: Int = 3,
        user: String? = nil,
        deadlineIn milliseconds: UInt64? = nil
    ) -> RecommendationRequest {
        let now = Instant.now()
        return RecommendationRequest(
            userID: user,
            history: history,
            timestamps: nil,
            requestTime: 0,
            count: count,
            arrival: now,
            deadline: milliseconds.map { now.advanced(by: $0 * 1_000_000) }
        )
    }

    @discardableResult
    func submit(_ name: String, _ request: RecommendationRequest, to other: LoadedModel? = nil) throws -> Ticket {
        try engine.submit(request, to: other ?? model) { outcome in
            self.outcomes.withLock { $0[name] = outcome }
            self.answered.signal()
        }
    }

    /// Waits for this many answers; returns all answers so far.
    func wait(for count: Int) -> [String: Outcome] {
        for _ in 0..<count { answered.wait() }
        return outcomes.withLock { $0 }
    }

    func rows(_ outcome: Outcome?) throws -> [Int32] { try #require(outcome).get().items.map(\.row) }

    func release() {
        control.isGated.store(false, ordering: .releasing)
        control.gate.signal()
    }
}
