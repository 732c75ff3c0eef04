// The limits of the scheduler.

/// Limits of the queue and of a batch.
package struct SchedulerConfiguration: Sendable, Equatable {
    /// Requests that may wait; one more is refused.
    package var maxQueuedRequests = 1_024
    /// Predicted compute time of all waiting jobs; a request beyond it is refused, unless nothing waits. 0: no limit.
    package var maxQueuedNanoseconds: UInt64 = 30_000_000_000
    /// Sequences in one batch.
    package var maxBatchSequences = 32
    /// Events of all sequences in one batch. A single longer history that cannot be computed in parts still runs,
    /// alone.
    package var maxBatchEvents = 8_192
    /// The most events per batch of histories that can be computed in parts; more than `shortChunkEvents` only if they
    /// are predicted to take at most `chunkNanoseconds`. A step of a generated sequence never waits for more than one
    /// such batch.
    package var prefillChunkEvents = 8_192
    /// Enough for a device to compute a wide model at full speed. A narrow model needs more, because the fixed cost of
    /// a batch matters there.
    static let shortChunkEvents = 512
    static let chunkNanoseconds: UInt64 = 5_000_000
    /// The minimum time that an idle engine waits for more requests, counted from the oldest request's arrival.
    package var minWaitNanoseconds: UInt64 = 0
    /// The maximum additional wait; the actual one follows from service times and the arrival rate.
    package var maxWaitNanoseconds: UInt64 = 2_000_000
    /// How much later a request is due for each level of priority below high. No request starves: one level of priority
    /// outweighs only this much waiting.
    package var priorityAdvantageNanoseconds: UInt64 = 500_000_000

    package init() {}

    /// The most events in a batch of histories that can, or cannot, be computed in parts.
    func eventLimit(isDivisible: Bool) -> Int {
        isDivisible ? min(prefillChunkEvents, maxBatchEvents) : maxBatchEvents
    }
}
