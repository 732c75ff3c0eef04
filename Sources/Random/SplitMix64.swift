// Random numbers that are the same in every run with the same seed, and the bit mixing for hashes.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
package struct SplitMix64: RandomNumberGenerator, Sendable {
    static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15
    private var state: UInt64

    /// A generator with this seed. Any seed is good.
    package init(seed: UInt64) { state = seed }

    /// 64 random bits.
    package mutating func next() -> UInt64 {
        state &+= Self.increment
        return Self.finalized(state)
    }

    /// Uniform in [0, 1): 53 random bits.
    package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// True with this probability; never for 0, always for 1.
    package mutating func happens(_ probability: Double) -> Bool { uniform() < probability }

    /// From 0 to `bound` − 1. `bound` must be above 0 and far below 2⁶⁴, so that the remainder is almost uniform.
    package mutating func below<Bound: FixedWidthInteger>(_ bound: Bound) -> Bound { Bound(next() % UInt64(bound)) }

    /// The first number of a seed's generator: every bit of the seed affects every bit of the result.
    package static func mixed(_ seed: UInt64) -> UInt64 { finalized(seed &+ increment) }

    private static func finalized(_ state: UInt64) -> UInt64 {
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
