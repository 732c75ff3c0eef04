// The values of counters, gauges and histograms after use, also from several threads.

import Testing

@testable import Telemetry

@Suite struct InstrumentTests {
    @Test func counterAddsUp_AndNeverGoesBack() {
        let counter = Counter()
        counter.increment()
        counter.increment(by: 41)
        counter.increment(by: 0)
        counter.increment(by: -5)
        #expect(counter.value == 42)
    }

    @Test func gaugeFollowsItsChanges() {
        let gauge = Gauge()
        gauge.increment()
        gauge.add(10)
        gauge.decrement()
        #expect(gauge.value == 10)
        gauge.set(-3)
        #expect(gauge.value == -3)
    }

    @Test(arguments: [
        (0.0, 0), (0.5, 0), (1.0, 0), (1.0.nextUp, 1), (2.0, 1), (3.0, 2), (4.0, 2), (4.0.nextUp, 3), (1e300, 3),
        (-1.0, 0),
    ])
    func histogramPutsAValueIntoTheFirstBucketNotBelowIt(value: Double, bucket: Int) {
        let histogram = Histogram(buckets: HistogramBuckets([1, 2, 4]))
        histogram.observe(value)
        #expect(histogram.bucketCounts == (0..<4).map { $0 == bucket ? 1 : 0 })
        #expect(histogram.sum == max(value, 0))
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func histogramDropsWhatIsNotFinite(value: Double) {
        let histogram = Histogram(buckets: .durations)
        histogram.observe(value)
        #expect(histogram.bucketCounts.allSatisfy { $0 == 0 })
        #expect(histogram.sum == 0)
    }

    @Test func histogramTakesDurationsInSeconds() {
        let histogram = Histogram(buckets: HistogramBuckets([0.001, 1]))
        histogram.observe(.microseconds(1_500))
        #expect(histogram.bucketCounts == [0, 1, 0])
        #expect(abs(histogram.sum - 0.0015) < 1e-12)
    }

    @Test func nothingIsLost_WhenThreadsCountAtOnce() async {
        let counter = Counter()
        let gauge = Gauge()
        let histogram = Histogram(buckets: HistogramBuckets([1, 2]))
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask {
                    for _ in 0..<5_000 {
                        counter.increment()
                        gauge.add(task.isMultiple(of: 2) ? 1 : -1)
                        histogram.observe(Double(task))
                    }
                }
            }
        }
        #expect(counter.value == 20_000)
        #expect(gauge.value == 0)
        #expect(histogram.bucketCounts == [10_000, 5_000, 5_000])
        #expect(histogram.sum == 30_000)
    }

    @Test(arguments: [(1, [1.0]), (2, [1, 2]), (3, [1, 2, 4]), (32, [1, 2, 4, 8, 16, 32]), (0, [1])])
    func powersOfTwoEndAtTheFirstNotBelowTheLimit(limit: Int, bounds: [Double]) {
        #expect(HistogramBuckets.powersOfTwo(upTo: limit).bounds == bounds)
    }

    @Test func durationBucketsReachFromFiftyMicrosecondsToTenSeconds() {
        #expect(HistogramBuckets.durations.bounds.first == 0.00005)
        #expect(HistogramBuckets.durations.bounds.last == 10)
    }
}
