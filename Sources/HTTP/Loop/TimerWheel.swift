// A timer wheel: cheap time-outs for thousands of connections. A ring of buckets, one per tick, holds tokens. A
// connection whose deadline moves later stays in its bucket, and is checked and reinserted when that bucket comes up.
// So the common case, a deadline that every request postpones, costs one comparison.

/// Tokens by the tick at which they are checked.
struct TimerWheel {
    /// 2²⁷ ns, about 134 ms: the resolution of every time-out.
    private static let tickShift: UInt64 = 27
    /// A power of two. The ring covers about 69 s; later deadlines are checked once per round.
    private static let bucketCount: UInt64 = 512

    private var buckets: [[UInt64]]
    private var current: UInt64
    private var count = 0

    init(now: UInt64) {
        buckets = Array(repeating: [], count: Int(TimerWheel.bucketCount))
        current = now >> TimerWheel.tickShift
    }

    /// The tick at which a deadline is checked: not before the deadline, unless that is beyond the ring.
    func tick(for deadline: UInt64) -> UInt64 {
        let tick = (deadline >> TimerWheel.tickShift) + 1
        return min(max(tick, current + 1), current + TimerWheel.bucketCount - 1)
    }

    /// Inserts a token at a tick from `tick(for:)`; `advance` must not have been called in between.
    mutating func insert(_ token: UInt64, at tick: UInt64) {
        buckets[Int(tick % TimerWheel.bucketCount)].append(token)
        count += 1
    }

    /// Advances to the present and appends the tokens that are due, with the ticks they were inserted for.
    mutating func advance(to now: UInt64, into due: inout [(token: UInt64, tick: UInt64)]) {
        let target = now >> TimerWheel.tickShift
        guard target > current else { return }
        guard count > 0 else {
            current = target
            return
        }
        // One round visits every bucket, however long the loop has slept.
        let last = min(target, current + TimerWheel.bucketCount)
        for tick in current + 1...last {
            let bucket = Int(tick % TimerWheel.bucketCount)
            for token in buckets[bucket] { due.append((token, tick)) }
            count -= buckets[bucket].count
            // A bucket that was once large does not keep its storage.
            buckets[bucket] = []
        }
        current = target
    }

    /// When the next bucket that is not empty is due; nil if all are empty.
    var nextDue: UInt64? {
        guard count > 0 else { return nil }
        for tick in current + 1..<current + TimerWheel.bucketCount
        where !buckets[Int(tick % TimerWheel.bucketCount)].isEmpty {
            return tick << TimerWheel.tickShift
        }
        return nil
    }
}
