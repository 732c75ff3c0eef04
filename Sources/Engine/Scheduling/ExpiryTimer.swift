// A one-shot timer for deadlines, so that overdue requests are answered on time even while the engine's thread computes
// a long batch.

package import Dispatch

/// Calls a handler on a queue at a point in time. Stops when it is released.
///
/// `@unchecked Sendable`: Dispatch sources and queues may be used from any thread (the Dispatch overlay for Linux does
/// not say so in its types), and nothing here changes after `init`.
package final class ExpiryTimer: @unchecked Sendable {
    private let timer: any DispatchSourceTimer

    package init(
        on queue: DispatchQueue = DispatchQueue(label: "genrec.engine.expiry"),
        handler: @escaping @Sendable () -> Void
    ) {
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler(handler: handler)
        timer.activate()
    }

    deinit { timer.cancel() }

    /// Fires at `instant`, or immediately if that has passed; replaces the previous setting.
    package func arm(for instant: Instant) {
        timer.schedule(deadline: DispatchTime(uptimeNanoseconds: instant.nanoseconds), leeway: .microseconds(500))
    }
}
