// Signals as events: a server drains; a load test stops and reports.

internal import Dispatch
internal import Glibc

/// Calls a handler when the process receives a signal, instead of the signal's default action.
///
/// `@unchecked Sendable`: Dispatch sources may be used from any thread, and nothing here changes after `init`.
package final class SignalSource: @unchecked Sendable {
    private let source: any DispatchSourceSignal

    package init(_ number: Int32, handler: @escaping @Sendable () -> Void) {
        // A Dispatch source only observes; the signal's default action would still end the process.
        signal(number, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler(handler: handler)
        source.activate()
    }

    deinit { source.cancel() }
}
