// Time-outs of thousands of connections for next to nothing. A ring of buckets, one a tick, holds tokens. A connection
// whose deadline moves later is left where it is: when its bucket comes up it is looked at and put in again. So the
// common case, a deadline pushed forward by every request, costs a comparison.

/// Tokens by the tick at which they are to be looked at.
struct TimerWheel {
    /// 2²⁷ ns: about 134 ms, the coarseness of every time-out.
    private static let tickShift: UInt64 = 27
    /// A power of two; the ring covers about 69 s, later deadlines are looked at once a round.
    private static let bucketCount: UInt64 = 512

    private var buckets: [[UInt64]]
    private var current: UInt64
    private var count = 0

    init(now: UInt64) {
        buckets = Array(repeating: [], count: Int(TimerWheel.bucketCount))
        current = now >> TimerWheel.tickShift
    }

    /// The tick at which a deadline is looked at: not before it, unless it is farther off than the ring is long.
    func tick(for deadline: UInt64) -> UInt64 {
        let tick = (deadline >> TimerWheel.tickShift) + 1
        return min(max(tick, current + 1), current + TimerWheel.bucketCount - 1)
    }

    /// Puts a token in; `tick` is one that `tick(for:)` has given, with no `advance` in between.
    mutating func insert(_ token: UInt64, at tick: UInt64) {
        buckets[Int(tick % TimerWheel.bucketCount)].append(token)
        count += 1
    }

    /// Moves to the present and appends what has come up: tokens with the tick that they were put in for.
    mutating func advance(to now: UInt64, into due: inout [(token: UInt64, tick: UInt64)]) {
        let target = now >> TimerWheel.tickShift
        guard target > current else { return }
        guard count > 0 else {
            current = target
            return
        }
        // One round empties the ring, however long the loop has slept.
        let last = min(target, current + TimerWheel.bucketCount)
        for tick in current + 1...last {
            let bucket = Int(tick % TimerWheel.bucketCount)
            for token in buckets[bucket] { due.append((token, tick)) }
            count -= buckets[bucket].count
            // A bucket that was once full does not keep its storage.
            buckets[bucket] = []
        }
        current = target
    }

    /// When the next bucket that holds anything comes up; nil if none does.
    var nextDue: UInt64? {
        guard count > 0 else { return nil }
        for tick in current + 1..<current + TimerWheel.bucketCount
        where !buckets[Int(tick % TimerWheel.bucketCount)].isEmpty {
            return tick << TimerWheel.tickShift
        }
        return nil
    }
}
