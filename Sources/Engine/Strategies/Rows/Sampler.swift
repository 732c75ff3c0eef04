// Draws the next item of a generated sequence. A pure value that owns its random generator, so that a request's draws
// depend only on its seed and its scores, never on the rest of its batch.

package import Compute
internal import Glibc
internal import Random

/// How items are drawn in mode `sequence`.
package struct Sampling: Sendable, Equatable {
    /// Divides the scores before the softmax; above 0.
    package var temperature: Float
    /// Draws only from the best items that together hold this share of the probability; above 0, at most 1.
    package var topP: Float
    /// Makes the draw repeatable; nil: a random seed.
    package var seed: UInt64?

    package init(temperature: Float = 1, topP: Float = 1, seed: UInt64? = nil) {
        self.temperature = temperature
        self.topP = topP
        self.seed = seed
    }
}

/// Chooses one of the eligible items, step after step.
package struct Sampler: Sendable {
    /// Only this many of the best items are ever drawn. The probability of the others does not justify sorting a
    /// catalogue of millions.
    package static let maximumCandidates = 65_536

    private let sampling: Sampling
    private var random: SplitMix64

    package init(_ sampling: Sampling) {
        self.sampling = sampling
        random = SplitMix64(seed: sampling.seed ?? .random(in: .min ... .max))
    }

    /// Draws from `softmax(score / temperature)`, cut to the nucleus of mass `topP` (Holtzman et al., arXiv
    /// 1904.09751): the shortest run of best items whose probabilities reach it.
    ///
    /// - Parameter candidates: best first, finite scores; nil is returned only if there are none.
    package mutating func draw(_ candidates: [ScoredRow]) -> ScoredRow? {
        guard let best = candidates.first else { return nil }
        let temperature = Double(sampling.temperature)
        let weights = candidates.map { exp((Double($0.score) - Double(best.score)) / temperature) }
        let nucleus = weights.reduce(0, +) * Double(sampling.topP)
        var mass = 0.0
        var count = 0
        while count < weights.count, mass < nucleus || count == 0 {
            mass += weights[count]
            count += 1
        }
        // 53 random bits make a uniform number in [0, 1).
        var rest = Double(random.next() >> 11) * 0x1p-53 * mass
        for index in 0..<count {
            rest -= weights[index]
            if rest < 0 { return candidates[index] }
        }
        return candidates[count - 1]
    }
}
