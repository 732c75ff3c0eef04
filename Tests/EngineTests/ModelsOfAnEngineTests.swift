// Several models on one device: they share its queue, its thread and its failures, but never a batch or a user's cached
// rows; they are loaded and removed while others serve.

import Catalogue
import Compute
import Dispatch
import Glibc
import Locking
import Synchronization
import Testing

@testable import Engine

@Suite struct ModelsOfAnEngineTests {
    private static func model(window: Int = 8) -> LoadedModel {
        LoadedModel(
            window: HistoryWindow(length: window),
            catalogue: CatalogueSnapshot(Catalogue.numbered(rows: 101))
        )
    }

    /// Loads a second model into a fixture's engine.
    private func second(
        _ fixture: Fixture,
        window: Int = 8,
        cachePages: Int = 0,
        failure: ComputeError? = nil
    ) throws -> LoadedModel {
        let model = Self.model(window: window)
        let sound = Fixture.source(window: window, cachePages: cachePages)
        let source = ModelSource(cacheBytes: cachePages) { device in
            if let failure { throw failure }
            return try sound.load(device)
        }
        let result = Lock<Result<Void, any Error>?>(nil)
        let done = DispatchSemaphore(value: 0)
        fixture.engine.load(model, source) { outcome in
            result.withLock { $0 = outcome }
            done.signal()
        }
        done.wait()
        try #require(result.withLock { $0 }).get()
        fixture.control.state.withLock {
            $0.batches.removeAll()
            $0.cached.removeAll()
        }
        return model
    }

    @Test func twoModelsOnOneDevice_AreServedByOneThread_InBatchesOfOneModel() throws {
        let fixture = try Fixture()
        let other = try second(fixture, window: 2)
        fixture.control.isGated.store(true, ordering: .releasing)
        try fixture.submit("first", fixture.request([9]))
        fixture.control.reachedGate.wait()
        for number in Int32(1)...3 {
            try fixture.submit("own \(number)", fixture.request([1, 2, 10 + number]))
            try fixture.submit("other \(number)", fixture.request([1, 2, 20 + number]), to: other)
        }
        fixture.release()
        let outcomes = fixture.wait(for: 7)
        #expect(try fixture.rows(outcomes["own 1"]) == [3, 4, 5])
        #expect(try fixture.rows(outcomes["other 3"]) == [3, 4, 5])
        // Each model sees its own window.
        #expect(
            fixture.control.batches == [
                [[9]], [[1, 2, 11], [1, 2, 12], [1, 2, 13]], [[2, 21], [2, 22], [2, 23]],
            ]
        )
    }

    /// The least recently used entry is evicted, whichever model owns it.
    @Test func models_ShareTheMemoryOfTheirCaches() throws {
        let fixture = try Fixture(cachePages: 4, window: 8)
        let other = try second(fixture, cachePages: 4)
        // Two pages each.
        let history = (Int32(1)...8).map { $0 }
        func ask(_ name: String, _ user: String, _ model: LoadedModel? = nil) throws -> Int {
            if let model {
                try fixture.submit(name, fixture.request(history, user: user), to: model)
            } else {
                try fixture.submit(name, fixture.request(history, user: user))
            }
            _ = fixture.wait(for: 1)
            return try #require(fixture.control.cached.last?.last)
        }
        func bytes() -> Int { fixture.engine.state.withLock { $0.statistics.values.reduce(0) { $0 + $1.bytes } } }
        #expect(try ask("1", "ann") == 0)
        #expect(try ask("2", "bob") == 0)
        #expect(bytes() == 4)
        #expect(fixture.control.state.withLock { $0.released }.isEmpty)
        #expect(try ask("3", "ann", other) == 0)
        #expect(bytes() == 4)
        // The pages were released before they were written again.
        #expect(fixture.control.state.withLock { $0.released }.count == 2)
        // Bob was used after Ann, whose rows were evicted.
        #expect(try ask("4", "bob") == 7)
        #expect(try ask("5", "ann", other) == 7)
        #expect(try ask("6", "ann") == 0)
        #expect(try ask("7", "bob") == 0)
        #expect(bytes() == 4)
    }

    @Test func asEarlyADeadline_GoesFirst_WhicheverModelItIsOf() throws {
        let fixture = try Fixture()
        let other = try second(fixture)
        fixture.control.isGated.store(true, ordering: .releasing)
        try fixture.submit("first", fixture.request([9]))
        fixture.control.reachedGate.wait()
        try fixture.submit("patient", fixture.request([1]))
        try fixture.submit("urgent", fixture.request([2], deadlineIn: 100), to: other)
        fixture.release()
        _ = fixture.wait(for: 3)
        #expect(fixture.control.batches == [[[9]], [[2]], [[1]]])
    }

    @Test func aSequenceOfOneModel_KeepsNoOtherWaiting() throws {
        let fixture = try Fixture(cachePages: 20, window: 40)
        let other = try second(fixture)
        fixture.control.isGated.store(true, ordering: .releasing)
        var sequence = fixture.request([1], count: 6)
        sequence.mode = .sequence(nil)
        try fixture.submit("sequence", sequence)
        fixture.control.reachedGate.wait()
        for number in Int32(1)...2 { try fixture.submit("\(number)", fixture.request([50 + number]), to: other) }
        fixture.release()
        let outcomes = fixture.wait(for: 3)
        #expect(try fixture.rows(outcomes["sequence"]) == [2, 3, 4, 5, 6, 7])
        // The other model runs after one or two steps, depending on the duration of a batch, and not after all six.
        #expect(fixture.control.batches.prefix(3).map { $0.count }.contains(2))
    }

    @Test func equalRequestsToTwoModels_AreTwoRequests_AndWhatIsKeptIsEachModelsOwn() throws {
        let fixture = try Fixture(cachePages: 20)
        let other = try second(fixture, cachePages: 20)
        for (model, cached) in [(fixture.model, 0), (other, 0), (fixture.model, 2), (other, 2)] {
            try fixture.submit("a", fixture.request([1, 2, 3], user: "u"), to: model)
            #expect(try #require(fixture.wait(for: 1)["a"]).get().historyCached == cached)
        }
        #expect(fixture.observer.record.withLock { $0.cache.entries } == 2)
        #expect(fixture.engine.forget("u").entries == 2)
        #expect(fixture.observer.record.withLock { $0.deduplicated } == 0)
    }

    @Test func anotherStateOfTheCatalogue_IsReadByThoseWhoComeAfterIt() throws {
        let fixture = try Fixture()
        let items = fixture.model.catalogue.items
        var available = items.presentMask
        available[0] &= ~(1 << 4)
        let changed = fixture.model.with(CatalogueSnapshot(items, revision: 1, available: available))
        fixture.control.isGated.store(true, ordering: .releasing)
        try fixture.submit("first", fixture.request([9]))
        fixture.control.reachedGate.wait()
        try fixture.submit("before", fixture.request([1, 2]))
        try fixture.submit("after", fixture.request([1, 2]), to: changed)
        fixture.release()
        let outcomes = fixture.wait(for: 3)
        #expect(try fixture.rows(outcomes["before"]) == [3, 4, 5])
        #expect(try fixture.rows(outcomes["after"]) == [3, 5, 6])
        // One batch, because the model is the same.
        #expect(fixture.control.batches.count == 2)
        try fixture.submit("cold", fixture.request([]), to: changed)
        #expect(try !fixture.rows(fixture.wait(for: 1)["cold"]).contains(4))
    }

    @Test func aModelThatCannotBeLoaded_LeavesTheOthersAlone() throws {
        let fixture = try Fixture()
        #expect(throws: ComputeError.self) {
            try second(fixture, failure: ComputeError(.outOfMemory, "no room"))
        }
        try fixture.submit("a", fixture.request([1, 2]))
        #expect(try fixture.rows(fixture.wait(for: 1)["a"]) == [3, 4, 5])
        #expect(throws: EngineError(.unavailable, "")) {
            try fixture.submit("b", fixture.request([1]), to: Self.model())
        }
    }

    @Test func aRetiredModel_AnswersWhatItHas_AndTakesNothingMore() throws {
        let fixture = try Fixture(cachePages: 20)
        let other = try second(fixture, cachePages: 20)
        try fixture.submit("kept", fixture.request([1, 2, 3], user: "u"), to: other)
        _ = fixture.wait(for: 1)
        fixture.control.isGated.store(true, ordering: .releasing)
        try fixture.submit("runs", fixture.request([5]), to: other)
        fixture.control.reachedGate.wait()
        try fixture.submit("waits", fixture.request([6]), to: other)
        let gone = DispatchSemaphore(value: 0)
        fixture.engine.retire(other.id) { gone.signal() }
        #expect(throws: EngineError(.unavailable, "")) { try fixture.submit("late", fixture.request([7]), to: other) }
        fixture.release()
        let outcomes = fixture.wait(for: 2)
        #expect(try fixture.rows(outcomes["waits"]) == [1, 2, 3])
        gone.wait()
        #expect(fixture.engine.prefixCache(of: other.id) == nil)
        #expect(fixture.engine.forget("u").entries == 0)
        // Its number is free for the next model.
        let third = try second(fixture, cachePages: 20)
        try fixture.submit("third", fixture.request([1, 2, 3], user: "u"), to: third)
        #expect(try #require(fixture.wait(for: 1)["third"]).get().historyCached == 0)
        try fixture.submit("own", fixture.request([8]))
        #expect(try fixture.rows(fixture.wait(for: 1)["own"]) == [1, 2, 3])
    }

    @Test func aDeviceThatWasLost_ComesBackWithAllItsModels() throws {
        let fixture = try Fixture(cachePages: 20)
        let other = try second(fixture, cachePages: 20)
        fixture.control.state.withLock {
            $0.failure = ComputeError(.deviceLost, "gone")
            $0.failures = 1
        }
        try fixture.submit("lost", fixture.request([1, 2]))
        #expect(throws: EngineError(.deviceFailed, "")) { try #require(fixture.wait(for: 1)["lost"]).get() }
        fixture.observer.waitUntilReadyOrFailed()
        for model in [fixture.model, other] {
            try fixture.submit("again", fixture.request([1, 2]), to: model)
            #expect(try fixture.rows(fixture.wait(for: 1)["again"]) == [3, 4, 5])
        }
    }

    /// A source that delivers nothing until the gate is signalled.
    private static func heldSource(_ model: LoadedModel, until gate: DispatchSemaphore) -> ModelSource {
        let sound = Fixture.source(window: 8, cachePages: 0)
        return ModelSource { device in
            gate.wait()
            return try sound.load(device)
        }
    }

    @Test func whileAModelIsPacked_OthersAreServed() throws {
        let fixture = try Fixture()
        fixture.control.state.withLock { $0.takesWeightsOnAnyThread = true }
        let (gate, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let other = Self.model()
        fixture.engine.load(other, Self.heldSource(other, until: gate)) { _ in done.signal() }
        for number in 0..<3 {
            try fixture.submit("\(number)", fixture.request([1, 2]))
            _ = fixture.wait(for: 1)
        }
        #expect(throws: EngineError(.unavailable, "")) { try fixture.submit("early", fixture.request([1]), to: other) }
        gate.signal()
        done.wait()
        try fixture.submit("late", fixture.request([1, 2]), to: other)
        #expect(try fixture.rows(fixture.wait(for: 1)["late"]) == [3, 4, 5])
    }

    @Test func whileAModelIsWarmedUp_OthersAreServed() throws {
        let fixture = try Fixture()
        let (gate, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        fixture.control.state.withLock {
            $0.takesWeightsOnAnyThread = true
            $0.backgroundGate = gate
        }
        let other = Self.model()
        fixture.engine.load(other, Fixture.source(window: 8, cachePages: 0)) { _ in done.signal() }
        for number in 0..<3 {
            try fixture.submit("\(number)", fixture.request([1, 2]))
            _ = fixture.wait(for: 1)
        }
        #expect(throws: EngineError(.unavailable, "")) { try fixture.submit("early", fixture.request([1]), to: other) }
        while done.wait(timeout: .now() + .milliseconds(1)) == .timedOut { gate.signal() }
        while gate.wait(timeout: .now()) == .success {}
        // On the engine's own stream, which has no gate.
        try fixture.submit("late", fixture.request([1, 2]), to: other)
        #expect(try fixture.rows(fixture.wait(for: 1)["late"]) == [3, 4, 5])
    }

    @Test func backgroundThreads_HaveAProcessorOnlyWhenNobodyElseWantsIt() throws {
        let policy = Atomic<Int32>(-1)
        let done = DispatchSemaphore(value: 0)
        #expect(
            EngineThread.startInBackground(name: "test") {
                policy.store(sched_getscheduler(0), ordering: .relaxed)
                done.signal()
            }
        )
        done.wait()
        // SCHED_IDLE, whose macro Swift does not see.
        #expect(policy.load(ordering: .relaxed) == 5)
        #expect(sched_getscheduler(0) == SCHED_OTHER)
    }

    @Test func aDeviceThatIsLostMeanwhile_IsPackedForAgain() throws {
        let fixture = try Fixture()
        fixture.control.state.withLock { $0.takesWeightsOnAnyThread = true }
        let (gate, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let other = Self.model()
        fixture.engine.load(other, Self.heldSource(other, until: gate)) { _ in done.signal() }
        fixture.control.state.withLock {
            $0.failure = ComputeError(.deviceLost, "gone")
            $0.failures = 1
        }
        try fixture.submit("lost", fixture.request([1, 2]))
        _ = fixture.wait(for: 1)
        fixture.observer.waitUntilReadyOrFailed()
        // Once for the lost device, once for the new one.
        gate.signal()
        gate.signal()
        done.wait()
        try fixture.submit("again", fixture.request([1, 2]), to: other)
        #expect(try fixture.rows(fixture.wait(for: 1)["again"]) == [3, 4, 5])
    }

    @Test func theEndOfAnEngine_TellsThoseWhoWaitForAModel() throws {
        let fixture = try Fixture()
        fixture.engine.stop()
        fixture.ended.wait()
        let failed = DispatchSemaphore(value: 0)
        let model = Self.model()
        fixture.engine.load(model, Fixture.source(window: 8, cachePages: 0)) { outcome in
            if case .failure = outcome { failed.signal() }
        }
        failed.wait()
    }
}
