// What the engine tells the outside while it works. Service turns it into metrics and logs; the engine itself neither
// logs nor counts.

package import Compute

/// How far a request had come when its caller went away.
package enum CancellationStage: String, Sendable, Hashable, CaseIterable {
    /// It waited and was taken out: nothing was computed for it.
    case queued
    /// Its batch was running or had just run: the work was in vain.
    case computing
}

/// A batch that has run.
package struct BatchReport: Sendable {
    /// How long each request whose first pass this was had waited, in nanoseconds.
    package var queueWaits: [UInt64]
    /// Events computed for each request.
    package var lengths: [Int]
    package var durations: BatchExecutor.Durations
    package var memory: DeviceMemory
}

/// Receives the engine's events: on the engine's thread, except `cancelled` and `queueDepthChanged`, which come from
/// whatever thread caused them. Implementations return at once.
package protocol EngineObserver: AnyObject, Sendable {
    func batchFinished(_ report: BatchReport)
    func deviceFailed(_ error: ComputeError)
    func cancelled(at stage: CancellationStage)
    func queueDepthChanged(to depth: Int)
    func phaseChanged(to phase: EnginePhase)
}
