// One event loop: a serial Dispatch queue with one read source over the epoll set that holds the loop's sockets, and one
// timer. Dispatch is asked only when the loop has run dry: while work comes, the loop waits in epoll itself, for a few
// milliseconds at a time, which spares the hop over Dispatch's manager thread for every batch.

import Dispatch

/// A loop and its thread of work.
///
/// `@unchecked Sendable`: all stored variables are touched only on `queue`, except in `init`, in `start` before the sources are
/// activated, and in `deinit`.
final class EventLoop: @unchecked Sendable {
    /// How long a dry loop waits in epoll before it goes back to Dispatch. It holds a thread of the queue's meanwhile,
    /// which nobody else needs: each loop's queue has its own.
    private static let patienceMilliseconds: Int32 = 2
    private static let loopKey = DispatchSpecificKey<Bool>()

    let mailbox: Mailbox
    private let queue: DispatchQueue
    private var core: LoopCore
    private var sources: (events: any DispatchSourceRead, timer: any DispatchSourceTimer)?
    /// When the timer goes off; nil if it is not set.
    private var armedFor: UInt64?

    /// A loop that does nothing until `start`.
    init(
        index: Int,
        settings: ConnectionSettings,
        handler: any HTTPHandler,
        counter: ConnectionCounter,
        tls: TLSCredentials?
    ) throws(HTTPError) {
        mailbox = try Mailbox()
        core = try LoopCore(settings: settings, handler: handler, mailbox: mailbox, counter: counter, tls: tls)
        queue = DispatchQueue(label: "genrec.http.loop-\(index)", qos: .userInitiated)
        queue.setSpecific(key: EventLoop.loopKey, value: true)
    }

    /// The sources hold a loop that has been started, so this one never was, or is over.
    deinit {
        if !core.isOver { core.tearDown() }
    }

    /// Whether the caller runs on some loop, where it must not wait for one.
    static var isCurrent: Bool { DispatchQueue.getSpecific(key: loopKey) ?? false }

    /// Takes over the sockets and begins. `group` is left when the loop is over and has freed everything.
    func start(listening sockets: [ListenSocket], group: DispatchGroup) {
        core.listen(on: sockets)
        group.enter()
        let events = DispatchSource.makeReadSource(fileDescriptor: core.descriptor, queue: queue)
        let timer = DispatchSource.makeTimerSource(queue: queue)
        events.setEventHandler { self.run() }
        timer.setEventHandler {
            self.armedFor = nil
            self.run()
        }
        events.setCancelHandler {
            // Only now is Dispatch done with the epoll descriptor, which may be closed no earlier.
            self.core.tearDown()
            group.leave()
        }
        sources = (events, timer)
        timer.activate()
        events.activate()
    }

    private func run() {
        guard !core.isOver else { return }
        core.run(patience: EventLoop.patienceMilliseconds)
        if core.isOver {
            sources?.timer.cancel()
            sources?.events.cancel()
            sources = nil
            return
        }
        guard let due = core.nextDue, due < armedFor ?? .max else { return }
        armedFor = due
        sources?.timer.schedule(deadline: DispatchTime(uptimeNanoseconds: due), leeway: .milliseconds(1))
    }
}
