// Requests at twice the engine's capacity: every admitted request is answered in time, and the engine's throughput does
// not drop. The machine is simulated, with periods of slowness.

import Testing

@testable import Engine

@Suite struct OverloadTests {
    /// A batch of four of these takes about 4 ms, so about 900 are served per second.
    private static let steady = ServiceSimulation.Truth(between: 100_000, jitter: 0.2)

    private func flood(
        _ truth: ServiceSimulation.Truth,
        _ change: (inout ServiceSimulation.Traffic) -> Void = { _ in }
    )
        -> ServiceSimulation.Outcome
    {
        var traffic = ServiceSimulation.Traffic()
        traffic.rate = 1_800
        traffic.deadline = 200 * millisecond
        change(&traffic)
        var simulation = ServiceSimulation(truth, seed: 1)
        return simulation.run(traffic, seconds: 4, warmUp: 1)
    }

    @Test func whoIsLetIn_IsAnsweredInTime_AndTheEngineIsNeverIdle() {
        let outcome = flood(Self.steady)
        #expect(outcome.expired == 0 && outcome.late == 0)
        #expect(outcome.refused > 1_000)
        #expect(outcome.idle == 0)
    }

    /// A later request with a shorter deadline goes first, but never makes an admitted one late.
    @Test func whoIsInAHurry_MakesNobodyLate() {
        let outcome = flood(Self.steady) { $0.hurried = 0.3 }
        #expect(outcome.expired == 0 && outcome.late == 0)
    }

    /// Active sequences are in the running batch, not in the queue, and return nineteen times.
    @Test(arguments: [0.0, 0.3]) func sequencesUnderWay_AreCounted(hurried: Double) {
        let outcome = flood(Self.steady) {
            $0.rate = 1_100
            $0.steps = 19
            $0.hurried = hurried
        }
        #expect(outcome.expired == 0 && outcome.late == 0)
        #expect(outcome.served > 1_200)
    }

    /// Histories of several parts are counted too.
    @Test func partsThatAreToCome_AreCounted() {
        let outcome = flood(Self.steady) {
            $0.rate = 200
            $0.lengths = 600...1_400
        }
        #expect(outcome.expired == 0 && outcome.late == 0)
        #expect(outcome.served > 150)
    }

    /// For 250 ms of every 500 ms everything takes 1.4 times as long. No prediction foresees the next slow period, but
    /// the margin covers it after the first ones.
    @Test func aMachineWithMoods_IsAllowedFor() {
        var truth = Self.steady
        truth.mood = 1.4
        let outcome = flood(truth)
        #expect(outcome.expired + outcome.late <= outcome.served / 100)
    }

    @Test func whoIsDoneOnlyAfterTheDeadline_IsNotComputed_WhileOthersWait() {
        var queue = VirtualQueue { $0.maxBatchSequences = 1 }
        queue.learn()
        queue.admit(1, events: 10, deadline: 20)
        queue.admit(2, events: 10, deadline: 60)
        // The engine was delayed.
        #expect(queue.run(15) == [2])
        #expect(queue.scheduler.expire(now: at(20)).map(\.request) == [1])
        // With no other request waiting, it is worth a try.
        queue.admit(3, events: 10, arrival: 20, deadline: 40)
        #expect(queue.run(35) == [3])
    }

    @Test func aHigherPriority_MayMakeALowerOneLate_AndNotTheOtherWayRound() {
        var queue = VirtualQueue()
        queue.learn()
        queue.admit(1, events: 50, deadline: 60, priority: .normal)
        #expect(queue.admit(2, events: 20, deadline: 55, priority: .normal) != .admitted)
        #expect(queue.admit(2, events: 20, deadline: 55, priority: .high) == .admitted)
    }

    @Test func theMargin_RisesToWhatWasSeen_AndFallsSlowly() {
        var margin = AdmissionMargin(factor: 1)
        #expect(margin.padded(1_000) == 1_000)
        for _ in 0..<40 { margin.observe(.init(from: at(0), nanoseconds: 10 * millisecond), at: at(15)) }
        #expect((1_499...1_500).contains(margin.padded(1_000)))
        // The margin learns nothing from faster batches, nor from times too short to distinguish from noise.
        margin.observe(.init(from: at(0), nanoseconds: 10 * millisecond), at: at(1))
        margin.observe(.init(from: at(0), nanoseconds: 1 * millisecond), at: at(100))
        #expect((1_499...1_500).contains(margin.padded(1_000)))
        for _ in 0..<11_356 { margin.forget() }
        #expect((1_245...1_255).contains(margin.padded(1_000)))
        for _ in 0..<100 { margin.observe(.init(from: at(0), nanoseconds: 10 * millisecond), at: at(100_000)) }
        #expect(margin.padded(1_000) <= 4_000)
    }

    @Test func anotherDevice_IsNotJudgedByTheLastOne() {
        var queue = VirtualQueue()
        queue.learn(milliseconds: 1)
        queue.admit(1, events: 10, deadline: 400)
        var slow = VirtualQueue()
        slow.learn(milliseconds: 10)
        queue.scheduler.changeDevice([0: slow.scheduler.serviceTimes[0]])
        #expect(queue.admit(2, events: 10, deadline: 99) != .admitted)
        #expect(queue.admit(2, events: 10, deadline: 101) == .admitted)
        #expect(queue.scheduler.cancel(2, job: 2) == .nobody)
        #expect(queue.run() == [1])
        var work = ComputeWork()
        work.rows = 10
        let margin = queue.scheduler.margin
        queue.scheduler.finished(work, nanoseconds: 100 * millisecond, now: at(100))
        #expect(queue.scheduler.margin.factor <= margin.factor)
    }

    /// The engine's thread is remaking its device, which takes about 50 ms.
    @Test func whileTheEngineIsHeldUp_WhoHasNoTimeForThatIsRefused_AndNothingIsLearnt() {
        var queue = VirtualQueue()
        queue.learn()
        queue.admit(1, events: 10, deadline: 30)
        queue.scheduler.hold(until: at(50))
        #expect(queue.admit(2, events: 10, deadline: 40) == .deadlineUnreachable(retryAfter: 30 * millisecond))
        #expect(queue.admit(2, events: 10, deadline: 70) == .admitted)
        let margin = queue.scheduler.margin
        #expect(queue.scheduler.expire(now: at(90)).map(\.request).sorted() == [1, 2])
        // It takes longer: a request is not alone even with an empty queue, and predictions meanwhile are guesses.
        queue.admit(3, events: 10, arrival: 90, deadline: 200)
        queue.scheduler.release()
        #expect(queue.scheduler.expire(now: at(200)).map(\.request) == [3])
        #expect(queue.scheduler.margin == margin)
        #expect(queue.admit(4, events: 10, arrival: 200, deadline: 210) == .admitted)
    }

    /// The device has too little memory for the batch: the first of three finishes at 10, the others, which a fallback
    /// computes, at 50.
    @Test func ofABatchInParts_WhatIsLeftStillRuns_AndPromisesAreJudgedAtItsEnd() {
        var queue = VirtualQueue()
        queue.learn()
        for id in 1...3 as ClosedRange<UInt64> { queue.admit(id, events: 10, deadline: 100) }
        #expect(queue.run() == [1, 2, 3])
        let margin = queue.scheduler.margin
        let part = ComputeWork(rows: 0..<10, scans: 1)
        queue.scheduler.finished(part, nanoseconds: 10 * millisecond, now: at(10), isLast: false)
        #expect(queue.admit(4, events: 10, arrival: 10, deadline: 39) != .admitted)
        #expect(queue.admit(4, events: 10, arrival: 10, deadline: 41) == .admitted)
        #expect(queue.scheduler.margin == margin)
        queue.scheduler.finished(part + part, nanoseconds: nil, now: at(50))
        #expect(queue.scheduler.margin.factor > margin.factor)
    }

    @Test func aMargin_NeverKeepsAnIdleEngineFromWorking() {
        var queue = VirtualQueue()
        queue.learn()
        for _ in 0..<40 {
            queue.scheduler.margin.observe(.init(from: at(0), nanoseconds: 10 * millisecond), at: at(40))
        }
        #expect(queue.admit(1, events: 10, deadline: 11) == .admitted)
        #expect(queue.admit(2, events: 10, deadline: 30) != .admitted)
    }
}
