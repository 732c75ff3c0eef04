// A distribution in fixed buckets: durations, batch sizes. Created by `MetricRegistry`, held by its user.

import Synchronization

/// Counts of observed values by bucket, and their sum.
///
/// `observe` never locks: a binary search, one atomic add, and a compare-and-swap on the sum's bit pattern (lock-free:
/// a thread retries only if another one has just succeeded). The number of observations is not stored but summed over
/// the buckets on reading, so that `_count` and the `+Inf` bucket agree in every scrape; the sum may be an observation
/// ahead or behind.
package final class Histogram: ExposedInstrument {
    private let buckets: HistogramBuckets
    private let counts: AtomicCounts
    private let sumBits = Atomic<UInt64>(0)

    init(buckets: HistogramBuckets) {
        self.buckets = buckets
        counts = AtomicCounts(count: buckets.bounds.count + 1)
    }

    /// Records one value, in the histogram's unit. Drops non-finite values, which would spoil the sum forever. Counts
    /// negative ones (from a clock that stepped back) as zero, because the sum must not decrease.
    package func observe(_ value: Double) {
        guard value.isFinite else { return }
        let value = max(value, 0)
        counts.increment(bucket(of: value))
        var seen = sumBits.load(ordering: .relaxed)
        while true {
            let sum = (Double(bitPattern: seen) + value).bitPattern
            let (exchanged, original) = sumBits.weakCompareExchange(
                expected: seen,
                desired: sum,
                ordering: .relaxed
            )
            if exchanged { return }
            seen = original
        }
    }

    /// Records a duration in seconds.
    package func observe(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(Double(seconds) + Double(attoseconds) * 1e-18)
    }

    /// The sum of everything observed.
    package var sum: Double { Double(bitPattern: sumBits.load(ordering: .relaxed)) }

    /// Observations per bucket, not cumulative; the last bucket extends to +∞.
    package var bucketCounts: [UInt64] { (0..<counts.count).map(counts.load) }

    /// The first bucket whose bound is at least `value`; a bucket includes its bound (`le`).
    private func bucket(of value: Double) -> Int {
        var low = 0
        var high = buckets.bounds.count
        while low < high {
            let middle = (low + high) / 2
            if buckets.bounds[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func write(_ series: SeriesName, to exposition: inout Exposition) {
        var cumulative: UInt64 = 0
        for (index, count) in bucketCounts.enumerated() {
            cumulative &+= count
            let bound = index < buckets.bounds.count ? buckets.bounds[index] : .infinity
            exposition.sample(series, suffix: "_bucket", upperBound: bound, value: cumulative)
        }
        exposition.sample(series, suffix: "_sum", value: sum)
        exposition.sample(series, suffix: "_count", value: cumulative)
    }
}

/// A fixed number of adjacent atomic counters; `Atomic` is not copyable, so an `Array` cannot hold it.
private final class AtomicCounts: @unchecked Sendable {
    // Unchecked because of the pointer: it is set once, its memory lives as long as the object, and the memory is
    // accessed only by atomic operations.
    private let storage: UnsafeMutablePointer<Atomic<UInt64>>
    let count: Int

    init(count: Int) {
        self.count = count
        storage = .allocate(capacity: count)
        for index in 0..<count { (storage + index).initialize(to: Atomic(0)) }
    }

    deinit {
        storage.deinitialize(count: count)
        storage.deallocate()
    }

    func increment(_ index: Int) {
        precondition(index >= 0 && index < count)
        storage[index].wrappingAdd(1, ordering: .relaxed)
    }

    func load(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return storage[index].load(ordering: .relaxed)
    }
}
