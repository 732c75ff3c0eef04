// Signals as events: the server drains, a load test stops and reports.

internal import Dispatch
internal import Glibc

/// Calls a handler when the process receives a signal, instead of the signal's default action.
///
/// `@unchecked Sendable`: Dispatch sources may be used from any thread, and nothing here changes after `init`.
package final class SignalSource: @unchecked Sendable {
    private let source: any DispatchSourceSignal

    package init(_ number: Int32, handler: @escaping @Sendable () -> Void) {
        // Dispatch only watches; without this the default action would end the process first.
        signal(number, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler(handler: handler)
        source.activate()
    }

    deinit { source.cancel() }
}
