// The handle through which a handler answers one request, now or later, from any thread. It queues the parts of the
// reply in call order for the connection's loop, and wakes the loop once for all of them.

import Locking

/// The result of `HTTPExchange.send`, for the writer of a streamed reply.
package enum SendResult: Sendable, Equatable {
    /// Accepted; more may be sent.
    case sent
    /// Accepted, but the client is slow: wait for `onWritable` before sending more.
    case holdOn
    /// Accepts nothing more: the reply has ended, was cancelled, or was aborted because its writer did not wait.
    case closed
}

/// The answer to one request. Call exactly one of `respond` and `start … finish`; later calls are ignored.
package final class HTTPExchange: Sendable {
    /// A piece of a reply on its way to the loop.
    enum Part: Sendable {
        case whole(HTTPResponse)
        /// A whole reply that the loop creates by calling a closure.
        case made(@Sendable () -> HTTPResponse)
        case start(status: Int, headers: HTTPFields, label: Int)
        case content([UInt8])
        case finish
        case abort
    }

    private enum Phase {
        case open
        case streaming
        /// Answered: accepts nothing more, and can no longer be cancelled.
        case answered
        case cancelled
    }

    private struct State {
        var phase = Phase.open
        /// Parts for the loop. The first is stored separately: most replies have only one.
        var firstPart: Part?
        var furtherParts: [Part] = []
        /// The loop knows of the parts, or is about to look. Initially true: the loop looks when the handler returns.
        var isLoopTold = true
        var onCancel: (@Sendable () -> Void)?
        var onWritable: (@Sendable () -> Void)?
        /// Bytes of content sent and not yet accepted by the kernel.
        var waitingBytes = 0
        var isHeld = false
    }

    /// The connection's token in its loop.
    let token: UInt64
    private let mailbox: Mailbox
    private let holdBytes: Int
    private let bufferBytes: Int
    private let compression: ReplyCompression
    private let state = Lock(State())

    init(
        token: UInt64,
        mailbox: Mailbox,
        limits: HTTPLimits,
        compression: ReplyCompression = ReplyCompression(settings: HTTPCompression(), accepted: AcceptedCodings())
    ) {
        self.token = token
        self.compression = compression
        self.mailbox = mailbox
        holdBytes = limits.streamHoldBytes
        bufferBytes = limits.streamBufferBytes
    }

    // MARK: For handlers

    /// Answers with a whole reply. Ignored if the request is already answered or its client has disconnected. If the
    /// client prefers gzip, the calling thread compresses the reply here.
    package func respond(_ response: HTTPResponse) {
        let response = compression.whole(response, isOnLoop: EventLoop.isCurrent)
        update { state in
            guard state.phase == .open else { return false }
            HTTPExchange.close(&state)
            return HTTPExchange.put(.whole(response), &state)
        }
    }

    /// Answers with the reply that `make` returns. The loop calls `make`, so that the calling thread spends no time on
    /// encoding; it must not block, and is not called if the request is already answered or its client has
    /// disconnected.
    package func respond(making make: @escaping @Sendable () -> HTTPResponse) {
        update { state in
            guard state.phase == .open else { return false }
            HTTPExchange.close(&state)
            return HTTPExchange.put(.made(make), &state)
        }
    }

    /// Begins a streamed reply, chunked in HTTP/1.1 and ended by closing in HTTP/1.0. `label` as in `HTTPResponse`.
    package func start(status: Int, headers: HTTPFields = [], label: Int = 0) {
        precondition((200...599).contains(status), "\(status) is not the status of a final reply")
        update { state in
            guard state.phase == .open else { return false }
            state.phase = .streaming
            return HTTPExchange.put(.start(status: status, headers: headers, label: label), &state)
        }
    }

    /// Sends a piece of a streamed reply, immediately if the client accepts it.
    package func send(_ content: [UInt8]) -> SendResult {
        var result = SendResult.closed
        update { state in
            guard state.phase == .streaming else { return false }
            guard state.waitingBytes + content.count <= bufferBytes else {
                HTTPExchange.close(&state)
                return HTTPExchange.put(.abort, &state)
            }
            state.waitingBytes += content.count
            state.isHeld = state.isHeld || state.waitingBytes >= holdBytes
            result = state.isHeld ? .holdOn : .sent
            return HTTPExchange.put(.content(content), &state)
        }
        return result
    }

    /// Completes a streamed reply.
    package func finish() {
        end(with: .finish)
    }

    /// Gives up a streamed reply. The bytes already sent are still delivered; then the connection closes without
    /// marking the reply as complete.
    package func abort() {
        end(with: .abort)
    }

    /// Calls `handler` once if the client disconnects, or a time-out ends the connection, before the reply is complete
    /// (`respond`, `finish`, `abort`): immediately if that has already happened, otherwise on the loop, where it must
    /// not block. A later handler replaces an earlier one.
    package func onCancel(_ handler: @escaping @Sendable () -> Void) {
        let isCancelled = state.withLock { state in
            if state.phase == .open || state.phase == .streaming { state.onCancel = handler }
            return state.phase == .cancelled
        }
        if isCancelled { handler() }
    }

    /// Calls `handler` on the loop each time a writer that received `holdOn` may continue. Set it before sending.
    package func onWritable(_ handler: @escaping @Sendable () -> Void) {
        state.withLock { $0.onWritable = handler }
    }

    /// The client has disconnected; no reply will reach it.
    package var isCancelled: Bool { state.withLock { $0.phase == .cancelled } }

    private func end(with part: Part) {
        update { state in
            guard state.phase == .streaming else { return false }
            HTTPExchange.close(&state)
            return HTTPExchange.put(part, &state)
        }
    }

    /// Changes the state and notifies the loop if the change requires it.
    private func update(_ change: (inout sending State) -> sending Bool) {
        if state.withLock(change) { mailbox.post(.reply(self)) }
    }

    /// Accepts nothing more and releases the handlers' closures.
    private static func close(_ state: inout State) {
        state.phase = .answered
        state.onCancel = nil
        state.onWritable = nil
    }

    /// True if the loop must be woken.
    private static func put(_ part: Part, _ state: inout State) -> Bool {
        if state.firstPart == nil {
            state.firstPart = part
        } else {
            state.furtherParts.append(part)
        }
        defer { state.isLoopTold = true }
        return !state.isLoopTold
    }

    // MARK: For the loop

    /// A reply that the loop has created, compressed if the client prefers that.
    func coded(_ response: HTTPResponse) -> HTTPResponse { compression.whole(response, isOnLoop: true) }

    /// Takes the queued parts and passes them to `use` in order, outside the lock.
    func takeParts(_ use: (Part) -> Void) {
        let (first, further) = state.withLock { state in
            state.isLoopTold = false
            let first = state.firstPart
            state.firstPart = nil
            if state.furtherParts.isEmpty { return (first, [Part]()) }
            let further = state.furtherParts
            state.furtherParts = []
            return (first, further)
        }
        if let first { use(first) }
        for part in further { use(part) }
    }

    /// Reports how many more bytes of content the kernel has accepted.
    func contentLeft(_ count: Int) {
        let handler = state.withLock { state -> (@Sendable () -> Void)? in
            state.waitingBytes -= count
            guard state.isHeld, state.waitingBytes <= holdBytes / 2 else { return nil }
            state.isHeld = false
            return state.onWritable
        }
        handler?()
    }

    /// The client has disconnected.
    func cancel() {
        let handler = state.withLock { state -> (@Sendable () -> Void)? in
            guard state.phase == .open || state.phase == .streaming else { return nil }
            let handler = state.onCancel
            HTTPExchange.close(&state)
            state.phase = .cancelled
            return handler
        }
        handler?()
    }
}
