// Random numbers that can be had again, so that a failure can be run again.

import Engine

extension SplitMix64 {
    mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }
}
