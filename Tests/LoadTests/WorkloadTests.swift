// Requests made from histories.

import Foundation
import Interactions
import Testing

@testable import Load

/// A decoded request body.
private struct Body: Decodable, Equatable {
    struct History: Decodable, Equatable {
        var items: [String]
        var timestamps: [Int]
    }

    // swift-format-ignore: AlwaysUseLowerCamelCase
    var user_id: String
    var history: History
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var request_time: Int
    var k: Int
    var mode: String?
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var deadline_ms: Int?

    init(_ bytes: [UInt8]) throws { self = try JSONDecoder().decode(Body.self, from: Data(bytes)) }
}

@Suite struct WorkloadTests {
    private static func history(_ id: String, _ items: [String]) throws -> History {
        try history(id, items.enumerated().map { ($1, 1_000 + Int64($0) * 10) })
    }

    private static func history(
        _ id: String,
        _ events: [(item: String, timestamp: Int64)]
    ) throws -> History {
        let lines = events.map { "\(id)\t\($0.item)\t\($0.timestamp)\n" }
        let log = try InteractionLog(
            parsing: Array(("user\titem\ttimestamp\n" + lines.joined()).utf8),
            name: "test"
        )
        return try History(log.users[0], hasTimestamps: true)
    }

    private static func histories() throws -> [History] {
        try [
            history("u\"1", ["a", "b\\", "c", "d"]), history("u2", ["e"]),
            history("u3", (0..<50).map { "i\($0)" }),
        ]
    }

    @Test func sameSeed_SameBytes_AnotherSeed_OtherUsers() throws {
        var settings = WorkloadSettings()
        settings.returningShare = 0.5
        func bodies(_ seed: UInt64) throws -> [[UInt8]] {
            var workload = Workload(histories: try Self.histories(), settings: settings, seed: seed)
            return (0..<200).map { _ in
                let visitor = workload.next().visitor
                workload.answered(visitor)
                return workload.body(of: visitor)
            }
        }
        #expect(try bodies(1) == bodies(1))
        let first = Set(try bodies(1).map { try Body($0).user_id })
        let second = Set(try bodies(2).map { try Body($0).user_id })
        #expect(first.isDisjoint(with: second))
    }

    @Test func newcomer_HasAllEventsButTheLast_WhoseTimeIsTheRequests() throws {
        var workload = Workload(
            histories: [try Self.history("u\"1", ["a", "b\\", "é", "d"])],
            settings: WorkloadSettings(),
            seed: 5
        )
        let visitor = workload.next().visitor
        let body = try Body(workload.body(of: visitor))
        let shift = Int(visitor.shift)
        #expect((0..<86_400).contains(shift))
        #expect(body.user_id.hasPrefix("u\"1."))
        #expect(body.history == .init(items: ["a", "b\\", "é"], timestamps: [1_000, 1_010, 1_020].map { $0 + shift }))
        #expect(body.request_time == 1_030 + shift)
        #expect(body.k == 10)
        #expect(body.mode == nil)
        #expect(body.deadline_ms == nil)
    }

    @Test func settings_AreInTheBody() throws {
        var settings = WorkloadSettings()
        settings.count = 3
        settings.mode = .sequence
        settings.deadlineMilliseconds = 80
        var workload = Workload(histories: try Self.histories(), settings: settings, seed: 5)
        let body = try Body(workload.body(of: workload.next().visitor))
        #expect(body.k == 3)
        #expect(body.mode == "sequence")
        #expect(body.deadline_ms == 80)
    }

    @Test func beamsAndCandidates_AreInTheBody() throws {
        func object(_ settings: WorkloadSettings, skipping: Int = 0) throws -> [String: Any] {
            var workload = Workload(histories: try Self.histories(), settings: settings, seed: 5)
            for _ in 0..<skipping { _ = workload.next() }
            let body = workload.body(of: workload.next().visitor)
            return try #require(try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any])
        }
        var settings = WorkloadSettings()
        settings.beams = [7]
        #expect(try object(settings)["beams"] as? Int == 7)
        settings.beams = [4, 5, 6]
        #expect(try object(settings)["beams"] as? [Int] == [4, 5, 6])
        #expect(settings.route == "recommend")
        settings = WorkloadSettings()
        settings.candidates = 20
        settings.count = nil
        #expect(settings.route == "rank")
        let first = try object(settings)
        #expect(first["k"] == nil)
        let named = try #require(first["candidates"] as? [String])
        #expect(Set(named).count == 20)
        #expect(try object(settings, skipping: 1)["candidates"] as? [String] != named)
        // At most as many as the histories have.
        settings.candidates = 1_000
        #expect((try object(settings)["candidates"] as? [String])?.count == 55)
    }

    @Test func lengths_AreDrawnFromTheWholeRange_AndHistoriesContinued() throws {
        var settings = WorkloadSettings()
        settings.lengths = 0...9
        let histories = [try Self.history("u", ["a", "b", "c", "d"])]
        var workload = Workload(histories: histories, settings: settings, seed: 11)
        var lengths: Set<Int> = []
        for _ in 0..<500 {
            let visitor = workload.next().visitor
            let body = try Body(workload.body(of: visitor))
            lengths.insert(body.history.items.count)
            #expect(body.history.items == Array(["a", "b", "c", "d", "a", "b", "c", "d", "a"].prefix(visitor.length)))
            let times = body.history.timestamps + [body.request_time]
            #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 == 10 })
        }
        #expect(lengths == Set(0...9))
    }

    @Test func everyNewcomerIsSomebodyElse_AndEveryUserComes() throws {
        var workload = Workload(histories: try Self.histories(), settings: WorkloadSettings(), seed: 2)
        var ids: Set<String> = []
        var users: Set<Int> = []
        for _ in 0..<1_000 {
            let (visitor, isReturning) = workload.next()
            #expect(!isReturning)
            ids.insert(try Body(workload.body(of: visitor)).user_id)
            users.insert(visitor.history)
            workload.answered(visitor)
        }
        #expect(ids.count == 1_000)
        #expect(users == [0, 1, 2])
    }

    @Test func returningUser_HasTheSameEventsAndOneMore() throws {
        var settings = WorkloadSettings()
        settings.returningShare = 0.7
        var workload = Workload(histories: try Self.histories(), settings: settings, seed: 9)
        var last: [String: Body] = [:]
        var returned = 0
        for _ in 0..<2_000 {
            let (visitor, isReturning) = workload.next()
            let body = try Body(workload.body(of: visitor))
            if isReturning {
                returned += 1
                let before = try #require(last[body.user_id])
                #expect(Array(body.history.items.dropLast()) == before.history.items)
                #expect(body.history.timestamps == before.history.timestamps + [before.request_time])
            } else {
                #expect(last[body.user_id] == nil)
            }
            last[body.user_id] = body
            workload.answered(visitor)
        }
        #expect((1_200...1_600).contains(returned))
    }

    @Test func nobodyComesBack_WhoWasNotAnswered_OrWhoseHistoryIsLongEnough() throws {
        var settings = WorkloadSettings()
        settings.returningShare = 1
        settings.lengths = 2...3
        var workload = Workload(histories: try Self.histories(), settings: settings, seed: 1)
        for _ in 0..<50 { #expect(!workload.next().isReturning) }
        workload.answered(Visitor(history: 0, number: 900, length: 2, shift: 0))
        let (visitor, isReturning) = workload.next()
        #expect(isReturning)
        #expect(visitor == Visitor(history: 0, number: 900, length: 3, shift: 0))
        workload.answered(visitor)
        #expect(!workload.next().isReturning)
    }

    @Test func withoutTimes_RequestsSayNothingOfThem() throws {
        let log = try InteractionLog(parsing: Array("user,item\nu,17\nu,b\nu,c\n".utf8), name: "test")
        let histories = try log.users.map { try History($0, hasTimestamps: log.hasTimestamps) }
        var workload = Workload(histories: histories, settings: WorkloadSettings(), seed: 5)
        let body = String(decoding: workload.body(of: workload.next().visitor), as: UTF8.self)
        #expect(body.contains(#""history":{"items":["17","b"]},"k":10"#))
    }

    @Test func longestHistoryOfTheFarthestTimes_StaysWithinTheYear9999() throws {
        let history = try Self.history("u", [("a", TimeUnit.firstSecond), ("b", TimeUnit.lastSecond)])
        #expect(history.timestamp(History.longest) == TimeUnit.lastSecond - 86_400)
    }
}
