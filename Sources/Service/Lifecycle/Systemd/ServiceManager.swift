// Talks to systemd: sends states, receives sockets. Without systemd every function does nothing.

internal import Glibc
internal import Locking
internal import Logging

/// The service manager that started this process, if any.
final class ServiceManager: Sendable {
    /// Listening sockets that it passed.
    let sockets: HandedSockets
    private let notify: NotifySocket?
    private let period: UInt64?
    private let watchdog = Lock<Watchdog?>(nil)

    /// - Throws: `ServerError` if the environment has sockets that cannot be used.
    init(environment: [String: String], processID: Int32 = getpid()) throws(ServerError) {
        sockets = try HandedSockets(environment: environment, processID: processID)
        notify = NotifySocket(environment: environment)
        period = Watchdog.period(environment: environment, processID: processID)
    }

    func send(_ message: NotifySocket.Message) { notify?.send(message) }

    /// Runs a reload between its two messages.
    func reload(_ body: () -> Void) {
        send(.reloading)
        body()
        send(.reloaded)
    }

    /// Feeds the watchdog from now on, if systemd expects it.
    func watch(logger: Logger, _ watched: @escaping @Sendable () -> [Watched]) {
        guard let notify, let period else { return }
        let started = Watchdog(microseconds: period, socket: notify, logger: logger, watched: watched)
        watchdog.withLock { $0 = started }
    }
}
