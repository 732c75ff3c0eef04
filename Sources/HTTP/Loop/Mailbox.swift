// Messages from other threads to a loop. A post takes a lock. Only the first post to a sleeping loop also makes a
// system call, so a burst of completions wakes the loop once.

import CLinux
import Locking

/// A message to a loop.
enum LoopMessage: Sendable {
    /// The exchange has parts of a reply to pick up.
    case reply(HTTPExchange)
    /// Work from another target to run on the loop.
    case work(@Sendable (LoopSockets) -> Void)
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
        var turns: UInt64 = 0
    }

    private let state = Lock(State())
    /// An eventfd in the loop's epoll set, edge-triggered, so it need not be read.
    let eventDescriptor: Int32

    init() throws(HTTPError) {
        eventDescriptor = CLinux_eventfd()
        guard eventDescriptor >= 0 else { throw HTTPError(.system, "Cannot create an eventfd.") }
    }

    deinit { Syscall.close(eventDescriptor) }

    /// Queues a message. False if the loop has ended: the message is dropped.
    @discardableResult
    func post(_ message: LoopMessage) -> Bool {
        let (isTaken, isAsleep) = state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.messages.append(message)
            guard state.isAsleep else { return (true, false) }
            state.isAsleep = false
            state.wakeUps += 1
            return (true, true)
        }
        if isAsleep { Syscall.signal(eventDescriptor) }
        return isTaken
    }

    /// Makes the loop take a turn without a message. Signals even a loop that is awake, because it may be about to
    /// sleep.
    func poke() { Syscall.signal(eventDescriptor) }

    /// The number of turns the loop has taken; it looks into the mailbox once per turn.
    var turns: UInt64 { state.withLock { $0.turns } }

    /// Swaps the queued messages with `messages`, which is empty.
    func take(into messages: inout [LoopMessage]) {
        state.withLock { state in
            state.turns += 1
            swap(&state.messages, &messages)
        }
    }

    /// Call before sleeping: from now on a post wakes the loop. False if there are messages, and the loop must not
    /// sleep.
    func fallAsleep() -> Bool {
        state.withLock { state in
            state.looks += 1
            state.isAsleep = state.messages.isEmpty
            return state.isAsleep
        }
    }

    /// The loop is awake and will look into the mailbox before it sleeps.
    func wakeUp() {
        state.withLock { $0.isAsleep = false }
    }

    /// The loop has ended: drops all later messages.
    ///
    /// - Returns: the queued messages.
    @discardableResult
    func close() -> [LoopMessage] {
        state.withLock { state in
            state.isClosed = true
            defer { state.messages = [] }
            return state.messages
        }
    }

    /// How often the loop was about to sleep. Constant while it sleeps.
    var looks: Int { state.withLock { $0.looks } }

    /// How often a post has woken the loop.
    var wakeUps: Int { state.withLock { $0.wakeUps } }
}
