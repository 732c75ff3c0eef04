// One event loop: a serial Dispatch queue with one read source over the epoll set that holds the loop's sockets, and
// one timer. While work arrives, the loop waits in epoll itself, a few milliseconds at a time, and returns to Dispatch
// only when it is idle. That saves a hop over Dispatch's manager thread for every batch.

import Dispatch

/// A loop and its queue.
///
/// `@unchecked Sendable`: all stored variables are touched only on `queue`, except in `init`, in `start` before the
/// sources are activated, and in `deinit`.
final class EventLoop: @unchecked Sendable {
    /// How long an idle loop waits in epoll before it returns to Dispatch. Meanwhile it occupies its queue's thread,
    /// which nothing else needs.
    private static let patienceMilliseconds: Int32 = 2

    let mailbox: Mailbox
    let handle: LoopHandle
    private let queue: DispatchQueue
    private var core: LoopCore
    private var sources: (events: any DispatchSourceRead, timer: any DispatchSourceTimer)?
    /// When the timer fires; nil if it is not set.
    private var armedFor: UInt64?

    /// The loop does nothing before `start`.
    init(
        index: Int,
        settings: ConnectionSettings,
        handler: any HTTPHandler,
        counter: ConnectionCounter,
        tls: TLSCredentials?
    ) throws(HTTPError) {
        mailbox = try Mailbox()
        handle = LoopHandle(mailbox: mailbox)
        core = try LoopCore(
            settings: settings,
            handler: handler,
            mailbox: mailbox,
            handle: self.handle,
            counter: counter,
            tls: tls
        )
        queue = DispatchQueue(label: "genrec.http.loop-\(index)", qos: .userInitiated)
        self.handle.mark(queue)
    }

    /// The sources retain a started loop, so this one was never started or has ended.
    deinit {
        if !core.isOver { core.tearDown() }
    }

    /// Whether the caller runs on a loop, where it must not wait for one.
    static var isCurrent: Bool { LoopHandle.current != nil }

    /// Takes over the sockets and starts. Leaves `group` when the loop has ended and freed everything.
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
            // Dispatch uses the epoll descriptor until here, so it must not be closed earlier.
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
