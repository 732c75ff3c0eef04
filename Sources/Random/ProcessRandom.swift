// Random numbers for ids and samples: different in every process, but not secret.

private import Synchronization

/// SplitMix64 with a counter that all threads advance. A number costs an atomic addition instead of the system call of
/// the system's generator.
package enum ProcessRandom {
    private static let counter = Atomic<UInt64>(.random(in: .min ... .max))

    /// 64 random bits.
    package static func next() -> UInt64 {
        SplitMix64.mixed(counter.wrappingAdd(SplitMix64.increment, ordering: .relaxed).oldValue)
    }

    /// 64 random bits that are not all zero.
    package static func nextNonzero() -> UInt64 { max(1, next()) }

    /// Uniform in [0, 1): 53 random bits.
    package static func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}
