// Talks to systemd: sends states and receives sockets. Without systemd, nothing here has an effect.

internal import Glibc
internal import Locking
internal import Logging

/// The service manager that started this process, if any.
final class ServiceManager: Sendable {
    /// The listening sockets that it passed.
    let sockets: HandedSockets
    private let notify: NotifySocket?
    private let period: UInt64?
    private let watchdog = Lock<Watchdog?>(nil)

    /// - Throws: `ServerError` if the environment describes unusable sockets.
    init(environment: [String: String], processID: Int32 = getpid()) throws(ServerError) {
        sockets = try HandedSockets(environment: environment, processID: processID)
        notify = NotifySocket(environment: environment)
        period = Watchdog.period(environment: environment, processID: processID)
    }

    func send(_ message: NotifySocket.Message) { notify?.send(message) }

    /// Runs a reload between the two messages that systemd expects.
    func reload(_ body: () -> Void) {
        send(.reloading)
        body()
        send(.reloaded)
    }

    /// Starts feeding the watchdog if systemd expects it.
    func watch(logger: Logger, _ watched: @escaping @Sendable () -> [Watched]) {
        guard let notify, let period else { return }
        let started = Watchdog(microseconds: period, socket: notify, logger: logger, watched: watched)
        watchdog.withLock { $0 = started }
    }
}
