// How much longer than predicted admitted requests have taken lately: what admission keeps back. A pure value.

/// The envelope of observed errors of predictions.
///
/// A mean says nothing about the requests that fared worse, and errors come together: while something else occupies the
/// cores, every waiting request takes longer. The margin therefore rises quickly to the observed error, never beyond it,
/// and falls slowly. It costs no throughput: the queue gets shorter, but is never empty while there is more work than can
/// be done.
struct AdmissionMargin: Sendable, Equatable {
    /// The prediction that admission made for a request.
    struct Promise: Sendable, Equatable {
        /// When it was said.
        var from: Instant
        /// Nanoseconds from then to the answer.
        var nanoseconds: UInt64
    }

    /// A request that waits is predicted to wait at least so long before its error counts: of shorter times what the system's
    /// threads do is the larger part.
    private static let shortest: UInt64 = 2_000_000
    private static let rise = 0.25
    /// The decay of the part above 1 with each batch: half is left after some eleven thousand.
    private static let fall = 1.0 / 16_384
    /// Worse than this is a process that was stopped.
    private static let largest = 4.0

    /// The factor for a prediction, at least 1.
    private(set) var factor: Double

    init(factor: Double) { self.factor = factor }

    /// Takes note of when a promise was kept, or at the earliest could have been.
    mutating func observe(_ promise: Promise?, at now: Instant) {
        guard let promise, promise.nanoseconds >= Self.shortest else { return }
        let ratio = min(Self.largest, Double(now.nanoseconds(since: promise.from)) / Double(promise.nanoseconds))
        if ratio > factor { factor += Self.rise * (ratio - factor) }
    }

    /// A batch has passed.
    mutating func forget() { factor -= Self.fall * (factor - 1) }

    /// A time that is hardly ever exceeded, where `nanoseconds` is predicted.
    func padded(_ nanoseconds: UInt64) -> UInt64 {
        UInt64((Double(min(nanoseconds, .max / 8)) * factor).rounded())
    }
}
