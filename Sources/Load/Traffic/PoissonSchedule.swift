// When the requests of an open loop are due. A service's callers do not wait for one another, so their arrivals form a
// Poisson process, and a slow reply delays no later request: a stall stays visible in every latency that it causes
// (Schroeder, Wierman and Harchol-Balter, "Open versus closed: a cautionary tale", NSDI 2006).

internal import Glibc
internal import Random

/// The times of a Poisson process: independent, exponentially distributed gaps. A pure value.
struct PoissonSchedule: Sendable {
    /// In nanoseconds.
    private let meanGap: Double
    private var generator: SplitMix64
    private var time = 0.0

    /// - Parameter rate: arrivals per second, above 0.
    init(rate: Double, seed: UInt64) {
        meanGap = 1e9 / rate
        generator = SplitMix64(seed: seed)
        advance()
    }

    /// When the next request is due, in nanoseconds since the start.
    var next: UInt64 {
        // No clock reaches 2^62 ns; larger doubles would overflow the conversion.
        time < 0x1p62 ? UInt64(time) : 1 << 62
    }

    /// Advances to the request after it.
    mutating func advance() {
        // The inverse of the exponential distribution function, 1 - exp(-t / meanGap); 1 - uniform() is never 0.
        time -= meanGap * log(1 - generator.uniform())
    }
}
