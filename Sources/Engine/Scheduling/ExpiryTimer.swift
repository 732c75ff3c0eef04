// A one-shot timer for the earliest deadline, so that overdue requests are answered on time even while the engine's
// thread computes a long batch.

internal import Dispatch

/// Calls a handler at a point in time, on its own queue.
///
/// `@unchecked Sendable`: Dispatch sources and queues may be used from any thread (the Dispatch overlay for Linux does not
/// say so in its types), and nothing here changes after `init`.
final class ExpiryTimer: @unchecked Sendable {
    private let timer: any DispatchSourceTimer

    init(handler: @escaping @Sendable () -> Void) {
        timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "genrec.engine.expiry"))
        timer.setEventHandler(handler: handler)
        timer.activate()
    }

    deinit { timer.cancel() }

    /// Fires at `instant`, or immediately if that has passed; replaces the previous setting.
    func arm(for instant: Instant) {
        timer.schedule(deadline: DispatchTime(uptimeNanoseconds: instant.nanoseconds), leeway: .microseconds(500))
    }
}
