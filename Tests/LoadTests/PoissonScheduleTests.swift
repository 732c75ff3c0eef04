// Arrivals of an open loop.

import Foundation
import Testing

@testable import Load

@Suite struct PoissonScheduleTests {
    private func times(rate: Double, seed: UInt64, count: Int) -> [UInt64] {
        var schedule = PoissonSchedule(rate: rate, seed: seed)
        return (0..<count).map { _ in
            defer { schedule.advance() }
            return schedule.next
        }
    }

    @Test func sameSeed_SameTimes_AnotherSeed_OtherTimes() {
        #expect(times(rate: 100, seed: 1, count: 1_000) == times(rate: 100, seed: 1, count: 1_000))
        #expect(times(rate: 100, seed: 1, count: 1_000) != times(rate: 100, seed: 2, count: 1_000))
    }

    @Test(arguments: [0.5, 100, 250_000]) func gapsAreExponential_WithTheMeanThatTheRateSays(rate: Double) throws {
        let times = times(rate: rate, seed: 7, count: 100_000)
        #expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 })
        let gaps = zip([0] + times, times).map { Double($1 - $0) * rate / 1e9 }
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        // In units of the mean gap: mean 1, variance 1, median ln 2; five standard errors of 100 000 draws.
        #expect(abs(mean - 1) < 0.016)
        #expect(abs(variance - 1) < 0.045)
        #expect(abs(gaps.sorted()[gaps.count / 2] - log(2)) < 0.016)
    }

    @Test func timeStaysAtTheEndOfTime_ForARateNextToZero() {
        let times = times(rate: 1e-300, seed: 3, count: 3)
        #expect(times == [1 << 62, 1 << 62, 1 << 62])
    }
}
