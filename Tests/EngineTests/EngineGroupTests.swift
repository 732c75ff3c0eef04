// Several engines as one: which engine gets a request, which one if an engine is unavailable, and which operations go
// to every engine.

import Catalogue
import Compute
import Dispatch
import Locking
import Models
import Testing

@testable import Engine

@Suite struct EngineGroupTests {
    private static let users = (0..<300).map { "user \($0)" }

    private func fixtures(_ count: Int, cachePages: Int = 200) throws -> ([Fixture], EngineGroup) {
        let first = try Fixture(cachePages: cachePages)
        let fixtures = [first] + (try (1..<count).map { _ in try Fixture(cachePages: cachePages, model: first.model) })
        return (fixtures, EngineGroup(fixtures.map(\.engine)))
    }

    private func ask(
        _ group: EngineGroup,
        _ request: RecommendationRequest,
        of model: LoadedModel
    ) throws -> (Ticket, Fixture.Outcome) {
        let outcome = Lock<Fixture.Outcome?>(nil)
        let done = DispatchSemaphore(value: 0)
        let ticket = try group.submit(request, to: model) { result in
            outcome.withLock { $0 = result }
            done.signal()
        }
        done.wait()
        return (ticket, try #require(outcome.withLock { $0 }))
    }

    @Test func usersAreSpread_AndEachStaysWhereWhatIsKeptOfThemIs() throws {
        let (fixtures, group) = try fixtures(3)
        var engines: [String: Int] = [:]
        for user in Self.users {
            engines[user] = try ask(group, fixtures[0].request([1, 2, 3], user: user), of: fixtures[0].model).0.engine
        }
        for engine in 0..<3 { #expect(60...140 ~= engines.values.count { $0 == engine }) }
        for user in Self.users.prefix(20) {
            let (ticket, outcome) = try ask(
                group,
                fixtures[0].request([1, 2, 3, 4], user: user),
                of: fixtures[0].model
            )
            #expect(ticket.engine == engines[user])
            #expect(try outcome.get().historyCached == 3)
        }
    }

    @Test func withoutAUser_AHistoryThatGrowsStaysWhereItBegan() throws {
        let (fixtures, group) = try fixtures(4, cachePages: 0)
        for first in Int32(1)...20 {
            let short = fixtures[0].request([first])
            let long = fixtures[0].request([first, 30, 31, 32])
            #expect(group.order(short) == group.order(long))
        }
        #expect(Set((Int32(1)...20).map { group.order(fixtures[0].request([$0]))[0] }).count == 4)
    }

    @Test func whenAnEngineIsAway_ItsRequestsAloneMove_AndReturnWithIt() throws {
        let (fixtures, group) = try fixtures(3)
        let before = try Self.users.map {
            try ask(group, fixtures[0].request([1], user: $0), of: fixtures[0].model).0.engine
        }
        fixtures[1].control.state.withLock { $0.loadFailures = 100_000 }
        fixtures[1].control.state.withLock {
            $0.failure = ComputeError(.deviceLost, "gone")
            $0.failures = 1
        }
        let stranded = try #require(Self.users.indices.first { before[$0] == 1 })
        let lost = try ask(group, fixtures[0].request([2], user: Self.users[stranded]), of: fixtures[0].model).1
        #expect(throws: EngineError(.deviceFailed, "")) { try lost.get() }
        #expect(group.phase.reason == "ready" && fixtures[1].engine.phase.reason.hasPrefix("recovering"))
        let during = try Self.users.map {
            try ask(group, fixtures[0].request([1], user: $0), of: fixtures[0].model).0.engine
        }
        for (old, new) in zip(before, during) { #expect(old == 1 ? new != 1 : new == old) }
        #expect(Set(zip(before, during).filter { $0.0 == 1 }.map(\.1)) == [0, 2])
        fixtures[1].control.state.withLock { $0.loadFailures = 0 }
        fixtures[1].observer.waitUntilReadyOrFailed()
        let after = try Self.users.map {
            try ask(group, fixtures[0].request([1], user: $0), of: fixtures[0].model).0.engine
        }
        #expect(after == before)
    }

    /// If an engine then cannot be loaded, all of them end, and requests accepted meanwhile would never be answered.
    @Test func untilAllHaveBeenLoaded_NoneServes() throws {
        let sound = try Fixture()
        let loading = Engine(SchedulerConfiguration(), observer: RecordingObserver())
        let group = EngineGroup([sound.engine, loading])
        #expect(group.phase == .loading)
        for user in Self.users.prefix(10) {
            #expect(throws: EngineError(.unavailable, "")) {
                try group.submit(sound.request([1], user: user), to: sound.model, completion: { _ in })
            }
        }
    }

    @Test func forgetting_ReachesEveryEngine() throws {
        let (fixtures, group) = try fixtures(2)
        for fixture in fixtures {
            try fixture.submit("a", fixture.request([1, 2, 3], user: "u"))
            _ = fixture.wait(for: 1)
        }
        #expect(group.forget("u").entries == 2)
        #expect(group.forget("u").entries == 0)
    }

    @Test func aFullQueue_LeavesTheRequestToTheNextEngine_UntilAllAreFull() throws {
        let first = try Fixture(gated: true) { $0.maxQueuedRequests = 1 }
        let fixtures = [first, try Fixture(gated: true, model: first.model) { $0.maxQueuedRequests = 1 }]
        let group = EngineGroup(fixtures.map(\.engine))
        // On each engine one request runs and one waits.
        for fixture in fixtures {
            try fixture.submit("runs", fixture.request([1]))
            fixture.control.reachedGate.wait()
        }
        #expect(!group.isQueueFull)
        let engines = try (Int32(2)...3).map {
            try group.submit(fixtures[0].request([9, $0]), to: fixtures[0].model, completion: { _ in }).engine
        }
        #expect(Set(engines) == [0, 1])
        #expect(group.isQueueFull)
        #expect(throws: EngineError(.queueFull, "")) {
            try group.submit(fixtures[0].request([9, 4]), to: fixtures[0].model, completion: { _ in })
        }
        for fixture in fixtures { fixture.release() }
    }

    @Test func anEngineOnItsFallback_IsTheLastChoice() throws {
        let degraded = try Fixture(hasFallback: true)
        let sound = try Fixture(model: degraded.model)
        let group = EngineGroup([degraded.engine, sound.engine])
        degraded.control.state.withLock { $0.loadFailures = 100_000 }
        degraded.control.state.withLock { $0.failure = ComputeError(.deviceLost, "gone") }
        try degraded.submit("a", degraded.request([1]))
        _ = degraded.wait(for: 1)
        for user in Self.users.prefix(20) {
            #expect(try ask(group, sound.request([1], user: user), of: sound.model).0.engine == 1)
        }
        sound.engine.stop()
        #expect(try ask(group, sound.request([1], user: "u"), of: sound.model).0.engine == 0)
    }
}
