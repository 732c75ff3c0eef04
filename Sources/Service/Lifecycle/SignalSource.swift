// Signals as events: a server drains; a load test stops and reports.

internal import CLinux
internal import Dispatch
internal import Glibc

/// Calls a handler once for each signal that the process receives, instead of the signal's default action.
///
/// A handler counts the signals in an eventfd, from the moment when `init` has installed it. Dispatch's own signal sources
/// need the signal to be ignored first and observe it only some time later, and a signal in between is lost.
///
/// `@unchecked Sendable`: Dispatch sources may be used from any thread, and nothing here changes after `init`.
package final class SignalSource: @unchecked Sendable {
    /// nil if the process has no descriptor left. The signal then keeps its default action.
    private let source: (any DispatchSourceRead)?

    /// - Parameters:
    ///   - number: one source per signal.
    ///   - handler: runs on a global queue.
    package init(_ number: Int32, handler: @escaping @Sendable () -> Void) {
        let descriptor = CLinux_countSignal(number)
        source = descriptor < 0 ? nil : DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        source?.setEventHandler {
            var count: UInt64 = 0
            guard read(descriptor, &count, MemoryLayout<UInt64>.size) > 0 else { return }
            for _ in 0..<count { handler() }
        }
        source?.activate()
    }

    deinit { source?.cancel() }
}
