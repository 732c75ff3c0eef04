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
        /// UNIX sockets, removed before their listeners close.
        var files: [SocketFile] = []
        /// Connections that were open when draining ran out of time.
        var cut = 0
    }

    private let configuration: HTTPServerConfiguration
    private let settings: ConnectionSettings
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
        settings = ConnectionSettings(
            limits: configuration.limits,
            timeouts: configuration.timeouts,
            compression: configuration.compression
        )
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
        var files: [SocketFile] = []
        do throws(HTTPError) {
            for address in configuration.addresses {
                let opened = try ListenSocket.open(address, count: loops.count)
                bound.append(opened.bound)
                if let file = opened.file { files.append(file) }
                for (index, socket) in opened.sockets.enumerated() { sockets[index].append(socket) }
            }
        } catch {
            for socket in sockets.joined() { Syscall.close(socket.fd) }
            for file in files { file.remove() }
            throw error
        }
        let (started, made) = (loops, files)
        state.withLock { state in
            state.loops = started
            state.files = made
        }
        for (index, loop) in loops.enumerated() { loop.start(listening: sockets[index], group: loopsAreOver) }
        return bound
    }

    /// Says `Connection: close` on every reply from now on, so that clients and balancers turn elsewhere; everything is
    /// still accepted and answered. A client that has sent further requests behind the one being answered gets those
    /// answered first, and `close` on the last. The first stage of an orderly end; `drain` is the second.
    package func closeAfterReplies() {
        settings.beginEnding()
    }

    /// Stops accepting, lets requests finish that have begun, closes idle connections, and says `Connection: close` on
    /// every reply. Calls `completion` once, with the number of connections that had to be cut because the time was over.
    /// `stop` may still be called to end at once.
    package func drain(timeoutNanoseconds: UInt64, completion: @escaping @Sendable (_ cut: Int) -> Void) {
        let loops = state.withLock { state in
            if state.phase == .running { state.phase = .draining }
            return state.loops
        }
        removeFiles()
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
        removeFiles()
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
        state.withLock { state in
            state.phase = .stopped
            state.loops = []
        }
    }

    private func removeFiles() {
        let files = state.withLock { state in
            defer { state.files = [] }
            return state.files
        }
        for file in files { file.remove() }
    }
}
