// Learning service times from batches whose true time is known.

import Random
import Testing

@testable import Engine

@Suite struct ServiceTimeModelTests {
    private func work(_ rows: Int, pairs: Int? = nil, queries: Int = 1) -> ComputeWork {
        var work = ComputeWork(rows: 0..<rows, scans: 1)
        work.queries = queries
        if let pairs { work.pairs = pairs }
        return work
    }

    /// 100 µs, 20 µs per row, 5 ns per pair, 50 µs per selection.
    private func truth(_ work: ComputeWork) -> Double {
        100_000 + 20_000 * Double(work.rows) + 5 * Double(work.pairs) + 50_000 * Double(work.queries)
    }

    private func calibrated() -> ServiceTimeModel {
        var model = ServiceTimeModel()
        for work in [work(1), work(512), work(512, queries: 0), work(128), work(64, queries: 8), work(1, pairs: 2_048)]
        {
            model.calibrate(work, nanoseconds: UInt64(truth(work)))
        }
        return model
    }

    private func error(_ model: ServiceTimeModel, _ work: ComputeWork, slower: Double = 1) -> Double {
        abs(Double(model.nanoseconds(work)) / (slower * truth(work)) - 1)
    }

    @Test func predictsNothing_BeforeTheFirstBatch() {
        #expect(ServiceTimeModel().nanoseconds(work(1_000)) == 0)
    }

    @Test func aHistorysPairs_AreThoseOfItsCausalRows() {
        #expect(ComputeWork(rows: 0..<3, scans: 1).pairs == 6)
        #expect(
            ComputeWork(rows: 2..<4, scans: 0)
                == {
                    var work = ComputeWork()
                    work.rows = 2
                    work.pairs = 7
                    return work
                }()
        )
    }

    @Test func predictsUnseenShapes_AfterTheWarmUp() {
        let model = calibrated()
        for shape in [work(16), work(300, queries: 2), work(4, pairs: 8_000, queries: 4)] {
            #expect(error(model, shape) < 0.05)
        }
    }

    @Test func doesNotForgetTheShapes_WhenAllBatchesLookAlike() {
        var model = calibrated()
        for _ in 0..<5_000 { model.observe(work(32), nanoseconds: UInt64(truth(work(32)))) }
        for shape in [work(1), work(512), work(64, queries: 8)] { #expect(error(model, shape) < 0.05) }
    }

    @Test func followsTheMachinesSpeed() {
        var model = calibrated()
        for _ in 0..<40 { model.observe(work(64), nanoseconds: UInt64(3 * truth(work(64)))) }
        for shape in [work(1), work(64), work(512)] { #expect(error(model, shape, slower: 3) < 0.15) }
    }

    @Test func caution_GrowsWithTheError() {
        var model = calibrated()
        #expect(model.cautious(1_000) == 1_000)
        for round in 0..<400 {
            model.observe(work(64), nanoseconds: UInt64((round.isMultiple(of: 2) ? 1.25 : 0.75) * truth(work(64))))
        }
        #expect((1_300...1_800).contains(model.cautious(1_000)))
        #expect(model.cautious(.max) > .max / 8)
    }

    @Test func oneStalledBatch_DoesNotSpoilTheNext() {
        var model = calibrated()
        model.observe(work(64), nanoseconds: 60_000_000_000)
        #expect(error(model, work(64)) < 1)
    }

    /// Noise, random shapes, correlated terms: never below zero, never absurdly high.
    @Test(arguments: [1, 2, 3] as [UInt64]) func staysReasonable_UnderNoise(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var model = ServiceTimeModel()
        for _ in 0..<2_000 {
            let shape = work(1 + Int(random.below(600)), queries: Int(random.below(9)))
            let noise = 0.7 + Double(random.below(600)) / 1_000
            model.observe(shape, nanoseconds: UInt64(noise * truth(shape)))
        }
        for shape in [work(1), work(8, queries: 4), work(600, queries: 8)] { #expect(error(model, shape) < 0.5) }
    }
}
