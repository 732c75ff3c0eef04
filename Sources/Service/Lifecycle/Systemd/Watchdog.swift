// Tells systemd that the process makes progress. Each loop and each engine must take turns of its main loop. If one
// does not, systemd is not notified, and kills the process after WatchdogSec=.

internal import Dispatch
internal import Logging
internal import Synchronization

/// Something that must make progress.
struct Watched {
    /// A unique name for the log.
    let name: String
    /// The turns of its main loop so far.
    let turns: UInt64
    /// Makes it take a turn soon, even if it has no work.
    let poke: () -> Void
}

/// The watchdog's rule, without a clock.
struct WatchdogJudge {
    private var asked: [String: UInt64] = [:]

    /// The names of those that have taken no turn since the last call. Asks all of them for another turn.
    mutating func stuck(_ watched: [Watched]) -> [String] {
        let stuck = watched.filter { asked[$0.name] == $0.turns }.map(\.name)
        asked = Dictionary(watched.map { ($0.name, $0.turns) }, uniquingKeysWith: { $1 })
        for each in watched { each.poke() }
        return stuck
    }
}

/// Feeds systemd's watchdog.
///
/// `@unchecked Sendable`: the timer is touched only in `init` and `deinit`, the judge only on the timer's queue.
final class Watchdog: @unchecked Sendable {
    private let timer: any DispatchSourceTimer
    private var judge = WatchdogJudge()

    /// Checks four times per period, so that one late check does no harm.
    ///
    /// - Parameters:
    ///   - microseconds: systemd's period, `WATCHDOG_USEC`.
    ///   - watched: called at every check.
    init(
        microseconds: UInt64,
        socket: NotifySocket,
        logger: Logger,
        watched: @escaping @Sendable () -> [Watched]
    ) {
        // A separate queue, because the global one may hang.
        timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "genrec.watchdog", qos: .userInitiated))
        timer.setEventHandler { [weak self] in
            guard let self else { return }
            let stuck = judge.stuck(watched())
            if stuck.isEmpty {
                socket.send(.watchdog)
            } else {
                logger.error("no progress", metadata: ["watchdog.stuck": "\(stuck.joined(separator: ", "))"])
            }
        }
        timer.schedule(deadline: .now(), repeating: .microseconds(Int(clamping: max(microseconds / 4, 1_000))))
        timer.activate()
    }

    deinit { timer.cancel() }

    /// The period in microseconds if systemd watches this process (sd_watchdog_enabled(3)); nil otherwise.
    static func period(environment: [String: String], processID: Int32) -> UInt64? {
        if let owner = environment["WATCHDOG_PID"], owner != "\(processID)" { return nil }
        guard let text = environment["WATCHDOG_USEC"], let microseconds = UInt64(text), microseconds > 0 else {
            return nil
        }
        return microseconds
    }
}
