// The engine's user cache over the stub device: leases, chunks, steps, deletion and duplicates.

import Compute
import Dispatch
import Locking
import Testing

@testable import Engine

@Suite struct EngineCacheTests {
    @Test(arguments: ["u", nil]) func aReturningUser_CostsTheNewEvents(user: String?) throws {
        let fixture = try Fixture(cachePages: 10)
        try fixture.submit("a", fixture.request([1, 2, 3, 4, 5], user: user))
        #expect(try #require(fixture.wait(for: 1)["a"]).get().historyCached == 0)
        try fixture.submit("b", fixture.request([1, 2, 3, 4, 5, 6], user: user))
        let second = try #require(fixture.wait(for: 1)["b"]).get()
        #expect(second.historyCached == 5 && second.historyUsed == 6 && second.historyStart == nil)
        #expect(fixture.control.batches == [[[1, 2, 3, 4, 5]], [[6]]])
        #expect(fixture.control.cached == [[0], [5]])
        let cache = fixture.observer.record.withLock { $0.cache }
        #expect(cache.hits == 1 && cache.misses == 1 && cache.entries == 1 && cache.bytes == 2)
    }

    @Test func aLongHistory_IsReadInParts_AndShortOnesGoInBetween() throws {
        let fixture = try Fixture(gated: true, cachePages: 10, window: 32) { $0.prefillChunkEvents = 8 }
        try fixture.submit("long", fixture.request(Array(1...20)))
        fixture.control.reachedGate.wait()
        // Its deadline puts it first in order, although the long one arrived earlier.
        try fixture.submit("short", fixture.request([30], deadlineIn: 60_000))
        var urgent = fixture.request([31])
        urgent.priority = .high
        try fixture.submit("urgent", urgent)
        fixture.release()
        #expect(fixture.wait(for: 3).count == 3)
        #expect(fixture.control.batches[0] == [Array(1...8)])
        #expect(fixture.control.batches[1] == [[31], Array(9...15)])
        #expect(fixture.control.batches[2] == [Array(16...20), [30]])
        #expect(fixture.control.cached == [[0], [0, 8], [15, 0]])
    }

    @Test func aStep_IsOneRow_AndJoinsWhateverRuns() throws {
        let fixture = try Fixture(gated: true, cachePages: 20, window: 40) { $0.prefillChunkEvents = 8 }
        var sequence = fixture.request([1], count: 4, user: "s")
        sequence.mode = .sequence(nil)
        try fixture.submit("sequence", sequence)
        fixture.control.reachedGate.wait()
        try fixture.submit("long", fixture.request(Array(41...60)))
        fixture.release()
        let outcomes = fixture.wait(for: 2)
        #expect(try fixture.rows(outcomes["sequence"]) == [2, 3, 4, 5])
        #expect(fixture.control.batches.map { $0.map(\.count) } == [[1], [1, 8], [1, 8], [1, 4]])
        #expect(fixture.observer.record.withLock { $0.steps } == [0, 1, 1, 1])
        // Generated items are not cached: the user may choose others.
        try fixture.submit("next", fixture.request([1, 9], user: "s"))
        #expect(try #require(fixture.wait(for: 1)["next"]).get().historyCached == 1)
    }

    @Test func aSequenceBeyondTheWindow_SlidesAsWithoutACache() throws {
        func run(_ cachePages: Int, stride: Int) throws -> (items: [Int32], seen: [[Int32]]) {
            let fixture = try Fixture(cachePages: cachePages, windowStride: stride)
            var request = fixture.request([1, 2, 3, 4, 5, 6], count: 5)
            request.mode = .sequence(nil)
            try fixture.submit("a", request)
            let rows = try fixture.rows(fixture.wait(for: 1)["a"])
            // The input of each pass: its own rows after the cached ones.
            var seen: [[Int32]] = []
            for (batch, cached) in zip(fixture.control.batches, fixture.control.cached) {
                seen.append(Array((seen.last ?? []).prefix(cached[0])) + batch[0])
            }
            return (rows, seen)
        }
        for stride in [0, 3] {
            let (cached, whole) = (try run(20, stride: stride), try run(0, stride: stride))
            #expect(cached.items == whole.items && cached.seen == whole.seen)
        }
        #expect(try run(20, stride: 0).seen.last == [3, 4, 5, 6, 7, 8, 9, 10])
        #expect(try run(20, stride: 3).seen.last == [4, 5, 6, 7, 8, 9, 10])
    }

    @Test func aWindowOfStrides_StaysWhereItIs_AndTheReplySaysWhere() throws {
        let fixture = try Fixture(cachePages: 20, windowStride: 4)
        var cached: [Int] = []
        var starts: [Int?] = []
        for length in 8...14 {
            try fixture.submit("\(length)", fixture.request(Array(1...Int32(length)), user: "u"))
            let answer = try #require(fixture.wait(for: 1)["\(length)"]).get()
            cached.append(answer.historyCached)
            starts.append(answer.historyStart)
        }
        #expect(starts == [0, 4, 4, 4, 4, 8, 8])
        #expect(cached == [0, 0, 5, 6, 7, 0, 5])
    }

    @Test func deletion_MidFlightAndInTheQueue_IsAnsweredAndNotKept() throws {
        let fixture = try Fixture(gated: true, cachePages: 20)
        try fixture.submit("running", fixture.request([1, 2, 3], user: "u"))
        fixture.control.reachedGate.wait()
        try fixture.submit("queued", fixture.request([1, 2, 3, 4], user: "u"))
        try fixture.submit("other", fixture.request([1, 2, 3], user: "v"))
        #expect(fixture.engine.forget("u") == .init(inFlight: 2))
        fixture.release()
        #expect(fixture.wait(for: 3).count == 3)
        #expect(fixture.observer.record.withLock { $0.cache.entries } == 1)
        #expect(fixture.engine.forget("u") == .init())
        try fixture.submit("again", fixture.request([1, 2, 3, 4], user: "u"))
        #expect(try #require(fixture.wait(for: 1)["again"]).get().historyCached == 0)
        #expect(fixture.engine.forget("u") == .init(entries: 1, events: 4, bytes: 1))
    }

    @Test func duplicatesInTheQueue_AreComputedOnce_AndEachIsAnswered() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("running", fixture.request([9]))
        fixture.control.reachedGate.wait()
        let first = try fixture.submit("first", fixture.request([1, 2]))
        try fixture.submit("second", fixture.request([1, 2]))
        try fixture.submit("third", fixture.request([1, 2], deadlineIn: 50))
        try fixture.submit("unlike", fixture.request([1, 2], count: 4))
        fixture.engine.cancel(first)
        // The third waits no longer than its own deadline.
        #expect(throws: EngineError(.expired, "")) { try #require(fixture.wait(for: 1)["third"]).get() }
        fixture.release()
        let outcomes = fixture.wait(for: 3)
        #expect(try fixture.rows(outcomes["second"]) == [3, 4, 5])
        #expect(try fixture.rows(outcomes["unlike"]) == [3, 4, 5, 6])
        #expect(outcomes["first"] == nil)
        #expect(fixture.control.batches == [[[9]], [[1, 2], [1, 2]]])
        #expect(fixture.observer.record.withLock { $0.deduplicated } == 2)
    }

    @Test func aDuplicateWhoseCallersAreAllGone_IsNotComputed() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("running", fixture.request([9]))
        fixture.control.reachedGate.wait()
        let tickets = try (0..<3).map { try fixture.submit("\($0)", fixture.request([1, 2])) }
        for ticket in tickets { fixture.engine.cancel(ticket) }
        fixture.release()
        _ = fixture.wait(for: 1)
        #expect(fixture.control.batches.count == 1)
        #expect(fixture.observer.record.withLock { $0.cancellations } == [.queued, .queued, .queued])
        #expect(fixture.observer.record.withLock { $0.vain } == 0)
    }

    /// When the caller leaves, the device is computing the first part of the history.
    @Test(arguments: [(20, "u", false, 0), (20, nil, false, 0), (20, "u", true, 1), (0, "u", false, 1)])
    func whatACallerLeavesBehind_IsLost_UnlessItsRowsAreKept(
        cachePages: Int,
        user: String?,
        isDeleted: Bool,
        lost: Int
    ) throws {
        let fixture = try Fixture(gated: true, cachePages: cachePages, window: 40) { $0.prefillChunkEvents = 8 }
        let ticket = try fixture.submit("gone", fixture.request(Array(1...20), user: user))
        fixture.control.reachedGate.wait()
        fixture.engine.cancel(ticket)
        if isDeleted { _ = fixture.engine.forget("u") }
        fixture.release()
        try fixture.submit("next", fixture.request([9]))
        _ = fixture.wait(for: 1)
        let record = fixture.observer.record.withLock { $0 }
        #expect(record.cancellations == [.computing] && record.vain == lost)
    }

    @Test func cancellation_BetweenChunksAndSteps_EndsTheWork_AndKeepsWhatIsWhole() throws {
        let fixture = try Fixture(gated: true, cachePages: 20, window: 40) {
            $0.prefillChunkEvents = 8
            $0.maxBatchSequences = 1
        }
        // The urgent one is computed between two chunks of the long one.
        let long = try fixture.submit("long", fixture.request(Array(1...20), user: "u"))
        fixture.control.reachedGate.wait()
        var urgent = fixture.request([30])
        urgent.priority = .high
        try fixture.submit("urgent", urgent)
        fixture.control.gate.signal()
        fixture.control.reachedGate.wait()
        fixture.engine.cancel(long)
        fixture.release()
        _ = fixture.wait(for: 1)
        let record = fixture.observer.record.withLock { $0 }
        // Its rows are cached: no work was lost.
        #expect(record.cancellations == [.prefill] && record.vain == 0)
        #expect(fixture.control.batches.count == 2)
        try fixture.submit("again", fixture.request(Array(1...20), user: "u"))
        #expect(try #require(fixture.wait(for: 1)["again"]).get().historyCached == 8)
    }

    @Test func aDeviceError_DropsWhatItWasComputing() throws {
        let fixture = try Fixture(cachePages: 20)
        try fixture.submit("a", fixture.request([1, 2, 3], user: "u"))
        _ = fixture.wait(for: 1)
        fixture.control.state.withLock { $0.failure = ComputeError(.executionFailed, "core 3 faulted") }
        try fixture.submit("b", fixture.request([1, 2, 3, 4], user: "u"))
        _ = fixture.wait(for: 1)
        #expect(fixture.observer.record.withLock { $0.cache.bytes } == 0)
        fixture.control.state.withLock { $0.failure = nil }
        fixture.observer.waitUntilReadyOrFailed()
        try fixture.submit("c", fixture.request([1, 2, 3, 4], user: "u"))
        #expect(try #require(fixture.wait(for: 1)["c"]).get().historyCached == 0)
    }

    @Test func withoutRoom_HistoriesAreComputedWhole() throws {
        let fixture = try Fixture(cachePages: 1, window: 32) { $0.prefillChunkEvents = 8 }
        var sequence = fixture.request(Array(1...20), count: 2, user: "u")
        sequence.mode = .sequence(nil)
        try fixture.submit("a", sequence)
        #expect(try fixture.rows(fixture.wait(for: 1)["a"]) == [21, 22])
        #expect(fixture.control.batches.map { $0.map(\.count) } == [[20], [21]])
    }

    @Test func saysWhyNothingIsKept() throws {
        #expect(try Fixture().prefixCache == .none(reason: "nothing is computed"))
        guard case .exact(let pool) = try Fixture(cachePages: 3).prefixCache else {
            Issue.record("nothing is kept")
            return
        }
        #expect(pool.byteCount == 3 && pool.pageRows == 4)
    }
}
