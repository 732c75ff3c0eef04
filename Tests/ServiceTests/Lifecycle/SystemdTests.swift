// Parsing of systemd's environment variables, and the watchdog's rule, without systemd or a clock.

import Testing

@testable import Service

@Suite struct SystemdTests {
    @Test func sockets_GoToTheListenerOfTheirName() throws {
        let sockets = try HandedSockets(
            environment: ["LISTEN_FDS": "3", "LISTEN_PID": "7", "LISTEN_FDNAMES": "genrec.socket:admin:http"],
            processID: 7
        )
        #expect(sockets.callers == [3, 5] && sockets.admin == [4])
    }

    @Test func socketsWithoutNames_AreTheCallers() throws {
        let sockets = try HandedSockets(environment: ["LISTEN_FDS": "2", "LISTEN_PID": "7"], processID: 7)
        #expect(sockets.callers == [3, 4] && sockets.admin.isEmpty)
    }

    /// Child processes inherit the variables, but the sockets are not meant for them.
    @Test func socketsOfAnotherProcess_AreLeftAlone() throws {
        for environment in [["LISTEN_FDS": "2", "LISTEN_PID": "8"], ["LISTEN_FDS": "2"], ["LISTEN_PID": "7"]] {
            let sockets = try HandedSockets(environment: environment, processID: 7)
            #expect(sockets.callers.isEmpty && sockets.admin.isEmpty)
        }
    }

    @Test(arguments: ["", "-1", "65", "two"]) func numberThatIsNone_IsRefused(_ count: String) {
        #expect(throws: ServerError.self) {
            try HandedSockets(environment: ["LISTEN_FDS": count, "LISTEN_PID": "7"], processID: 7)
        }
    }

    @Test func notifySocket_IsAPathOrAnAbstractName() {
        #expect(NotifySocket(environment: [:]) == nil)
        #expect(NotifySocket(environment: ["NOTIFY_SOCKET": "vsock:2:1234"]) == nil)
        #expect(NotifySocket(environment: ["NOTIFY_SOCKET": "/" + String(repeating: "a", count: 107)]) == nil)
        #expect(NotifySocket(environment: ["NOTIFY_SOCKET": "/run/notify"]) != nil)
        #expect(NotifySocket(environment: ["NOTIFY_SOCKET": "@notify"]) != nil)
    }

    @Test func watchdogPeriod_IsOfThisProcessAlone() {
        #expect(Watchdog.period(environment: ["WATCHDOG_USEC": "5000"], processID: 7) == 5_000)
        #expect(Watchdog.period(environment: ["WATCHDOG_USEC": "5000", "WATCHDOG_PID": "7"], processID: 7) == 5_000)
        #expect(Watchdog.period(environment: ["WATCHDOG_USEC": "5000", "WATCHDOG_PID": "8"], processID: 7) == nil)
        #expect(Watchdog.period(environment: ["WATCHDOG_USEC": "0"], processID: 7) == nil)
        #expect(Watchdog.period(environment: [:], processID: 7) == nil)
    }

    @Test func judge_NamesWhatTookNoTurnSinceItWasAsked() {
        var judge = WatchdogJudge()
        var asked: [String] = []
        func watched(_ loop: UInt64, _ engine: UInt64) -> [Watched] {
            [
                Watched(name: "loop", turns: loop) { asked.append("loop") },
                Watched(name: "engine", turns: engine) { asked.append("engine") },
            ]
        }
        #expect(judge.stuck(watched(1, 1)) == [])
        #expect(asked == ["loop", "engine"])
        #expect(judge.stuck(watched(2, 2)) == [])
        #expect(judge.stuck(watched(3, 2)) == ["engine"])
        #expect(judge.stuck(watched(3, 2)) == ["loop", "engine"])
        #expect(judge.stuck(watched(4, 3)) == [])
    }

    /// A new engine counts from zero.
    @Test func judge_ForgetsWhatIsNoLongerWatched() {
        var judge = WatchdogJudge()
        #expect(judge.stuck([Watched(name: "engine", turns: 5) {}]) == [])
        #expect(judge.stuck([]) == [])
        #expect(judge.stuck([Watched(name: "engine", turns: 5) {}]) == [])
    }
}
