// A server as the client sees it: its connections from this loop, and a circuit breaker, so that no request waits for a
// dead server.

/// Blocks requests for a while after failures; a pure value. The client probes whether the server is back, so no
/// request has to.
struct RedisBreaker {
    private static let first: UInt64 = 50_000_000
    private static let longest: UInt64 = 5_000_000_000

    private var failures = 0
    /// When the server is probed next; nil: the breaker is closed.
    private(set) var retryAt: UInt64?

    var isOpen: Bool { retryAt != nil }

    mutating func succeeded() { self = RedisBreaker() }

    /// - Parameter spread: 0 ..< 1, random, so that loops and servers do not all retry at the same moment.
    mutating func failed(_ now: UInt64, spread: Double) {
        let wait = min(Self.first << UInt64(min(failures, 10)), Self.longest)
        failures += 1
        retryAt = now + wait + UInt64(Double(wait) / 2 * spread)
    }

    /// A probe is under way; do not start another before `time`.
    mutating func tries(until time: UInt64) { retryAt = time }
}

/// A server.
final class RedisNode {
    let address: RedisAddress
    var breaker = RedisBreaker()
    /// The connection of each lane; the last lane is for long requests if there are several.
    var lanes: [RedisConnection?]
    private var turn = 0

    init(_ address: RedisAddress, lanes: Int) {
        self.address = address
        self.lanes = Array(repeating: nil, count: lanes)
    }

    /// The lane of a request.
    func lane(isBulk: Bool) -> Int {
        guard lanes.count > 1 else { return 0 }
        if isBulk { return lanes.count - 1 }
        turn = (turn + 1) % (lanes.count - 1)
        return turn
    }

    /// Whether it has neither a connection nor an open breaker.
    var isIdle: Bool { lanes.allSatisfy { $0 == nil } && !breaker.isOpen }
}
