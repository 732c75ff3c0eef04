// What other threads put before a loop. A post costs a lock; it costs a system call besides only when the loop sleeps,
// and then only the first one does, so completions that come in a burst wake their loop once.

import CLinux
import Synchronization

/// What a loop is told from outside.
enum LoopMessage: Sendable {
    /// The exchange has parts of a reply to pick up.
    case reply(HTTPExchange)
    case drain
    case stop
}

/// The inbox of one loop.
final class Mailbox: Sendable {
    private struct State {
        var messages: [LoopMessage] = []
        var isAsleep = true
        var isClosed = false
        var wakeUps = 0
        var looks = 0
    }

    private let state = Mutex(State())
    /// An eventfd in the loop's epoll set, edge-triggered, so it need not be read.
    let eventDescriptor: Int32

    init() throws(HTTPError) {
        eventDescriptor = CLinux_eventfd()
        guard eventDescriptor >= 0 else { throw HTTPError(.system, "An eventfd cannot be had.") }
    }

    deinit { Syscall.close(eventDescriptor) }

    func post(_ message: LoopMessage) {
        let isAsleep = state.withLock { state in
            guard !state.isClosed else { return false }
            state.messages.append(message)
            guard state.isAsleep else { return false }
            state.isAsleep = false
            state.wakeUps += 1
            return true
        }
        if isAsleep { Syscall.signal(eventDescriptor) }
    }

    /// Exchanges the messages with the empty `messages`.
    func take(into messages: inout [LoopMessage]) {
        state.withLock { swap(&$0.messages, &messages) }
    }

    /// The loop is about to sleep: from now on a post wakes it. False, and it must not, if there are messages.
    func fallAsleep() -> Bool {
        state.withLock { state in
            state.looks += 1
            state.isAsleep = state.messages.isEmpty
            return state.isAsleep
        }
    }

    /// The loop runs and will look into the mailbox before it sleeps.
    func wakeUp() {
        state.withLock { $0.isAsleep = false }
    }

    /// The loop is over: messages are dropped, now and from now on.
    func close() {
        state.withLock { state in
            state.isClosed = true
            state.messages = []
        }
    }

    /// How often the loop was about to sleep; stays the same while it does.
    var looks: Int { state.withLock { $0.looks } }

    /// How often a post has had to wake the loop.
    var wakeUps: Int { state.withLock { $0.wakeUps } }
}
