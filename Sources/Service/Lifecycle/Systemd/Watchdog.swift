// Tells systemd that the process makes progress. Each loop and each engine must take a turn of its main loop; if one
// does not, systemd is not notified and kills the process after WatchdogSec=.

internal import Dispatch
internal import Logging
internal import Synchronization

/// Something that must make progress.
struct Watched {
    /// For the log. Unique.
    let name: String
    /// Turns of its main loop so far.
    let turns: UInt64
    /// Makes it take a turn soon, even without work.
    let poke: () -> Void
}

/// The rule of the watchdog, without a clock.
struct WatchdogJudge {
    private var asked: [String: UInt64] = [:]

    /// Names of those that have taken no turn since the last call; requests another turn from all.
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

    /// Looks four times in each period, so that one late look costs nothing.
    ///
    /// - Parameters:
    ///   - microseconds: systemd's period, `WATCHDOG_USEC`.
    ///   - watched: called at every look.
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

    /// The period if systemd watches this process (sd_watchdog_enabled(3)); nil: it does not.
    static func period(environment: [String: String], processID: Int32) -> UInt64? {
        if let owner = environment["WATCHDOG_PID"], owner != "\(processID)" { return nil }
        guard let text = environment["WATCHDOG_USEC"], let microseconds = UInt64(text), microseconds > 0 else {
            return nil
        }
        return microseconds
    }
}
