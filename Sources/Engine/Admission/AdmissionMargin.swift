// The safety margin of admission: how much longer than predicted admitted requests have taken lately. A pure value.

/// The envelope of observed errors of predictions.
///
/// A mean says nothing about the slow requests, and errors are correlated: while something else occupies the cores,
/// every waiting request takes longer. So the margin rises quickly to the observed error, never beyond it, and falls
/// slowly. It costs no throughput: it shortens the queue, but the queue is never empty under overload.
struct AdmissionMargin: Sendable, Equatable {
    /// The prediction that admission made for a request.
    struct Promise: Sendable, Equatable {
        /// When the prediction was made.
        var from: Instant
        /// Predicted nanoseconds from then to the answer.
        var nanoseconds: UInt64
    }

    /// A wait counts only if it was predicted to be at least this long: shorter ones mostly measure thread scheduling.
    private static let shortest: UInt64 = 2_000_000
    private static let rise = 0.25
    /// The decay per batch of the part above 1: half is left after some eleven thousand batches.
    private static let fall = 1.0 / 16_384
    /// A larger ratio means that the process was stopped for a while.
    private static let largest = 4.0

    /// The factor for a prediction, at least 1.
    private(set) var factor: Double

    init(factor: Double) { self.factor = factor }

    /// Records a promise that was kept now, or that can be kept now at the earliest.
    mutating func observe(_ promise: Promise?, at now: Instant) {
        guard let promise, promise.nanoseconds >= Self.shortest else { return }
        let ratio = min(Self.largest, Double(now.nanoseconds(since: promise.from)) / Double(promise.nanoseconds))
        if ratio > factor { factor += Self.rise * (ratio - factor) }
    }

    /// Lets the margin decay after a batch.
    mutating func forget() { factor -= Self.fall * (factor - 1) }

    /// A time that is hardly ever exceeded if `nanoseconds` is the prediction.
    func padded(_ nanoseconds: UInt64) -> UInt64 {
        UInt64((Double(min(nanoseconds, .max / 8)) * factor).rounded())
    }
}
