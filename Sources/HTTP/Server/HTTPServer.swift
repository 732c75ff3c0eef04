// A server: listeners, loops, and their life from start over drain to stop. The rest of the process sees this class,
// HTTPHandler and HTTPExchange, and nothing else of HTTP.

import Dispatch
import Glibc
import Synchronization

/// An HTTP/1.1 server.
package final class HTTPServer: Sendable {
    private enum Phase {
        case configured
        case running
        case draining
        case stopped
    }

    private struct State {
        var phase = Phase.configured
        var loops: [EventLoop] = []
        /// Paths of UNIX sockets, to be removed at the end.
        var paths: [String] = []
        /// Connections that were open when draining ran out of time.
        var cut = 0
    }

    private let configuration: HTTPServerConfiguration
    private let handler: any HTTPHandler
    private let counter: ConnectionCounter
    /// Entered by every loop; empty when all of them are over.
    private let loopsAreOver = DispatchGroup()
    private let state = Mutex(State())

    /// Throws `invalidConfiguration` or `invalidAddress`.
    package init(configuration: HTTPServerConfiguration, handler: any HTTPHandler) throws(HTTPError) {
        try configuration.validate()
        for address in configuration.addresses { _ = try address.socketAddress() }
        self.configuration = configuration
        self.handler = handler
        counter = ConnectionCounter(limits: configuration.limits)
    }

    deinit { stop() }

    /// Listens and begins to serve. Returns the addresses with the ports that the kernel chose where 0 was asked for.
    /// Throws `cannotListen`, `system`, or `alreadyStarted`; nothing is left open then.
    package func start() throws(HTTPError) -> [ListenAddress] {
        let isFirst = state.withLock { state in
            guard state.phase == .configured else { return false }
            state.phase = .running
            return true
        }
        guard isFirst else { throw HTTPError(.alreadyStarted, "The server has been started before.") }
        let settings = ConnectionSettings(
            limits: configuration.limits,
            timeouts: configuration.timeouts,
            compression: configuration.compression
        )
        var loops: [EventLoop] = []
        for index in 0..<configuration.loops {
            loops.append(
                try EventLoop(
                    index: index,
                    settings: settings,
                    handler: handler,
                    counter: counter,
                    tls: configuration.tls
                )
            )
        }
        var sockets: [[ListenSocket]] = Array(repeating: [], count: loops.count)
        var bound: [ListenAddress] = []
        do throws(HTTPError) {
            for address in configuration.addresses {
                let opened = try ListenSocket.open(address, count: loops.count)
                bound.append(opened.bound)
                for (index, socket) in opened.sockets.enumerated() { sockets[index].append(socket) }
            }
        } catch {
            for socket in sockets.joined() { Syscall.close(socket.fd) }
            HTTPServer.remove(HTTPServer.paths(bound))
            throw error
        }
        let (started, paths) = (loops, HTTPServer.paths(bound))
        state.withLock { state in
            state.loops = started
            state.paths = paths
        }
        for (index, loop) in loops.enumerated() { loop.start(listening: sockets[index], group: loopsAreOver) }
        return bound
    }

    /// Stops accepting, lets requests finish that have begun, closes idle connections, and says `Connection: close` on
    /// every reply. Calls `completion` once, with the number of connections that had to be cut because the time was over.
    /// `stop` may still be called to end at once.
    package func drain(timeoutNanoseconds: UInt64, completion: @escaping @Sendable (_ cut: Int) -> Void) {
        let loops = state.withLock { state in
            if state.phase == .running { state.phase = .draining }
            return state.loops
        }
        for loop in loops { loop.mailbox.post(.drain) }
        let limit = DispatchWorkItem { self.endDraining() }
        let nanoseconds = Int(clamping: timeoutNanoseconds)
        DispatchQueue.global().asyncAfter(deadline: .now() + .nanoseconds(nanoseconds), execute: limit)
        loopsAreOver.notify(queue: .global()) {
            limit.cancel()
            self.finish()
            completion(self.state.withLock { $0.cut })
        }
    }

    /// Closes everything at once; clients that wait for a reply see their connection end. Returns when all sockets are closed,
    /// or at once if called on a loop.
    package func stop() {
        let loops = state.withLock { state in
            let loops = state.loops
            if state.phase != .configured { state.phase = .stopped }
            return loops
        }
        for loop in loops { loop.mailbox.post(.stop) }
        guard !EventLoop.isCurrent else { return }
        loopsAreOver.wait()
        finish()
    }

    /// Open connections.
    package var connectionCount: Int { counter.total }

    /// How often the loops have looked for work; stays the same while nothing happens.
    var looks: Int { state.withLock { $0.loops }.reduce(0) { $0 + $1.mailbox.looks } }

    /// How often a reply from another thread had to wake a loop.
    var wakeUps: Int { state.withLock { $0.loops }.reduce(0) { $0 + $1.mailbox.wakeUps } }

    private func endDraining() {
        let open = counter.total
        let loops = state.withLock { state in
            state.cut = open
            return state.loops
        }
        for loop in loops { loop.mailbox.post(.stop) }
    }

    /// All loops are over.
    private func finish() {
        let paths = state.withLock { state in
            let paths = state.paths
            state.phase = .stopped
            state.paths = []
            state.loops = []
            return paths
        }
        HTTPServer.remove(paths)
    }

    private static func paths(_ addresses: [ListenAddress]) -> [String] {
        addresses.compactMap { address in
            if case .unix(let path) = address { path } else { nil }
        }
    }

    private static func remove(_ paths: [String]) {
        for path in paths { unlink(path) }
    }
}
