// The engine over a device that blocks until a test releases it: which requests are answered, how, and which are not.

import Catalogue
import Compute
import Dispatch
import Locking
import Models
import Testing

@testable import Engine

@Suite struct EngineTests {
    @Test func answersARequest_LeavingOutItsHistory() throws {
        let fixture = try Fixture()
        try fixture.submit("a", fixture.request([1, 3]))
        let outcome = fixture.wait(for: 1)["a"]
        #expect(try fixture.rows(outcome) == [2, 4, 5])
        let recommendation = try #require(outcome).get()
        #expect(recommendation.source == .model)
        #expect(recommendation.historyUsed == 2)
        #expect(!recommendation.exhausted)
    }

    @Test func computesTheNewestEvents_ButExcludesTheWholeHistory() throws {
        let fixture = try Fixture()
        try fixture.submit("a", fixture.request(Array(1...10)))
        #expect(try fixture.rows(fixture.wait(for: 1)["a"]) == [11, 12, 13])
        #expect(fixture.control.batches == [[[3, 4, 5, 6, 7, 8, 9, 10]]])
    }

    @Test func saysExhausted_WhenFewerItemsAreEligible() throws {
        let fixture = try Fixture()
        var request = fixture.request([1], count: 3)
        request.eligibility.allowance = .init(rows: [1, 2, 50], tags: [])
        try fixture.submit("a", request)
        let recommendation = try #require(fixture.wait(for: 1)["a"]).get()
        #expect(recommendation.items.map(\.row) == [2, 50])
        #expect(recommendation.exhausted)
    }

    @Test func answersByPopularity_WhenThereIsNoHistory() throws {
        let fixture = try Fixture()
        var request = fixture.request([])
        request.eligibility.excludedRows = [2]
        try fixture.submit("a", request)
        let recommendation = try #require(fixture.wait(for: 1)["a"]).get()
        #expect(recommendation.source == .popularity)
        #expect(recommendation.items.map(\.row) == [1, 3, 4])
        #expect(fixture.control.batches.isEmpty)
    }

    @Test func generatesASequence_FeedingEachItemBack() throws {
        let fixture = try Fixture()
        var request = fixture.request([1, 3], count: 3)
        request.mode = .sequence(nil)
        try fixture.submit("a", request)
        let recommendation = try #require(fixture.wait(for: 1)["a"]).get()
        #expect(recommendation.items.map(\.row) == [2, 4, 5])
        #expect(recommendation.historyUsed == 2)
        #expect(!recommendation.exhausted)
        #expect(fixture.control.batches == [[[1, 3]], [[1, 3, 2]], [[1, 3, 2, 4]]])
    }

    @Test func tellsEachItemOfASequence_BeforeTheCompletion() throws {
        let fixture = try Fixture()
        var request = fixture.request([1], count: 3)
        request.mode = .sequence(nil)
        let told = Lock<[String]>([])
        let done = DispatchSemaphore(value: 0)
        _ = try fixture.engine.submit(
            request,
            to: fixture.model,
            itemGenerated: { item, rank in told.withLock { $0.append("\(rank): \(item.row)") } },
            completion: { _ in
                told.withLock { $0.append("done") }
                done.signal()
            }
        )
        done.wait()
        #expect(told.withLock { $0 } == ["1: 2", "2: 3", "3: 4", "done"])
    }

    @Test func endsASequenceEarly_WhenNothingIsEligibleAnyMore() throws {
        let fixture = try Fixture()
        var request = fixture.request([1], count: 5)
        request.mode = .sequence(nil)
        request.eligibility.allowance = .init(rows: [1, 7, 9], tags: [])
        try fixture.submit("a", request)
        let recommendation = try #require(fixture.wait(for: 1)["a"]).get()
        #expect(recommendation.items.map(\.row) == [7, 9])
        #expect(recommendation.exhausted)
    }

    @Test func sequencesAndOthers_ShareBatches() throws {
        let fixture = try Fixture(gated: true)
        var sequence = fixture.request([1], count: 2)
        sequence.mode = .sequence(nil)
        try fixture.submit("sequence", sequence)
        fixture.control.reachedGate.wait()
        try fixture.submit("other", fixture.request([5]))
        fixture.release()
        #expect(fixture.wait(for: 2).count == 2)
        #expect(fixture.control.batches.map(\.count) == [1, 2])
    }

    @Test func refusesASequenceBetweenItsPasses_WhenStopped() throws {
        let fixture = try Fixture(gated: true)
        var request = fixture.request([1], count: 5)
        request.mode = .sequence(nil)
        try fixture.submit("sequence", request)
        fixture.control.reachedGate.wait()
        fixture.engine.stop()
        fixture.release()
        let outcomes = fixture.wait(for: 1)
        #expect(throws: EngineError(.unavailable, "")) { try #require(outcomes["sequence"]).get() }
        fixture.ended.wait()
    }

    @Test func batchesWhatArrives_WhileABatchRuns() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("first", fixture.request([1]))
        fixture.control.reachedGate.wait()
        for (index, name) in ["b", "c", "d"].enumerated() {
            try fixture.submit(name, fixture.request([Int32(index) + 2]))
        }
        fixture.release()
        #expect(fixture.wait(for: 4).count == 4)
        #expect(fixture.control.batches.map(\.count) == [1, 3])
    }

    @Test func refusesBeforeAnyWork_WhenTheQueueIsFull() throws {
        let fixture = try Fixture(gated: true) { $0.maxQueuedRequests = 1 }
        try fixture.submit("running", fixture.request([1]))
        fixture.control.reachedGate.wait()
        try fixture.submit("queued", fixture.request([1]))
        #expect(throws: EngineError(.queueFull, "")) { try fixture.submit("refused", fixture.request([1])) }
        fixture.release()
        #expect(Set(fixture.wait(for: 2).keys) == ["running", "queued"])
    }

    @Test func answersAnOverdueRequest_WhileTheDeviceIsStillBusy() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("running", fixture.request([1]))
        fixture.control.reachedGate.wait()
        try fixture.submit("overdue", fixture.request([1], deadlineIn: 1_000))
        let outcomes = fixture.wait(for: 1)
        #expect(throws: EngineError(.expired, "")) { try #require(outcomes["overdue"]).get() }
        #expect(outcomes["running"] == nil)
        fixture.release()
        _ = fixture.wait(for: 1)
        #expect(fixture.control.batches.count == 1)
    }

    @Test func neverAnswersACancelledRequest_AndSaysHowFarItCame() throws {
        let fixture = try Fixture(gated: true)
        let running = try fixture.submit("running", fixture.request([1]))
        fixture.control.reachedGate.wait()
        let queued = try fixture.submit("queued", fixture.request([1]))
        try fixture.submit("last", fixture.request([2]))
        fixture.engine.cancel(queued)
        fixture.engine.cancel(running)
        fixture.engine.cancel(running)
        fixture.release()
        #expect(Set(fixture.wait(for: 1).keys) == ["last"])
        #expect(fixture.observer.record.withLock { $0.cancellations } == [.queued, .computing])
        #expect(fixture.control.batches.map(\.count) == [1, 1])
    }

    @Test func answersEveryRequestOfABatch_WhenTheDeviceFails_AndGoesOn() throws {
        let fixture = try Fixture()
        // Only this batch fails: the device is retried immediately.
        fixture.control.state.withLock {
            $0.failure = ComputeError(.executionFailed, "core 3 faulted")
            $0.failures = 1
        }
        try fixture.submit("a", fixture.request([1]))
        let failed = fixture.wait(for: 1)["a"]
        #expect(throws: EngineError(.deviceFailed, "")) { try #require(failed).get() }
        fixture.observer.waitUntilReadyOrFailed()
        try fixture.submit("b", fixture.request([1]))
        #expect(try fixture.rows(fixture.wait(for: 1)["b"]) == [2, 3, 4])
        #expect(fixture.observer.record.withLock { $0.failures.map(\.message) } == ["core 3 faulted"])
    }

    @Test(arguments: [Float.nan, .infinity]) func fails_WhenScoresAreNotNumbers(score: Float) throws {
        let fixture = try Fixture()
        fixture.control.state.withLock { $0.score = score }
        try fixture.submit("a", fixture.request([1]))
        let outcome = fixture.wait(for: 1)["a"]
        #expect(throws: EngineError(.computationFailed, "")) { try #require(outcome).get() }
    }

    @Test func fails_WhenNothingCouldBeSelectedThoughItemsAreEligible() throws {
        let fixture = try Fixture()
        fixture.control.state.withLock { $0.selectsNothing = true }
        try fixture.submit("a", fixture.request([1]))
        var nothingEligible = fixture.request([1])
        nothingEligible.eligibility.allowance = .init(rows: [1], tags: [])
        try fixture.submit("b", nothingEligible)
        let outcomes = fixture.wait(for: 2)
        #expect(throws: EngineError(.computationFailed, "")) { try #require(outcomes["a"]).get() }
        #expect(try fixture.rows(outcomes["b"]) == [])
    }

    @Test func finishesWhatItAdmitted_ThenEnds_WhenDrained() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("running", fixture.request([1]))
        fixture.control.reachedGate.wait()
        try fixture.submit("queued", fixture.request([1]))
        fixture.engine.drain()
        #expect(throws: EngineError(.unavailable, "")) { try fixture.submit("late", fixture.request([1])) }
        fixture.release()
        #expect(Set(fixture.wait(for: 2).keys) == ["running", "queued"])
        fixture.ended.wait()
        #expect(fixture.engine.phase == .stopped)
    }

    @Test func refusesWhatWaits_WhenStopped() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("running", fixture.request([1]))
        fixture.control.reachedGate.wait()
        try fixture.submit("queued", fixture.request([1]))
        fixture.engine.stop()
        let outcomes = fixture.wait(for: 1)
        #expect(throws: EngineError(.unavailable, "")) { try #require(outcomes["queued"]).get() }
        fixture.release()
        fixture.ended.wait()
    }

    @Test func endsIdle_WhenDrained() throws {
        let fixture = try Fixture()
        fixture.engine.drain()
        fixture.ended.wait()
        #expect(fixture.engine.phase == .stopped)
    }

    @Test func saysWhy_WhenTheModelCannotBeLoaded() throws {
        let observer = RecordingObserver()
        let engine = Engine(SchedulerConfiguration(), observer: observer)
        let model = LoadedModel(
            window: HistoryWindow(length: 8),
            catalogue: CatalogueSnapshot(Catalogue.numbered(rows: 3))
        )
        let ended = DispatchSemaphore(value: 0)
        let source = ModelSource { _ in throw ComputeError(.outOfMemory, "no room for layer 3") }
        let control = DeviceControl(isGated: false)
        try engine.start(
            DeviceSource(make: { StubDevice(control) }),
            [(model, source)],
            ended: { ended.signal() }
        )
        observer.waitUntilReadyOrFailed()
        ended.wait()
        #expect(engine.phase == .failed("no room for layer 3"))
        #expect(throws: EngineError(.unavailable, "")) {
            _ = try engine.submit(
                RecommendationRequest(history: [1], timestamps: nil, requestTime: 0, count: 1, arrival: .now()),
                to: model
            ) { _ in }
        }
    }
}
