// The client, usable from any thread; a request made on one of its loops stays there.

package import HTTP
internal import Locking
internal import Synchronization

/// A client of one server or of a cluster.
///
/// `@unchecked Sendable`: each entry of `parts` is used only on its loop; the rest is constant or protected by a lock.
package final class RedisClient: @unchecked Sendable {
    private struct Part {
        let loop: LoopHandle
        let client: Unowned
    }

    /// Holds a loop's client, which other threads pass on but never access.
    private final class Unowned: @unchecked Sendable {
        var client: RedisLoopClient?
    }

    private let configuration: RedisConfiguration
    private let tls: TLSClientContext?
    private let report: @Sendable (String) -> Void
    private let parts = Lock<[Part]>([])
    private let next = Atomic<Int>(0)
    private let open = Atomic<Int>(0)

    /// - Parameter report: called when a server fails or recovers, with the reason as a sentence without secrets.
    /// - Throws: `TLSError` if TLS cannot be set up.
    package init(
        _ configuration: RedisConfiguration,
        report: @escaping @Sendable (String) -> Void
    ) throws(TLSError) {
        self.configuration = configuration
        self.report = report
        tls = configuration.usesTLS ? try TLSClientContext() : nil
    }

    /// Number of servers not used for now because they failed, counted once per loop.
    package var openBreakers: Int { open.load(ordering: .relaxed) }

    /// Starts a part of the client on each of these loops.
    package func attach(to loops: [LoopHandle]) {
        for loop in loops {
            let part = Part(loop: loop, client: Unowned())
            loop.run { [self] sockets in
                // Weak, because the client owns its parts.
                let client = RedisLoopClient(configuration, tls: tls, on: sockets) { [weak self] change, reason in
                    guard let self else { return }
                    let count = open.add(change, ordering: .relaxed).newValue
                    // Every loop notices it separately, but it is reported once.
                    if change > 0 ? count == 1 : count == 0 { report(reason) }
                }
                part.client.client = client
                sockets.add(client)
            }
            parts.withLock { $0.append(part) }
        }
    }

    /// Sends a request; the replies to its commands, including errors, arrive on a loop.
    package func send(
        _ request: RedisRequest,
        _ completion: @escaping @Sendable (Result<[RESPValue], RedisError>) -> Void
    ) {
        let parts = parts.withLock { $0 }
        if let loop = LoopHandle.current, let part = parts.first(where: { $0.loop === loop }),
            let client = part.client.client
        {
            client.send(request, completion)
            return
        }
        // Any loop that has not ended will do.
        let start = next.add(1, ordering: .relaxed).newValue & .max
        for offset in parts.indices {
            let part = parts[(start + offset) % parts.count]
            let isTaken = part.loop.run { _ in
                guard let client = part.client.client else {
                    return completion(.failure(RedisError("the client of the store has stopped")))
                }
                client.send(request, completion)
            }
            if isTaken { return }
        }
        completion(.failure(RedisError("the client of the store is not running")))
    }
}
