// What the engine tells the outside while it works. Service turns it into metrics and logs; the engine itself neither
// logs nor counts.

package import Compute

/// How far a request had come when its caller went away.
package enum CancellationStage: String, Sendable, Hashable, CaseIterable {
    /// It waited and was taken out: nothing was computed for it.
    case queued
    /// Between two parts of its history.
    case prefill
    /// Between two steps of its sequence.
    case decode
    /// Its batch was running or had just run: the work was in vain, unless others wait for the same.
    case computing
}

/// What a batch computed of searches over token paths.
package struct PathReport: Sendable, Equatable {
    /// Rounds of requests, those of their prompts included.
    package var rounds = 0
    /// Rows of beams.
    package var rows = 0
    /// Tokens that could follow, and were scored.
    package var candidates = 0
    /// Rows of prompts that the beams read where they are, instead of each in a copy of its own.
    package var sharedRows = 0
}

/// A batch that has run.
package struct BatchReport: Sendable {
    package var model: ModelID
    /// How long each request whose first pass this was had waited, in nanoseconds.
    package var queueWaits: [UInt64]
    /// Events computed for each sequence.
    package var lengths: [Int]
    /// Sequences that took a step; the others' histories were read in.
    package var steps: Int
    /// Of searches over token paths.
    package var paths = PathReport()
    package var durations: BatchExecutor.Durations
    /// What the scheduler expected it to take; 0: it had nothing to judge by.
    package var predictedNanoseconds: UInt64
    /// What it took, from the decision to compute it to its results.
    package var elapsedNanoseconds: UInt64
    package var memory: DeviceMemory
    /// Name of the device that computed it.
    package var device: String
    /// It was the fallback, in place of the engine's own device.
    package var isFallback: Bool
}

/// Receives the engine's events: on the engine's thread, except `cancelled`, `deduplicated`, `computedInVain`,
/// `cachesChanged` and `queueDepthChanged`, which come from whatever thread caused them. Implementations return at once.
package protocol EngineObserver: AnyObject, Sendable {
    func batchFinished(_ report: BatchReport)
    /// - Parameter device: its name.
    func deviceFailed(_ error: ComputeError, device: String)
    /// A device that had failed was made again, and has passed its warm-up.
    func deviceRecovered(_ device: String)
    func cancelled(at stage: CancellationStage)
    /// A request was added to one that waited and asks the same.
    func deduplicated(_ model: ModelID)
    /// Device time of a request that nobody waits for any more.
    func computedInVain(nanoseconds: UInt64)
    /// - Parameter statistics: of every model that the engine has and keeps anything of, or has kept.
    func cachesChanged(to statistics: [ModelID: UserCache.Statistics])
    func queueDepthChanged(to depth: Int)
    func phaseChanged(to phase: EnginePhase)
}
