// How many connections are open, in all and for each client address, over all loops of a server.

import Synchronization

/// The caps on open connections.
final class ConnectionCounter: Sendable {
    /// What becomes of a new connection.
    enum Admission {
        case admitted
        /// Beyond a cap; it may stay as long as it takes to answer 503. Counted.
        case refused
        /// Beyond even what is held open for answering 503; to be closed at once. Not counted.
        case dropped
    }

    private struct State {
        var total = 0
        var byAddress: [UInt64: Int] = [:]
    }

    /// Connections beyond a cap that are answered at the same time.
    private static let refusalRoom = 256

    private let maximum: Int
    private let maximumPerAddress: Int
    private let state = Mutex(State())

    init(limits: HTTPLimits) {
        maximum = limits.connections
        maximumPerAddress = limits.connectionsPerAddress
    }

    func admit(_ peer: PeerAddress) -> Admission {
        let key = peer.countingKey
        return state.withLock { state in
            let total = state.total + 1
            let ofAddress = key.map { (state.byAddress[$0] ?? 0) + 1 } ?? 0
            let excess = max(total - maximum, ofAddress - maximumPerAddress)
            guard excess <= ConnectionCounter.refusalRoom else { return .dropped }
            state.total = total
            if let key { state.byAddress[key] = ofAddress }
            return excess > 0 ? .refused : .admitted
        }
    }

    /// A counted connection is closed.
    func release(_ peer: PeerAddress) {
        let key = peer.countingKey
        state.withLock { state in
            state.total -= 1
            guard let key, let ofAddress = state.byAddress[key] else { return }
            state.byAddress[key] = ofAddress > 1 ? ofAddress - 1 : nil
        }
    }

    /// Open connections.
    var total: Int { state.withLock { $0.total } }
}
