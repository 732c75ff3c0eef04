// The store in Redis: its writes, its reads of lists that others wrote, and its equality to a plain reference over
// connections that are cut anywhere.

import Locking
import Random
import Redis
import RedisTesting
import Testing

@testable import Users

private func event(_ item: String, _ timestamp: Int64, _ action: String? = nil) -> UserEvent {
    UserEvent(item: item, timestamp: timestamp, action: action)
}

/// A store with its own server and loops.
private final class StoreFixture: Sendable {
    let lists = RedisLists()
    let server: ScriptedRedis
    let store: RedisUserStore
    private let loops: LoopFixture

    init(maxEvents: Int = 8, lifetime: UInt32? = 60) throws {
        let lists = lists
        server = try ScriptedRedis { _, words in .send(lists.answer(words)) }
        var redis = try RedisConfiguration(urls: server.url)
        redis.timeout = 20_000_000_000
        store = try RedisUserStore(
            RedisUserStoreConfiguration(redis: redis, prefix: "genrec:", maxEvents: maxEvents, lifetime: lifetime),
            report: { _ in }
        )
        loops = try LoopFixture()
        store.attach(to: loops.loops)
    }

    func events(of user: String) async -> Result<[UserEvent]?, UserStoreError> {
        await withCheckedContinuation { continuation in
            store.events(of: user) { continuation.resume(returning: $0) }
        }
    }

    func append(_ user: String, _ events: [UserEvent]) async -> Result<AppendOutcome, UserStoreError> {
        await append(events.map { IncomingEvent(user: user, event: $0) })
    }

    func append(_ events: [IncomingEvent]) async -> Result<AppendOutcome, UserStoreError> {
        await withCheckedContinuation { continuation in
            store.append(events) { continuation.resume(returning: $0) }
        }
    }

    func delete(_ user: String) async -> Result<Void, UserStoreError> {
        await withCheckedContinuation { continuation in
            store.delete(user) { continuation.resume(returning: $0) }
        }
    }
}

/// Repeats a call, with a pause while the store is unavailable; finally throws the last error.
private func untilAnswered<Value>(_ call: () async -> Result<Value, UserStoreError>) async throws -> Value {
    for _ in 0..<10_000 {
        if case .success(let value) = await call() { return value }
        try await Task.sleep(for: .milliseconds(1))
    }
    return try await call().get()
}

@Suite struct RedisUserStoreTests {
    @Test func events_AreElementsOfAList_AppendedInOnePipeline() async throws {
        let fixture = try StoreFixture()
        let outcome = try await fixture.append("u", [event("a", 10), event("b", 20, "buy")]).get()
        #expect(outcome.accepted == 2 && outcome.duplicates == 0 && outcome.isPersisted)
        #expect(fixture.lists["genrec:u:{u}"] == ["10\ta\t", "20\tb\tbuy"])
        #expect(
            fixture.server.commands == [
                ["LRANGE", "genrec:u:{u}", "-8", "-1"], ["RPUSH", "genrec:u:{u}", "10\ta\t", "20\tb\tbuy"],
                ["LTRIM", "genrec:u:{u}", "-8", "-1"], ["EXPIRE", "genrec:u:{u}", "60"],
            ]
        )
        let again = try await fixture.append("u", [event("b", 20, "buy"), event("c", 30)]).get()
        #expect(again.accepted == 1 && again.duplicates == 1)
        #expect(try await fixture.events(of: "u").get() == [event("a", 10), event("b", 20, "buy"), event("c", 30)])
        #expect(try await fixture.events(of: "v").get() == nil)
        try await fixture.delete("u").get()
        #expect(fixture.lists.keys.isEmpty)
    }

    @Test func whatOthersWrote_IsPutInOrder_WhenItIsRead_AndWithTheNextEvent() async throws {
        let fixture = try StoreFixture(maxEvents: 5)
        fixture.lists["genrec:u:{u}"] = ["30\tc", "10\ta\tview", "30\tc\t", "nonsense", "20\tb\tx\tbuy", "10\ta\tview"]
        let expected = [event("a", 10, "view"), event("b\tx", 20, "buy"), event("c", 30)]
        #expect(try await fixture.events(of: "u").get() == expected)
        _ = try await fixture.append("u", [event("d", 25)]).get()
        #expect(try await fixture.events(of: "u").get() == [expected[0], expected[1], event("d", 25), expected[2]])
    }

    @Test func lateEvents_AreWrittenToTheirPlace() async throws {
        let fixture = try StoreFixture(maxEvents: 3)
        _ = try await fixture.append("u", [event("a", 10), event("b", 20), event("c", 30)]).get()
        let late = try await fixture.append("u", [event("x", 15), event("old", 5)]).get()
        #expect(late.accepted == 2)
        #expect(fixture.lists["genrec:u:{u}"] == ["15\tx\t", "20\tb\t", "30\tc\t"])
    }

    /// A connection cut between the push and the trim leaves a list that is too long.
    @Test func lateEvents_FindTheirPlace_InAListThatWasNotTrimmed() async throws {
        let fixture = try StoreFixture(maxEvents: 3)
        fixture.lists["genrec:u:{u}"] = ["1\tz\t", "10\ta\t", "20\tb\t", "30\tc\t"]
        _ = try await fixture.append("u", [event("x", 15)]).get()
        #expect(fixture.lists["genrec:u:{u}"] == ["15\tx\t", "20\tb\t", "30\tc\t"])
    }

    /// If the server has no scripts, or others change the list all the time, late events are appended at the end.
    @Test func withoutScripts_LateEventsAreSortedByWhoeverReads() async throws {
        let fixture = try StoreFixture()
        let lists = fixture.lists
        fixture.server.answer { _, words in .send(lists.answer(words, hasScripts: false)) }
        _ = try await fixture.append("u", [event("a", 10), event("b", 20)]).get()
        _ = try await fixture.append("u", [event("x", 15)]).get()
        #expect(lists["genrec:u:{u}"] == ["10\ta\t", "20\tb\t", "15\tx\t"])
        #expect(try await fixture.events(of: "u").get() == [event("a", 10), event("x", 15), event("b", 20)])
        fixture.server.answer { _, words in words.first == "EVAL" ? .send(":0\r\n") : .send(lists.answer(words)) }
        _ = try await fixture.append("u", [event("y", 12)]).get()
        #expect(fixture.server.commands.filter { $0.first == "EVAL" }.count == 6)
        #expect(lists["genrec:u:{u}"].last == "12\ty\t")
    }

    @Test func whatTheServerRefuses_IsSaid_WithoutItsWords() async throws {
        let fixture = try StoreFixture()
        fixture.server.answer { _, words in .send("-OOM command not allowed for \(words[1])\r\n") }
        #expect(await fixture.append("u", [event("a", 1)]) == .failure(UserStoreError(.full, "the store answered OOM")))
        fixture.server.answer { _, _ in .send("-WRONGTYPE of a key\r\n") }
        #expect(await fixture.events(of: "u") == .failure(UserStoreError(.unavailable, "the store answered WRONGTYPE")))
        fixture.server.answer { _, _ in .send(":7\r\n") }
        #expect(
            await fixture.events(of: "u")
                == .failure(UserStoreError(.unavailable, "the store answered with something other than a list"))
        )
        guard case .failure(let error) = await fixture.append("u", [event("a", 1, "x\ty")]) else {
            Issue.record("a tab was taken")
            return
        }
        #expect(error.code == .unusable)
    }

    /// Random events in random order, duplicated, over connections that are cut before or after a command is executed;
    /// each call is repeated until it is answered. The result equals the newest events of a plain list.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func randomEvents_EqualTheReference(seed: UInt64) async throws {
        let fixture = try StoreFixture(maxEvents: 6)
        let lists = fixture.lists
        let dice = Lock(SplitMix64(seed: seed))
        fixture.server.answer { _, words in
            switch dice.withLock({ Int.random(in: 0..<24, using: &$0) }) {
            case 0: .cut("")
            case 1: .cut(String(lists.answer(words).prefix(3)))
            case 2:
                // Executed, but the reply is lost.
                {
                    _ = lists.answer(words)
                    return .cut("")
                }()
            default: .send(lists.answer(words))
            }
        }
        var random = SplitMix64(seed: seed &* 77)
        var reference: [String: [UserEvent]] = [:]
        var past: [IncomingEvent] = []
        for _ in 0..<120 {
            let user = "u\(Int.random(in: 0..<3, using: &random))"
            if Int.random(in: 0..<20, using: &random) == 0 {
                try await untilAnswered { await fixture.delete(user) }
                reference[user] = nil
                past.removeAll { $0.user == user }
                continue
            }
            var call = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                // At most one event per second, because the order of eviction within a second is the store's choice.
                let time = Int64.random(in: 0..<60, using: &random)
                return IncomingEvent(user: user, event: event("i\(time)", time, time % 3 == 0 ? "buy" : nil))
            }
            if let repeated = past.randomElement(using: &random) { call.append(repeated) }
            for incoming in call {
                var events = reference[incoming.user] ?? []
                if !events.contains(incoming.event) { events.append(incoming.event) }
                reference[incoming.user] = Array(events.sorted { $0.timestamp < $1.timestamp }.suffix(6))
            }
            past += call
            _ = try await untilAnswered { await fixture.append(call) }
            for name in Set(call.map(\.user)) {
                #expect(try await untilAnswered { await fixture.events(of: name) } == reference[name])
            }
        }
        #expect(fixture.server.connectionCount > 5)
    }
}
