// The number of open connections, in total and per client address, over all loops of a server. Addresses are counted
// only if their cap is lower than the total cap, so by default a connection costs an atomic addition.

import Locking
import Synchronization

/// The caps on open connections.
final class ConnectionCounter: Sendable {
    /// The verdict on a new connection.
    enum Admission {
        case admitted
        /// Beyond a cap. It is counted, answered with 503 and closed.
        case refused
        /// Beyond the number that may be answered with 503 at one time. It is closed immediately and not counted.
        case dropped
    }

    /// Connections beyond a cap that may be answered with 503 at one time.
    private static let refusalRoom = 256

    private let maximum: Int
    private let maximumPerAddress: Int
    private let count = Atomic<Int>(0)
    private let countByAddress = Lock<[UInt64: Int]>([:])

    init(limits: HTTPLimits) {
        maximum = limits.connections
        maximumPerAddress = limits.connectionsPerAddress
    }

    func admit(_ peer: PeerAddress) -> Admission {
        var excess = count.add(1, ordering: .relaxed).newValue - maximum
        if let key = countingKey(peer) {
            let ofAddress = countByAddress.withLock { counts in
                counts[key, default: 0] += 1
                return counts[key, default: 0]
            }
            excess = max(excess, ofAddress - maximumPerAddress)
        }
        guard excess <= ConnectionCounter.refusalRoom else {
            release(peer)
            return .dropped
        }
        return excess > 0 ? .refused : .admitted
    }

    /// A counted connection is closed.
    func release(_ peer: PeerAddress) {
        count.subtract(1, ordering: .relaxed)
        guard let key = countingKey(peer) else { return }
        countByAddress.withLock { counts in
            let left = (counts[key] ?? 0) - 1
            counts[key] = left > 0 ? left : nil
        }
    }

    /// Open connections.
    var total: Int { count.load(ordering: .relaxed) }

    private func countingKey(_ peer: PeerAddress) -> UInt64? {
        maximumPerAddress < maximum ? peer.countingKey : nil
    }
}
