// The server: listeners and loops, from start through drain to stop. The rest of the process sees only this class,
// HTTPHandler and HTTPExchange.

import Dispatch
import Glibc
import Locking

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
        /// Connections still open when draining timed out.
        var cut = 0
    }

    private let configuration: HTTPServerConfiguration
    private let settings: ConnectionSettings
    private let handler: any HTTPHandler
    private let counter: ConnectionCounter
    /// Entered by every loop, left when it has ended.
    private let loopsAreOver = DispatchGroup()
    private let state = Lock(State())

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

    /// Starts listening and serving. Returns the addresses, with the kernel's choice instead of port 0. Throws
    /// `cannotListen`, `system` or `alreadyStarted`, and then leaves nothing open.
    package func start() throws(HTTPError) -> [ListenAddress] {
        let isFirst = state.withLock { state in
            guard state.phase == .configured else { return false }
            state.phase = .running
            return true
        }
        guard isFirst else { throw HTTPError(.alreadyStarted, "The server was already started.") }
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
            func take(_ opened: ListenSocket.Opened) {
                bound.append(opened.bound)
                if let file = opened.file { files.append(file) }
                for (index, socket) in opened.sockets.enumerated() { sockets[index].append(socket) }
            }
            for address in configuration.addresses { take(try ListenSocket.open(address, count: loops.count)) }
            for fd in configuration.handedSockets { take(try ListenSocket.adopt(fd, count: loops.count)) }
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

    /// Makes every reply from now on say `Connection: close`, so that clients and balancers move elsewhere. The server
    /// still accepts and answers everything. Requests that a client has pipelined are answered first; only the last
    /// reply says `close`. This is the first stage of an orderly stop; `drain` is the second.
    package func closeAfterReplies() {
        settings.beginEnding()
    }

    /// Stops accepting, closes idle connections, finishes requests in flight, and says `Connection: close` on every
    /// reply. Calls `completion` once, with the number of connections cut by the time-out. `stop` may still be called
    /// to end immediately.
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

    /// Closes everything immediately; clients waiting for a reply see their connection end. Returns when all sockets
    /// are closed, or immediately if called on a loop.
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

    /// Turns that each running loop has taken. Together with `pokeLoops` it shows which loops make progress.
    package var turnsOfLoops: [UInt64] { state.withLock { $0.loops }.map(\.mailbox.turns) }

    /// The loops; none before the start and after the end.
    package var loops: [LoopHandle] { state.withLock { $0.loops }.map(\.handle) }

    /// Makes every loop take a turn soon.
    package func pokeLoops() {
        for loop in state.withLock({ $0.loops }) { loop.mailbox.poke() }
    }

    /// How often the loops have looked for work. Constant while nothing happens.
    var looks: Int { state.withLock { $0.loops }.reduce(0) { $0 + $1.mailbox.looks } }

    /// How often a reply from another thread has woken a loop.
    var wakeUps: Int { state.withLock { $0.loops }.reduce(0) { $0 + $1.mailbox.wakeUps } }

    private func endDraining() {
        let open = counter.total
        let loops = state.withLock { state in
            state.cut = open
            return state.loops
        }
        for loop in loops { loop.mailbox.post(.stop) }
    }

    /// All loops have ended.
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
