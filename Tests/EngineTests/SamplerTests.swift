// Sampling from known distributions.

import Compute
import Glibc
import Testing

@testable import Engine

@Suite struct SamplerTests {
    /// Scores whose softmax is 0.5, 0.3, 0.15, 0.05.
    private let candidates = zip([1, 2, 3, 4], [0.5, 0.3, 0.15, 0.05]).map { row, probability in
        ScoredRow(row: row, score: Float(log(probability)))
    }

    private func frequencies(temperature: Float, topP: Float, draws: Int = 20_000) -> [Int32: Double] {
        var sampler = Sampler(Sampling(temperature: temperature, topP: topP, seed: 7))
        var counts: [Int32: Double] = [:]
        for _ in 0..<draws {
            if let drawn = sampler.draw(candidates) { counts[drawn.row, default: 0] += 1 / Double(draws) }
        }
        return counts
    }

    @Test func drawsByProbability() throws {
        let drawn = frequencies(temperature: 1, topP: 1)
        for (row, probability) in [(1, 0.5), (2, 0.3), (3, 0.15), (4, 0.05)] as [(Int32, Double)] {
            // Five standard deviations of 20 000 draws are below 0.018.
            #expect(abs(try #require(drawn[row]) - probability) < 0.018)
        }
    }

    @Test func nucleus_CutsTheTailAndKeepsTheProportions() throws {
        // 0.5 alone does not reach 0.6; 0.5 and 0.3 do.
        let drawn = frequencies(temperature: 1, topP: 0.6)
        #expect(drawn.keys.sorted() == [1, 2])
        #expect(abs(try #require(drawn[1]) - 0.625) < 0.018)
    }

    @Test func temperature_SharpensAndFlattens() throws {
        // At one half the probabilities are squared before they are normalised.
        let sharp = frequencies(temperature: 0.5, topP: 1)
        #expect(abs(try #require(sharp[1]) - 0.25 / 0.365) < 0.018)
        let flat = frequencies(temperature: 1_000, topP: 1)
        #expect(abs(try #require(flat[4]) - 0.25) < 0.018)
    }

    @Test func smallestNucleusOrTemperature_IsGreedy() {
        #expect(frequencies(temperature: 1, topP: .leastNormalMagnitude, draws: 100).keys.sorted() == [1])
        #expect(frequencies(temperature: .leastNormalMagnitude, topP: 1, draws: 100).keys.sorted() == [1])
    }

    @Test func sameSeed_DrawsTheSame() {
        func run(_ seed: UInt64) -> [Int32] {
            var sampler = Sampler(Sampling(temperature: 1, topP: 1, seed: seed))
            return (0..<50).compactMap { _ in sampler.draw(candidates)?.row }
        }
        #expect(run(3) == run(3))
        #expect(run(3) != run(4))
    }

    @Test func drawsNothing_FromNothing() {
        var sampler = Sampler(Sampling(temperature: 1, topP: 1, seed: 0))
        #expect(sampler.draw([]) == nil)
    }
}
