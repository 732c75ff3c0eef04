// HSTU's logarithmic time buckets on the host, for timestamps whose differences exceed 64 bits and which no operator
// handles.

internal import Glibc

enum TimeBuckets {
    /// `clamp(trunc(ln(max(1, |Δ|)) / 0.301), 0, count − 1)` in float32; a difference beyond 64 bits counts as the
    /// greatest.
    static func bucket(_ later: Int64, _ earlier: Int64, count: Int) -> Int32 {
        let (difference, overflow) = later.subtractingReportingOverflow(earlier)
        let magnitude = overflow || difference == .min ? Int64.max : abs(difference)
        let logarithm = Float(log(Double(Float(max(1, magnitude)))))
        return Int32(min(Int(logarithm / 0.301), count - 1))
    }

    /// Whether every difference between two of these fits 64 bits.
    static func areClose(_ times: some Sequence<Int64>) -> Bool {
        var (least, most) = (Int64.max, Int64.min)
        for time in times { (least, most) = (min(least, time), max(most, time)) }
        return least > most || !most.subtractingReportingOverflow(least).overflow
    }
}
