// Whole runs against correct and faulty servers. Assertions are on counts and kinds; on times only where the server
// causes them.

import Foundation
import Histogram
import Random
import Testing

@testable import Load

@Suite struct LoadRunTests {
    private static func plan(_ arrivals: Arrivals, seconds: Double = 0.1) -> LoadPlan {
        LoadPlan(arrivals: arrivals, duration: UInt64(seconds * 1e9), seed: 1)
    }

    private static func withInteractions<Result>(_ body: (String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("interactions.tsv").path
        try "user\titem\ttimestamp\nu\ta\t1\nu\tb\t2\nu\tc\t3\n".write(toFile: path, atomically: true, encoding: .utf8)
        return try body(path)
    }

    /// Runs a plan against a script.
    private static func run(_ plan: LoadPlan, _ script: @escaping ScriptedServer.Script) throws -> LoadReport {
        let server = try ScriptedServer(script)
        defer { server.stop() }
        return try withInteractions { path in
            try LoadTest(target: LoadTarget(parsing: server.url), plan: plan, interactions: path, demo: nil).run { _ in
            }
        }
    }

    @Test func closedLoop_CountsEveryReply_AndReusesItsConnections() throws {
        let report = try Self.run(Self.plan(.closed(connections: 3))) { _, _ in .recommendation }
        let recorder = report.recorder
        #expect(recorder.answered > 0)
        #expect(recorder.count(.status(200)) == recorder.begun)
        #expect(recorder.good == recorder.begun)
        #expect(recorder.connectionsOpened == 3)
        #expect(recorder.historyUsed == 4 * recorder.begun)
        #expect(report.cachedShare == 0.75)
        #expect(recorder.bytesReceived > 0)
        #expect(recorder.unreadable == 0)
    }

    @Test func openLoop_SendsWhatTheScheduleSays_OnSeveralThreads() throws {
        var plan = Self.plan(.open(rate: 500), seconds: 0.4)
        plan.threads = 2
        let report = try Self.run(plan) { _, _ in .recommendation }
        var due = 0
        for index in 0..<2 {
            // As a worker draws them: first the seed of its workload, then that of its schedule.
            var generator = SplitMix64(seed: plan.share(index).seed)
            _ = generator.next()
            var schedule = PoissonSchedule(rate: 250, seed: generator.next())
            while schedule.next < plan.duration {
                due += 1
                schedule.advance()
            }
        }
        #expect(report.recorder.begun + report.recorder.unsent == due)
        #expect(report.recorder.unsent == 0)
        #expect(report.recorder.answered == due)
    }

    @Test func stallOfTheServer_IsInTheLatencyOfEveryRequestThatWasDueInIt() throws {
        // The first reply takes 0.4 s, the others no time, and there is one connection. A client that timed only
        // requests it had sent would see one slow request.
        var plan = Self.plan(.open(rate: 1_000), seconds: 0.3)
        plan.maximumConnections = 1
        let report = try Self.run(plan) { number, _ in
            number == 0
                ? .stall(0.4, ScriptedReply.reply(200, #"{"items":[]}"#))
                : .send(ScriptedReply.reply(200, #"{"items":[]}"#))
        }
        // Requests are due in the first 0.3 s and answered after 0.4 s: at least 0.1 s each. Requests unanswered at 0.3
        // s were never sent. With Poisson arrivals at 1 000 per second, fewer than 200 in 0.3 s would be eight standard
        // deviations off.
        #expect(report.recorder.answered == 1)
        #expect(report.recorder.unsent > 200)
        plan.duration = 600_000_000
        let longer = try Self.run(plan) { number, _ in
            number == 0
                ? .stall(0.4, ScriptedReply.reply(200, #"{"items":[]}"#))
                : .send(ScriptedReply.reply(200, #"{"items":[]}"#))
        }
        // A slow machine leaves more of them unsent at the end of the run; none is answered earlier.
        let slow = longer.recorder.latency.count(within: 100_000_000...3_600_000_000_000)
        #expect(slow > 0 && Int(slow) + longer.recorder.unsent > 200)
        #expect(longer.recorder.connectionWaits + longer.recorder.unsent > 200)
    }

    @Test func pathAndKey_AreSent_AndTheSameUserComesBackWithMore() throws {
        var plan = Self.plan(.closed(connections: 1))
        plan.authorization = "Bearer k"
        plan.workload.returningShare = 1
        let server = try ScriptedServer { _, _ in .recommendation }
        defer { server.stop() }
        let report = try Self.withInteractions { path in
            try LoadTest(target: LoadTarget(parsing: server.url + "/base/"), plan: plan, interactions: path, demo: nil)
                .run { _ in
                }
        }
        let requests = server.requests
        let first = try #require(requests.first)
        #expect(first.hasPrefix("POST /base/recommend HTTP/1.1\r\nHost: 127.0.0.1:"))
        #expect(first.contains("\r\nAuthorization: Bearer k\r\n"))
        #expect(first.contains(#""items":["a","b"]"#))
        #expect(report.recorder.returning > 0)
        #expect(requests.dropFirst().first?.contains(#""items":["a","b","c"]"#) == true)
    }

    @Test func unixSocket_IsSpokenTo() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("load-\(UUID().uuidString)").path
        let server = try ScriptedServer(path: path) { _, _ in .recommendation }
        defer {
            server.stop()
            unlink(path)
        }
        let plan = Self.plan(.closed(connections: 2))
        let report = try Self.withInteractions {
            try LoadTest(target: LoadTarget(parsing: server.url), plan: plan, interactions: $0, demo: nil).run { _ in }
        }
        #expect(report.recorder.count(.status(200)) > 0)
    }

    @Test(arguments: [
        (ScriptedReply.send(ScriptedReply.reply(500, "{}")), Outcome.status(500)),
        (.send(ScriptedReply.reply(302, "", fields: "Location: /x\r\n")), .status(302)),
        (.sendAndClose(ScriptedReply.reply(429, "{}", fields: "Connection: close\r\n")), .status(429)),
        (.sendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), .connectionLost),
        (.sendAndClose(""), .connectionLost),
        (.send("what?\r\n"), .notHTTP),
        (.send(ScriptedReply.reply(200, "{}") + "HTTP/1.1 200 OK\r\n"), .notHTTP),
        (.sendAndClose("HTTP/1.1 200 OK\r\n\r\n{\"items\":[]}"), .status(200)),
    ]) func oddReply_IsACountedOutcome(reply: ScriptedReply, outcome: Outcome) throws {
        let report = try Self.run(Self.plan(.closed(connections: 2))) { _, _ in reply }
        #expect(report.recorder.count(outcome) > 0)
        #expect(report.recorder.outcomes.keys.allSatisfy { $0 == outcome })
        #expect(report.recorder.outcomes.values.reduce(0, +) == report.recorder.begun)
    }

    @Test func replyThatIsNoJSON_IsCounted() throws {
        let report = try Self.run(Self.plan(.closed(connections: 1))) { _, _ in
            .send(ScriptedReply.reply(200, "<html>"))
        }
        #expect(report.recorder.unreadable == report.recorder.answered)
        #expect(report.recorder.answered > 0)
    }

    @Test func silence_IsATimeout() throws {
        var plan = Self.plan(.closed(connections: 2))
        plan.timeout = 30_000_000
        let report = try Self.run(plan) { _, _ in .silence }
        #expect(report.recorder.count(.timeout) > 0)
        #expect(report.recorder.count(.timeout) == report.recorder.begun)
        #expect(report.recorder.answered == 0)
    }

    @Test func callersThatGoAway_AreCounted_AndOnlyThatManyConnectionsReplaced() throws {
        var plan = Self.plan(.closed(connections: 2), seconds: 0.3)
        plan.abandonShare = 0.5
        let reply = ScriptedReply.reply(200, #"{"items":[]}"#)
        let report = try Self.run(plan) { _, _ in .stall(0.002, reply) }
        let abandoned = report.recorder.count(.abandoned)
        #expect(abandoned > 0)
        #expect(report.recorder.answered > 0)
        #expect(abandoned + report.recorder.answered == report.recorder.begun)
        #expect(report.recorder.connectionsOpened <= 2 + abandoned)
    }

    @Test func interruption_EndsARunThatWouldLast() throws {
        let server = try ScriptedServer { _, _ in .silence }
        defer { server.stop() }
        let report = try Self.withInteractions { path in
            let plan = Self.plan(.closed(connections: 1), seconds: 3_600)
            let test = try LoadTest(target: LoadTarget(parsing: server.url), plan: plan, interactions: path, demo: nil)
            // The first progress report comes after the run has started.
            return try test.run { _ in test.interrupt() }
        }
        #expect(report.isInterrupted)
        #expect(report.recorder.count(.unfinished) == report.recorder.begun)
        #expect(report.seconds < 3_600)
    }

    // MARK: Before a run

    @Test func nobodyListening_IsASentence() throws {
        let server = try ScriptedServer { _, _ in .silence }
        server.stop()
        try Self.withInteractions { path in
            let target = try LoadTarget(parsing: server.url)
            let error = #expect(throws: LoadError.self) {
                try LoadTest(target: target, plan: Self.plan(.closed(connections: 1)), interactions: path, demo: nil)
            }
            #expect(try #require(error).description.contains("does not accept a connection (Connection refused)"))
        }
    }

    @Test func withoutInteractions_OnlyTheDemoIsKnown() throws {
        for (reply, words) in [
            (ScriptedReply.reply(200, #"{"models":[{"name":"films"}]}"#), "serves \"films\""),
            (ScriptedReply.reply(403, "{}"), "answered GET /models with 403"),
            (ScriptedReply.reply(200, "<html>"), "not in genrec's format"), ("oops\r\n", "other than HTTP/1.1"),
        ] {
            let server = try ScriptedServer { _, _ in .send(reply) }
            defer { server.stop() }
            let target = try LoadTarget(parsing: server.url)
            let error = #expect(throws: LoadError.self) {
                try LoadTest(target: target, plan: Self.plan(.closed(connections: 1)), interactions: nil, demo: nil)
            }
            #expect(try #require(error).description.contains(words))
        }
    }
}
