// The scheduler on a virtual clock: admission, order, budgets, deadlines and cancellation, each by itself and then all of
// them in random traffic.

import Testing

@testable import Engine

private let millisecond: UInt64 = 1_000_000

private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * millisecond) }

private func entry(
    _ id: UInt64,
    events: Int = 10,
    arrival: UInt64 = 0,
    deadline: UInt64? = nil,
    priority: Priority = .normal
) -> Scheduler.Entry {
    Scheduler.Entry(id: id, events: events, arrival: at(arrival), deadline: deadline.map(at), priority: priority)
}

@Suite struct SchedulerTests {
    private func scheduler(_ change: (inout SchedulerConfiguration) -> Void = { _ in }) -> Scheduler {
        var configuration = SchedulerConfiguration()
        configuration.maxQueuedRequests = 4
        configuration.maxBatchSequences = 3
        configuration.maxBatchEvents = 100
        change(&configuration)
        return Scheduler(configuration)
    }

    @Test func isIdle_WhenNothingWaits() {
        var scheduler = scheduler()
        #expect(scheduler.next(now: at(0)) == .idle)
    }

    @Test func startsAtOnce_WhenNoWaitIsConfigured() {
        var scheduler = scheduler()
        #expect(scheduler.admit(entry(1), now: at(0)) == .admitted)
        #expect(scheduler.next(now: at(0)) == .run([1]))
        #expect(scheduler.depth == 0)
        #expect(scheduler.next(now: at(0)) == .idle)
    }

    @Test func waitsToFill_UntilTheOldestHasWaitedLongEnough() {
        var scheduler = scheduler { $0.maxWaitNanoseconds = 5 * millisecond }
        _ = scheduler.admit(entry(1, arrival: 10), now: at(10))
        #expect(scheduler.next(now: at(12)) == .wait(until: at(15)))
        _ = scheduler.admit(entry(2, arrival: 13), now: at(13))
        #expect(scheduler.next(now: at(14)) == .wait(until: at(15)))
        #expect(scheduler.next(now: at(15)) == .run([1, 2]))
    }

    @Test(arguments: [1, 3]) func doesNotWait_WhenTheBatchIsFull(sequences: Int) {
        var scheduler = scheduler {
            $0.maxWaitNanoseconds = 5 * millisecond
            $0.maxBatchSequences = sequences
        }
        for id in 1...UInt64(sequences) { _ = scheduler.admit(entry(id), now: at(0)) }
        #expect(scheduler.next(now: at(0)) == .run(Array(1...UInt64(sequences))))
    }

    @Test func doesNotWait_WhenTheEventsFillABatch() {
        var scheduler = scheduler { $0.maxWaitNanoseconds = 5 * millisecond }
        _ = scheduler.admit(entry(1, events: 100), now: at(0))
        #expect(scheduler.next(now: at(0)) == .run([1]))
    }

    @Test func doesNotWait_WhileDraining() {
        var scheduler = scheduler { $0.maxWaitNanoseconds = 5 * millisecond }
        _ = scheduler.admit(entry(1), now: at(0))
        #expect(scheduler.next(now: at(0), waitsToFill: false) == .run([1]))
    }

    @Test func refuses_WhenTheQueueIsFull() {
        var scheduler = scheduler()
        for id in 1...4 { #expect(scheduler.admit(entry(UInt64(id)), now: at(0)) == .admitted) }
        #expect(scheduler.admit(entry(5), now: at(0)) == .queueFull(retryAfter: 0))
        #expect(scheduler.cancel(2) == true)
        #expect(scheduler.admit(entry(5), now: at(0)) == .admitted)
    }

    @Test func keepsToTheSequenceBudget() {
        var scheduler = scheduler()
        for id in 1...4 { _ = scheduler.admit(entry(UInt64(id)), now: at(0)) }
        #expect(scheduler.next(now: at(0)) == .run([1, 2, 3]))
        #expect(scheduler.next(now: at(0)) == .run([4]))
    }

    @Test func keepsToTheEventBudget_WithoutOvertaking() {
        var scheduler = scheduler()
        _ = scheduler.admit(entry(1, events: 60), now: at(0))
        _ = scheduler.admit(entry(2, events: 60), now: at(0))
        _ = scheduler.admit(entry(3, events: 1), now: at(0))
        #expect(scheduler.next(now: at(0)) == .run([1]))
        #expect(scheduler.next(now: at(0)) == .run([2, 3]))
    }

    @Test func runsAHistoryThatExceedsTheBudget_Alone() {
        var scheduler = scheduler()
        _ = scheduler.admit(entry(1, events: 1_000), now: at(0))
        _ = scheduler.admit(entry(2, events: 1), now: at(0))
        #expect(scheduler.next(now: at(0)) == .run([1]))
    }

    @Test func higherPriorityGoesFirst_WithinTheAdvantage() {
        var scheduler = scheduler { $0.maxBatchSequences = 1 }
        _ = scheduler.admit(entry(1, arrival: 0, priority: .low), now: at(0))
        _ = scheduler.admit(entry(2, arrival: 1, priority: .normal), now: at(1))
        _ = scheduler.admit(entry(3, arrival: 2, priority: .high), now: at(2))
        #expect(scheduler.next(now: at(2)) == .run([3]))
        #expect(scheduler.next(now: at(2)) == .run([2]))
        #expect(scheduler.next(now: at(2)) == .run([1]))
    }

    @Test func lowPriorityGoesFirst_OnceItHasWaitedLongerThanTheAdvantage() {
        var scheduler = scheduler {
            $0.maxBatchSequences = 1
            $0.priorityAdvantageNanoseconds = 10 * millisecond
        }
        _ = scheduler.admit(entry(1, arrival: 0, priority: .low), now: at(0))
        _ = scheduler.admit(entry(2, arrival: 21, priority: .high), now: at(21))
        #expect(scheduler.next(now: at(21)) == .run([1]))
    }

    @Test func earlierDeadlineGoesFirst() {
        var scheduler = scheduler { $0.maxBatchSequences = 1 }
        _ = scheduler.admit(entry(1, deadline: 90), now: at(0))
        _ = scheduler.admit(entry(2, deadline: 80), now: at(0))
        #expect(scheduler.next(now: at(0)) == .run([2]))
    }

    @Test func expiresWhatIsOverdue_AndNothingElse() {
        var scheduler = scheduler()
        _ = scheduler.admit(entry(1, deadline: 50), now: at(0))
        _ = scheduler.admit(entry(2, deadline: 60), now: at(0))
        _ = scheduler.admit(entry(3), now: at(0))
        #expect(scheduler.earliestDeadline == at(50))
        #expect(scheduler.expire(now: at(49)) == [])
        #expect(scheduler.expire(now: at(50)) == [1])
        #expect(scheduler.next(now: at(50)) == .run([2, 3]))
    }

    @Test func neverRunsACancelledRequest() {
        var scheduler = scheduler()
        _ = scheduler.admit(entry(1), now: at(0))
        _ = scheduler.admit(entry(2), now: at(0))
        #expect(scheduler.cancel(1) == true)
        #expect(scheduler.cancel(1) == false)
        #expect(scheduler.next(now: at(0)) == .run([2]))
        #expect(scheduler.cancel(2) == false)
    }

    @Test func refusesADeadlineThatCannotBeMet_JudgingByWhatBatchesTook() {
        var scheduler = scheduler()
        // One millisecond an event.
        scheduler.finished(events: 10, nanoseconds: 10 * millisecond)
        #expect(scheduler.admit(entry(1, events: 10), now: at(0)) == .admitted)
        #expect(
            scheduler.admit(entry(2, events: 10, deadline: 19), now: at(0))
                == .deadlineUnreachable(retryAfter: 10 * millisecond)
        )
        #expect(scheduler.admit(entry(3, events: 10, deadline: 20), now: at(0)) == .admitted)
    }

    @Test func countsWhatIsStillRunning_AgainstADeadline() {
        var scheduler = scheduler()
        scheduler.finished(events: 10, nanoseconds: 10 * millisecond)
        _ = scheduler.admit(entry(1, events: 10), now: at(0))
        #expect(scheduler.next(now: at(0)) == .run([1]))
        #expect(scheduler.predictedWait(now: at(4)) == 6 * millisecond)
        #expect(scheduler.predictedWait(now: at(40)) == 0)
    }

    @Test func refusesNothingOnAGuess_BeforeTheFirstBatch() {
        var scheduler = scheduler()
        #expect(scheduler.admit(entry(1, events: 100, deadline: 1), now: at(0)) == .admitted)
    }

    /// Random arrivals, cancellations, expiries and batches: everything admitted leaves exactly once, by exactly one door.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func losesNothing_InRandomTraffic(seed: UInt64) {
        var random = SplitMix(state: seed)
        var scheduler = scheduler {
            $0.maxQueuedRequests = 40
            $0.maxBatchSequences = 5
            $0.maxBatchEvents = 60
            $0.maxWaitNanoseconds = 3 * millisecond
        }
        var waiting: [UInt64: Scheduler.Entry] = [:]
        var nextID: UInt64 = 0
        for now in 0..<4_000 as Range<UInt64> {
            for _ in 0..<random.below(3) {
                nextID += 1
                let new = entry(
                    nextID,
                    events: 1 + Int(random.below(80)),
                    arrival: now,
                    deadline: random.below(2) == 0 ? now + random.below(30) : nil,
                    priority: Priority.allCases[Int(random.below(3))]
                )
                switch scheduler.admit(new, now: at(now)) {
                case .admitted: waiting[new.id] = new
                case .queueFull: #expect(waiting.count == 40)
                case .deadlineUnreachable: break
                }
            }
            if random.below(3) == 0, let victim = waiting.keys.min() {
                #expect(scheduler.cancel(victim) == true)
                waiting[victim] = nil
            }
            for id in scheduler.expire(now: at(now)) {
                guard let gone = waiting.removeValue(forKey: id), let deadline = gone.deadline else {
                    Issue.record("expired a request that does not wait or has no deadline")
                    continue
                }
                #expect(deadline <= at(now))
            }
            if random.below(4) == 0, case .run(let batch) = scheduler.next(now: at(now)) {
                #expect(!batch.isEmpty && batch.count <= 5)
                let gone = batch.compactMap { waiting.removeValue(forKey: $0) }
                #expect(gone.count == batch.count)
                #expect(gone.allSatisfy { ($0.deadline ?? at(.max / millisecond)) > at(now) })
                let events = gone.map(\.events).reduce(0, +)
                #expect(events <= 60 || batch.count == 1)
                scheduler.finished(events: events, nanoseconds: UInt64(events) * 100_000)
            }
            #expect(scheduler.depth == waiting.count)
        }
        #expect(Set(scheduler.removeAll()) == Set(waiting.keys))
        #expect(scheduler.depth == 0)
    }

    @Test func nobodyStarves_UnderAFloodOfHigherPriority() {
        var scheduler = scheduler {
            $0.maxQueuedRequests = 1_000
            $0.maxBatchSequences = 1
            $0.priorityAdvantageNanoseconds = 20 * millisecond
        }
        _ = scheduler.admit(entry(1, arrival: 0, priority: .low), now: at(0))
        var ranAt: UInt64?
        for now in 0..<200 as Range<UInt64> {
            // Two arrive for each that runs.
            _ = scheduler.admit(entry(2 + 2 * now, arrival: now, priority: .high), now: at(now))
            _ = scheduler.admit(entry(3 + 2 * now, arrival: now, priority: .high), now: at(now))
            if scheduler.next(now: at(now)) == .run([1]) {
                ranAt = now
                break
            }
        }
        // It counts as if it had arrived at 40 ms; by then 80 are before it, one of which runs every millisecond.
        #expect(ranAt.map { $0 <= 90 } == true)
    }
}
