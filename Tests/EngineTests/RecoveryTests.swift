// An engine whose device fails: its current requests, requests that arrive meanwhile, and cached rows.

import Compute
import Dispatch
import Locking
import Models
import Synchronization
import Testing

@testable import Engine

@Suite struct RecoveryTests {
    private static let lost = ComputeError(.deviceLost, "the heartbeat is gone")

    /// Lets the next batch fail permanently, and the next `attempts` attempts to make the device.
    private func fail(_ fixture: Fixture, with error: ComputeError = lost, attempts: Int = 0) {
        fixture.control.state.withLock {
            $0.loadFailures = attempts
            $0.failure = error
            $0.failures = 1
        }
    }

    private func code(_ outcome: Fixture.Outcome?) -> EngineError.Code? {
        guard case .failure(let error) = outcome else { return nil }
        return error.code
    }

    @Test(arguments: [ComputeError.Code.timedOut, .executionFailed, .deviceLost])
    func aDeviceThatFailsForGood_IsMadeAnew(code failure: ComputeError.Code) throws {
        let fixture = try Fixture(cachePages: 20)
        try fixture.submit("before", fixture.request([1, 2, 3], user: "u"))
        _ = fixture.wait(for: 1)
        fail(fixture, with: ComputeError(failure, "core 3"), attempts: 2)
        try fixture.submit("failed", fixture.request([1, 2, 3, 4], user: "u"))
        #expect(code(fixture.wait(for: 1)["failed"]) == .deviceFailed)
        fixture.observer.waitUntilReadyOrFailed()
        // Cached rows are lost with the device; the counters are not.
        try fixture.submit("after", fixture.request([1, 2, 3, 4], user: "u"))
        #expect(try #require(fixture.wait(for: 1)["after"]).get().historyCached == 0)
        try fixture.submit("again", fixture.request([1, 2, 3, 4], user: "u"))
        #expect(try #require(fixture.wait(for: 1)["again"]).get().historyCached == 3)
        let record = fixture.observer.record.withLock { $0 }
        #expect(record.failures.map(\.code) == [failure, .deviceLost, .deviceLost])
        #expect(record.failedDevices == ["stub", "stub", "stub"] && record.recoveries == ["stub"])
        #expect(
            record.phases.suffix(4).map(\.reason) == [
                "recovering: stub: core 3", "recovering: stub: the heartbeat is gone",
                "recovering: stub: the heartbeat is gone", "ready",
            ]
        )
        #expect(record.cache.misses == 2 && record.cache.hits == 2)
    }

    @Test func callersAreTold_WhenTheDeviceMayBeBack_AndABatchThatFails_IsNoProofOfIt() throws {
        let fixture = try Fixture(firstPause: 150 * millisecond)
        func retry(_ name: String) -> UInt64? {
            guard case .failure(let error) = fixture.wait(for: 1)[name] else { return nil }
            return error.retryAfterNanoseconds
        }
        fail(fixture)
        try fixture.submit("a", fixture.request([1]))
        let told = try #require(retry("a"))
        #expect(told >= 150 * millisecond)
        let left = fixture.engine.retryAfterNanoseconds
        // On a slow machine the device may have recovered by now.
        if case .recovering = fixture.engine.phase { #expect((1...told).contains(left)) }
        fixture.observer.waitUntilReadyOrFailed()
        // The device is available, but has computed nothing yet.
        fail(fixture, with: ComputeError(.invalidArgument, "no such shape"))
        try fixture.submit("b", fixture.request([1]))
        #expect(retry("b") == 1_000 * millisecond)
        fail(fixture, attempts: 1_000)
        try fixture.submit("c", fixture.request([1]))
        #expect(try #require(retry("c")) >= 300 * millisecond)
    }

    @Test func whileNothingServes_RequestsAreRefused_AndThoseThatWaitToo() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("first", fixture.request([1]))
        fixture.control.reachedGate.wait()
        try fixture.submit("waiting", fixture.request([2]))
        fail(fixture, attempts: 1_000)
        fixture.release()
        let outcomes = fixture.wait(for: 2)
        #expect(code(outcomes["first"]) == .deviceFailed && code(outcomes["waiting"]) == .recovering)
        #expect(fixture.engine.phase.reason.hasPrefix("recovering: stub: the heartbeat is gone"))
        #expect(throws: EngineError(.recovering, "")) { try fixture.submit("late", fixture.request([3])) }
        // Shutdown does not wait for the device.
        fixture.engine.drain()
        fixture.ended.wait()
    }

    @Test func withAFallback_EveryRequestIsAnswered_AndTheDeviceComesBack() throws {
        let fixture = try Fixture(gated: true, cachePages: 20, hasFallback: true)
        var sequence = fixture.request([1, 2, 3], count: 3, user: "u")
        sequence.mode = .sequence(nil)
        try fixture.submit("sequence", sequence)
        fixture.control.reachedGate.wait()
        try fixture.submit("waiting", fixture.request([5, 6], user: "v"))
        // The second pass fails: by then the sequence has generated an item, and has cached rows.
        fixture.control.gate.signal()
        fixture.control.reachedGate.wait()
        fail(fixture, attempts: 1)
        fixture.release()
        let outcomes = fixture.wait(for: 2)
        #expect(try fixture.rows(outcomes["sequence"]) == [4, 5, 6])
        #expect(try fixture.rows(outcomes["waiting"]) == [1, 2, 3])
        #expect(try #require(outcomes["sequence"]).get().historyCached == 0)
        // The fallback has computed every row of the sequence, including its first item, and reused no cached rows.
        #expect(fixture.fallbackControl.batches.contains { $0.contains([1, 2, 3, 4]) })
        let deadline = Instant.now().advanced(by: 30_000_000_000)
        while fixture.observer.record.withLock({ $0.recoveries.isEmpty }), Instant.now() < deadline {}
        try fixture.submit("after", fixture.request([7]))
        _ = fixture.wait(for: 1)
        let record = fixture.observer.record.withLock { $0 }
        #expect(record.recoveries == ["stub"] && !record.fallbackSizes.isEmpty)
        #expect(fixture.engine.degradation == nil)
        // The engine was ready all the time.
        #expect(!record.phases.contains { if case .recovering = $0 { true } else { false } })
    }

    @Test func whatWaitsForAFurtherPass_BeginsAnew() throws {
        let fixture = try Fixture(gated: true, cachePages: 20, hasFallback: true) { $0.maxBatchSequences = 1 }
        var patient = fixture.request([1, 2, 3], count: 3, user: "u")
        patient.mode = .sequence(nil)
        patient.priority = .low
        try fixture.submit("patient", patient)
        fixture.control.reachedGate.wait()
        var urgent = fixture.request([9], user: "v")
        urgent.priority = .high
        try fixture.submit("urgent", urgent)
        fixture.control.gate.signal()
        fixture.control.reachedGate.wait()
        // The urgent one runs; the patient one has an item, and rows that are lost with the device.
        fail(fixture, attempts: 1_000)
        fixture.release()
        let outcomes = fixture.wait(for: 2)
        #expect(try fixture.rows(outcomes["urgent"]) == [1, 2, 3])
        #expect(try fixture.rows(outcomes["patient"]) == [4, 5, 6])
        #expect(fixture.control.batches == [[[1, 2, 3]], [[9]]])
        #expect(fixture.fallbackControl.batches == [[[9]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]]])
        #expect(fixture.fallbackControl.cached == [[0], [0], [0]])
    }

    /// The cache no longer saves any of their rows.
    @Test func whatWaits_CountsWithAllItsRows_OnceTheCacheIsGone() throws {
        let fixture = try Fixture(cachePages: 20, hasFallback: true) { $0.maxBatchSequences = 1 }
        try fixture.submit("before", fixture.request([1, 2, 3, 4], user: "u"))
        _ = fixture.wait(for: 1)
        fixture.control.isGated.store(true, ordering: .releasing)
        try fixture.submit("runs", fixture.request([9], user: "v"))
        fixture.control.reachedGate.wait()
        var patient = fixture.request([1, 2, 3, 4, 5], user: "u")
        patient.priority = .low
        try fixture.submit("waits", patient)
        func queued() -> (rows: Int, areDivisible: Bool, depth: Int) {
            fixture.engine.state.withLock { state in
                let jobs = state.scheduler.jobs.values
                return (
                    state.scheduler.queued[0].work.rows, jobs.allSatisfy(\.demand.isDivisible), state.scheduler.depth
                )
            }
        }
        #expect(queued() == (1, true, 1))
        fixture.fallbackControl.isGated.store(true, ordering: .releasing)
        fail(fixture, attempts: 1_000)
        fixture.release()
        fixture.fallbackControl.reachedGate.wait()
        #expect(queued() == (5, false, 1))
        fixture.fallbackControl.isGated.store(false, ordering: .releasing)
        fixture.fallbackControl.gate.signal()
        #expect(try fixture.rows(fixture.wait(for: 2)["waits"]) == [6, 7, 8])
    }

    @Test func withAFallback_TheEngineSaysThatItIsDegraded_AndKeepsNothing() throws {
        let fixture = try Fixture(cachePages: 20, hasFallback: true)
        fail(fixture, attempts: 1_000)
        for name in ["a", "b"] {
            try fixture.submit(name, fixture.request([1, 2, 3], user: "u"))
            #expect(try #require(fixture.wait(for: 1)[name]).get().historyCached == 0)
        }
        #expect(fixture.engine.degradation == "stub: the heartbeat is gone")
        guard case .ready(let device) = fixture.engine.phase else {
            Issue.record("not ready")
            return
        }
        #expect(device.name == "spare" && fixture.engine.ownDevice?.name == "stub")
        #expect(fixture.prefixCache == .none(reason: "the device has failed"))
        #expect(fixture.observer.record.withLock { $0.cache.bytes } == 0)
    }

    @Test func aUserWhoIsForgottenMeanwhile_IsNotKeptAfterwards() throws {
        let fixture = try Fixture(cachePages: 20, hasFallback: true)
        fail(fixture, attempts: 1_000)
        fixture.fallbackControl.isGated.store(true, ordering: .releasing)
        try fixture.submit("a", fixture.request([1, 2, 3]))
        fixture.fallbackControl.reachedGate.wait()
        try fixture.submit("b", fixture.request([1, 2, 3], user: "u"))
        #expect(fixture.engine.forget("u").inFlight == 1)
        fixture.control.state.withLock { $0.loadFailures = 0 }
        // The device recovers before the request is computed.
        let due = Instant.now().advanced(by: 20_000_000)
        while Instant.now() < due {}
        fixture.fallbackControl.isGated.store(false, ordering: .releasing)
        fixture.fallbackControl.gate.signal()
        _ = fixture.wait(for: 2)
        #expect(fixture.observer.record.withLock { $0.recoveries } == ["stub"])
        #expect(fixture.engine.forget("u").entries == 0)
    }

    /// Too large for the memory, or a shape that no kernel supports.
    @Test(arguments: [ComputeError.Code.outOfMemory, .unsupported])
    func whatDoesNotFitTogether_IsComputedInHalves(_ excess: ComputeError.Code) throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("first", fixture.request([1]))
        fixture.control.reachedGate.wait()
        for item in Int32(2)...8 { try fixture.submit("\(item)", fixture.request([item])) }
        fixture.control.state.withLock { ($0.capacity, $0.excess) = (2, excess) }
        fixture.release()
        let outcomes = fixture.wait(for: 8)
        for item in Int32(2)...8 { #expect(try fixture.rows(outcomes["\(item)"]).first == 1) }
        // 7 = 3 + 4 = (1 + 2) + (2 + 2)
        let record = fixture.observer.record.withLock { $0 }
        #expect(record.batchSizes == [1, 1, 2, 2, 2])
        #expect(record.failures.map(\.code) == Array(repeating: excess, count: 3))
        #expect(record.recoveries.isEmpty)
    }

    @Test(arguments: [ComputeError.Code.outOfMemory, .unsupported])
    func whatDoesNotFitAlone_IsRefused_OrComputedByTheFallback(_ excess: ComputeError.Code) throws {
        let alone = try Fixture()
        alone.control.state.withLock { ($0.capacity, $0.excess) = (0, excess) }
        try alone.submit("a", alone.request([1]))
        #expect(code(alone.wait(for: 1)["a"]) == .deviceFailed)
        alone.control.state.withLock { $0.capacity = nil }
        // The device is still available.
        try alone.submit("b", alone.request([1]))
        #expect(try alone.rows(alone.wait(for: 1)["b"]) == [2, 3, 4])

        let fixture = try Fixture(cachePages: 20, hasFallback: true)
        try fixture.submit("before", fixture.request([1, 2, 3], user: "u"))
        _ = fixture.wait(for: 1)
        fixture.control.state.withLock { ($0.capacity, $0.excess) = (0, excess) }
        try fixture.submit("a", fixture.request([1, 2, 3, 4], user: "u"))
        #expect(try fixture.rows(fixture.wait(for: 1)["a"]) == [5, 6, 7])
        // All rows, because the fallback has none of them cached.
        #expect(fixture.fallbackControl.batches == [[[1, 2, 3, 4]]])
        #expect(fixture.observer.record.withLock { $0.fallbackSizes } == [1])
        #expect(fixture.engine.degradation == nil)
        fixture.control.state.withLock { $0.capacity = nil }
        try fixture.submit("b", fixture.request([1, 2, 3, 4], user: "u"))
        #expect(try #require(fixture.wait(for: 1)["b"]).get().historyCached == 0)
    }

    @Test func backoff_DoublesUpToItsLimit() {
        var backoff = RecoveryBackoff()
        backoff.firstNanoseconds = 10
        backoff.mostNanoseconds = 75
        #expect([0, 1, 2, 3, 4, 63, 1_000].map(backoff.delay) == [10, 20, 40, 75, 75, 75, 75])
        backoff.mostNanoseconds = .max
        #expect(backoff.delay(after: 1_000) == .max)
    }

    @Test func attempts_TakeNoMoreThanATenthOfTheFallbacksTime() {
        var recovery = Recovery(RecoveryBackoff())
        recovery.postpone(now: Instant(nanoseconds: 0), took: 1_000_000_000, servesMeanwhile: true)
        #expect(recovery.next == Instant(nanoseconds: 9_000_000_000))
        recovery.postpone(now: Instant(nanoseconds: 0), took: 1_000_000_000, servesMeanwhile: false)
        #expect(recovery.next == Instant(nanoseconds: 2_000_000_000))
        recovery.computed()
        recovery.postpone(now: Instant(nanoseconds: 5), servesMeanwhile: false)
        #expect(recovery.next == Instant(nanoseconds: 1_000_000_005))
    }
}
