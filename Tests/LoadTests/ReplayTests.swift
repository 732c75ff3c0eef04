// Replayed interactions: their order, their times, and their use by a run.

import Foundation
import Interactions
import Testing

@testable import Load

@Suite struct ReplayTests {
    private static func histories() throws -> [History] {
        let text = "user\titem\ttimestamp\nu\ta\t10\nu\tb\t30\nv\tc\t20\nv\td\t30\nu\te\t50\n"
        let log = try InteractionLog(parsing: Array(text.utf8), name: "test")
        return try log.users.map { try History($0, hasTimestamps: true) }
    }

    private static func json(_ step: Replay.Step) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: Data(step.body)) as? [String: Any])
    }

    private static func event(_ step: Replay.Step) throws -> [String: Any] {
        try #require((json(step)["events"] as? [[String: Any]])?.first)
    }

    @Test func events_ComeInTheOrderOfTheirTime_AndBeginAgain() throws {
        var settings = WorkloadSettings()
        settings.count = 3
        var replay = Replay(histories: try Self.histories(), settings: settings, eventShare: 1, seed: 1)
        let events = try (0..<10).map { _ in try Self.event(replay.next()) }
        let items = try events.map { try #require($0["item"] as? String) }
        #expect(items == ["a", "c", "b", "d", "e", "a", "c", "b", "d", "e"])
        let times = try events.map { try #require($0["timestamp"] as? Int) }
        #expect(Array(times.prefix(5)) == [10, 20, 30, 30, 50])
        // A user's events never go back in time, not even in the next round.
        for user in Set(events.compactMap { $0["user_id"] as? String }) {
            let own = events.filter { $0["user_id"] as? String == user }.compactMap { $0["timestamp"] as? Int }
            #expect(own == own.sorted() && own.count == Set(own).count)
        }
    }

    @Test func requests_AreByTheUserOfTheLastEvent_InTheShareThatIsWanted() throws {
        var settings = WorkloadSettings()
        settings.deadlineMilliseconds = 50
        var replay = Replay(histories: try Self.histories(), settings: settings, eventShare: 0.25, seed: 2)
        var user: String?
        var events = 0
        for _ in 0..<2_000 {
            let step = replay.next()
            if step.isEvent {
                events += 1
                user = try Self.event(step)["user_id"] as? String
            } else {
                let request = try Self.json(step)
                #expect(request["user_id"] as? String == user && request["history"] == nil)
                #expect(request["deadline_ms"] as? Int == 50)
            }
        }
        // Eight standard deviations around a quarter.
        #expect(345...655 ~= events)
        var again = Replay(histories: try Self.histories(), settings: settings, eventShare: 0.25, seed: 2)
        var other = Replay(histories: try Self.histories(), settings: settings, eventShare: 0.25, seed: 2)
        #expect((0..<50).allSatisfy { _ in again.next() == other.next() })
    }

    @Test func run_CountsEventsApart() throws {
        let server = try ScriptedServer { _, request in
            request.hasPrefix("POST /events ")
                ? .send(ScriptedReply.reply(200, #"{"accepted":1}"#)) : .recommendation
        }
        defer { server.stop() }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("interactions.tsv").path
        try "user\titem\ttimestamp\nu\ta\t1\nu\tb\t2\n".write(toFile: path, atomically: true, encoding: .utf8)
        var plan = LoadPlan(arrivals: .closed(connections: 2), duration: 100_000_000, seed: 1)
        plan.workload.eventShare = 0.5
        let report = try LoadTest(
            target: LoadTarget(parsing: server.url),
            plan: plan,
            interactions: path,
            demo: nil
        ).run { _ in }
        let recorder = report.recorder
        #expect(recorder.events.begun > 0 && recorder.events.acknowledged == recorder.events.begun)
        #expect(recorder.begun > 0 && recorder.count(.status(200)) == recorder.begun)
        #expect(recorder.unreadable == 0)
        #expect(report.table.contains("events") && report.json.contains("\"acknowledged\""))
        let untimed = folder.appendingPathComponent("untimed.tsv").path
        try "user\titem\nu\ta\nu\tb\n".write(toFile: untimed, atomically: true, encoding: .utf8)
        #expect(throws: LoadError.self) {
            _ = try LoadTest(target: LoadTarget(parsing: server.url), plan: plan, interactions: untimed, demo: nil)
        }
    }
}
