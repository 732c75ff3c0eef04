// The observer of engines in these tests.

import Compute
import Dispatch
import Engine
import Locking

/// Signals when the engine is ready or has failed, and keeps the statistics of its cache.
final class ReadyObserver: EngineObserver {
    let changed = DispatchSemaphore(value: 0)
    let statistics = Lock(UserCache.Statistics())

    func batchFinished(_ report: BatchReport) {}
    func deviceFailed(_ error: ComputeError, device: String) {}
    func deviceRecovered(_ device: String) {}
    func cancelled(at stage: CancellationStage) {}
    func deduplicated(_ model: ModelID) {}
    func computedInVain(nanoseconds: UInt64) {}
    func cachesChanged(to statistics: [ModelID: UserCache.Statistics]) {
        // There is one model.
        self.statistics.withLock { $0 = statistics.values.first ?? $0 }
    }
    func queueDepthChanged(to depth: Int) {}
    func phaseChanged(to phase: EnginePhase) {
        switch phase {
        case .ready, .failed: changed.signal()
        default: break
        }
    }
}
