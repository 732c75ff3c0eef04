// Events that the engine reports while it works. Service turns them into metrics and logs; the engine itself neither
// logs nor counts.

package import Compute

/// The stage that a request had reached when its caller disconnected.
package enum CancellationStage: String, Sendable, Hashable, CaseIterable {
    /// It was still waiting: nothing was computed for it.
    case queued
    /// Between two parts of its history.
    case prefill
    /// Between two steps of its sequence.
    case decode
    /// Its batch was running or had just run: the work was wasted, unless other requests share it.
    case computing
}

/// A batch's work for searches over token paths.
package struct PathReport: Sendable, Equatable {
    /// Rounds of requests, including the rounds that encode their prompts.
    package var rounds = 0
    /// Rows of beams.
    package var rows = 0
    /// Candidate next tokens that were scored.
    package var candidates = 0
    /// Prompt rows that beams share instead of copying.
    package var sharedRows = 0
}

/// A batch that has run.
package struct BatchReport: Sendable {
    package var model: ModelID
    /// Queueing times of the requests whose first pass this was, in nanoseconds.
    package var queueWaits: [UInt64]
    /// Events computed for each sequence.
    package var lengths: [Int]
    /// Sequences that took a decoding step; for the others, histories were encoded.
    package var steps: Int
    /// The part of searches over token paths.
    package var paths = PathReport()
    package var durations: BatchExecutor.Durations
    /// The predicted time; 0 if no prediction was possible.
    package var predictedNanoseconds: UInt64
    /// The time from the decision to run the batch to its results.
    package var elapsedNanoseconds: UInt64
    package var memory: DeviceMemory
    /// Name of the device that computed it.
    package var device: String
    /// The fallback computed the batch, not the engine's own device.
    package var isFallback: Bool
}

/// Receives the engine's events: on the engine's thread, except `cancelled`, `deduplicated`, `computedInVain`,
/// `cachesChanged` and `queueDepthChanged`, which come from the thread that caused them. Implementations must return
/// quickly.
package protocol EngineObserver: AnyObject, Sendable {
    func batchFinished(_ report: BatchReport)
    /// - Parameter device: its name.
    func deviceFailed(_ error: ComputeError, device: String)
    /// A failed device was recreated and has passed its warm-up.
    func deviceRecovered(_ device: String)
    func cancelled(at stage: CancellationStage)
    /// A request joined an identical one that was waiting.
    func deduplicated(_ model: ModelID)
    /// Device time was wasted on a request whose callers have all left.
    func computedInVain(nanoseconds: UInt64)
    /// - Parameter statistics: one entry for every model that has or had a cache.
    func cachesChanged(to statistics: [ModelID: UserCache.Statistics])
    func queueDepthChanged(to depth: Int)
    func phaseChanged(to phase: EnginePhase)
}
