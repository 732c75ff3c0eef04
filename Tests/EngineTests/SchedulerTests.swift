// Unit tests of the scheduler on a virtual clock: admission, order, budgets, deadlines and cancellation.

import Testing

@testable import Engine

let millisecond: UInt64 = 1_000_000

func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * millisecond) }

/// A scheduler and the remaining work of its jobs; a job has the number of its first request.
struct VirtualQueue {
    var scheduler: Scheduler
    var demands: [UInt64: Scheduler.Demand] = [:]

    init(_ change: (inout SchedulerConfiguration) -> Void = { _ in }) {
        var configuration = SchedulerConfiguration()
        configuration.maxQueuedRequests = 4
        configuration.maxBatchSequences = 3
        configuration.maxBatchEvents = 100
        configuration.maxWaitNanoseconds = 0
        change(&configuration)
        scheduler = Scheduler(configuration)
        // The service times that tests teach it are exact.
        scheduler.margin = AdmissionMargin(factor: 1)
    }

    @discardableResult
    mutating func admit(
        _ id: UInt64,
        events: Int = 10,
        isDivisible: Bool = false,
        steps: Int = 0,
        arrival: UInt64 = 0,
        deadline: UInt64? = nil,
        priority: Priority = .normal,
        joining job: UInt64? = nil
    ) -> Scheduler.Admission {
        let request = Scheduler.Request(id: id, arrival: at(arrival), deadline: deadline.map(at), priority: priority)
        let demand = Scheduler.Demand(
            work: ComputeWork(rows: 0..<events, scans: 1),
            isDivisible: isDivisible,
            steps: steps,
            stepWork: ComputeWork(rows: events..<events + 1, scans: 1)
        )
        let admission = scheduler.admission(of: request, demand, joining: job, now: at(arrival))
        guard admission == .admitted else { return admission }
        if let job {
            #expect(scheduler.join(request, job: job) == true)
        } else {
            scheduler.enqueue(request, job: id, demand, now: at(arrival))
            demands[id] = demand
        }
        return admission
    }

    /// Requeues a job with this many rows left, or a step.
    mutating func readmit(_ id: UInt64, rows: Int, isStep: Bool = false, arrival: UInt64 = 0, deadline: UInt64? = nil) {
        let demand = Scheduler.Demand(work: ComputeWork(rows: 0..<rows, scans: 1), isStep: isStep)
        demands[id] = demand
        let request = Scheduler.Request(id: id, arrival: at(arrival), deadline: deadline.map(at))
        scheduler.readmit([request], job: id, demand)
    }

    mutating func next(_ now: UInt64 = 0, waitsToFill: Bool = true) -> Scheduler.Decision {
        scheduler.next(now: at(now), waitsToFill: waitsToFill, in: &demands) { id, demands in
            (demands[id]?.work.rows ?? 0, demands[id]?.isDivisible ?? true)
        }
    }

    /// The jobs of the next batch; empty if none starts.
    mutating func run(_ now: UInt64 = 0) -> [UInt64] { portions(now).map(\.job) }

    mutating func portions(_ now: UInt64 = 0) -> [Scheduler.Portion] {
        if case .run(let portions) = next(now) { portions } else { [] }
    }

    /// Learns `milliseconds` per event and `fixed` per batch.
    mutating func learn(milliseconds: UInt64 = 1, fixed: UInt64 = 0) {
        for events in [1, 10, 100] {
            var work = ComputeWork()
            work.rows = events
            scheduler.serviceTimes[0].calibrate(
                work,
                nanoseconds: (fixed + UInt64(events) * milliseconds) * millisecond
            )
        }
    }
}

@Suite struct SchedulerTests {
    @Test func isIdle_WhenNothingWaits() {
        var queue = VirtualQueue()
        #expect(queue.next() == .idle)
    }

    @Test func startsAtOnce_WhenItIsIdle() {
        var queue = VirtualQueue { $0.maxWaitNanoseconds = 1_000 * millisecond }
        queue.learn(fixed: 50)
        queue.admit(1)
        #expect(queue.run() == [1])
        #expect(queue.scheduler.depth == 0)
        #expect(queue.next() == .idle)
    }

    @Test func waitsAtLeastAsLongAsConfigured_FromTheOldestArrival() {
        var queue = VirtualQueue { $0.minWaitNanoseconds = 5 * millisecond }
        queue.admit(1, arrival: 10)
        #expect(queue.next(12) == .wait(until: at(15)))
        queue.admit(2, arrival: 13)
        #expect(queue.next(14) == .wait(until: at(15)))
        #expect(queue.run(15) == [1, 2])
    }

    /// A batch costs 20 ms whatever it contains, an event almost nothing, and a request arrives every 4 ms.
    @Test func waitsForCompany_WhereABatchCostsMoreThanTheWait() {
        func decision(every gap: UInt64, atMost most: UInt64) -> Scheduler.Decision {
            var queue = VirtualQueue { $0.maxWaitNanoseconds = most * millisecond }
            queue.learn(milliseconds: 0, fixed: 20)
            for id in 1...3 as ClosedRange<UInt64> { queue.admit(id, arrival: id * gap) }
            _ = queue.run(3 * gap)
            queue.admit(4, arrival: 4 * gap)
            return queue.next(4 * gap)
        }
        #expect(decision(every: 4, atMost: 100) == .wait(until: at(26)))
        #expect(decision(every: 4, atMost: 7) == .wait(until: at(23)))
        // The wait for company would cost more than it saves.
        #expect(decision(every: 11, atMost: 100) == .run([.init(job: 4, rows: 10)]))
    }

    @Test func doesNotWait_WhileASequenceIsUnderWay() {
        var queue = VirtualQueue { $0.minWaitNanoseconds = 5 * millisecond }
        queue.readmit(1, rows: 1, isStep: true)
        queue.admit(2)
        #expect(queue.run() == [1, 2])
    }

    @Test(arguments: [1, 3]) func doesNotWait_WhenTheBatchIsFull(sequences: Int) {
        var queue = VirtualQueue {
            $0.minWaitNanoseconds = 5 * millisecond
            $0.maxBatchSequences = sequences
        }
        for id in 1...UInt64(sequences) { queue.admit(id) }
        #expect(queue.run() == Array(1...UInt64(sequences)))
    }

    @Test func doesNotWait_WhenTheEventsFillABatch() {
        var queue = VirtualQueue { $0.minWaitNanoseconds = 5 * millisecond }
        queue.admit(1, events: 100)
        #expect(queue.run() == [1])
    }

    @Test func doesNotWait_WhileDraining() {
        var queue = VirtualQueue { $0.minWaitNanoseconds = 5 * millisecond }
        queue.admit(1)
        #expect(queue.next(waitsToFill: false) == .run([.init(job: 1, rows: 10)]))
    }

    @Test func refuses_WhenTheQueueIsFull() {
        var queue = VirtualQueue()
        for id in 1...4 { #expect(queue.admit(UInt64(id)) == .admitted) }
        #expect(queue.admit(5) == .queueFull(retryAfter: 1))
        #expect(queue.scheduler.cancel(2, job: 2) == .nobody)
        #expect(queue.admit(5) == .admitted)
    }

    @Test func refuses_WhenMoreWorkWaitsThanMay_ButNotTheFirst() {
        var queue = VirtualQueue { $0.maxQueuedNanoseconds = 100 * millisecond }
        queue.learn()
        #expect(queue.admit(1, events: 90) == .admitted)
        #expect(queue.admit(2, events: 30) == .tooMuchWork(retryAfter: 20 * millisecond))
        // An identical request adds no work.
        #expect(queue.admit(2, events: 90, joining: 1) == .admitted)
        #expect(queue.admit(3, events: 10) == .admitted)
        #expect(queue.run() == [3, 1])
        #expect(queue.admit(4, events: 1_000) == .admitted)
    }

    @Test func keepsToTheSequenceBudget() {
        var queue = VirtualQueue()
        for id in 1...4 { queue.admit(UInt64(id)) }
        #expect(queue.run() == [1, 2, 3])
        #expect(queue.run() == [4])
    }

    @Test func keepsToTheEventBudget_WithoutOvertaking() {
        var queue = VirtualQueue()
        queue.admit(1, events: 60)
        queue.admit(2, events: 60)
        queue.admit(3, events: 1)
        #expect(queue.run() == [1])
        #expect(queue.run() == [2, 3])
    }

    @Test func runsAHistoryThatExceedsTheBudget_Alone() {
        var queue = VirtualQueue()
        queue.admit(1, events: 1_000)
        queue.admit(2, events: 1)
        #expect(queue.run() == [1])
    }

    @Test func aDivisibleHistory_IsCutToTheChunk_AndFillsWhatIsLeft() {
        var queue = VirtualQueue { $0.prefillChunkEvents = 40 }
        queue.admit(1, events: 30, isDivisible: true)
        queue.admit(2, events: 90, isDivisible: true)
        #expect(queue.portions() == [.init(job: 1, rows: 30), .init(job: 2, rows: 10)])
        queue.readmit(2, rows: 80)
        #expect(queue.portions() == [.init(job: 2, rows: 40)])
    }

    /// The chunk is as many events as take 5 ms, between 512 and `prefillChunkEvents`.
    @Test(arguments: [(100, 8_192), (1_000, 5_000), (100_000, 512)] as [(UInt64, Int)])
    func aChunk_IsAsLargeAsIsQuick(nanosecondsPerEvent: UInt64, events: Int) {
        var queue = VirtualQueue { $0.maxBatchEvents = 8_192 }
        for rows in [1, 100, 1_000] {
            var work = ComputeWork()
            work.rows = rows
            queue.scheduler.serviceTimes[0].calibrate(work, nanoseconds: UInt64(rows) * nanosecondsPerEvent)
        }
        queue.admit(1, events: 9_000, isDivisible: true)
        #expect(queue.portions() == [.init(job: 1, rows: events)])
    }

    @Test func aPieceThatIsTooSmall_IsLeftForTheNextBatch() {
        var queue = VirtualQueue { $0.prefillChunkEvents = 40 }
        queue.admit(1, events: 37, isDivisible: true)
        queue.admit(2, events: 90, isDivisible: true)
        #expect(queue.portions() == [.init(job: 1, rows: 37)])
    }

    @Test func steps_GoIntoEveryBatch_HoweverMuchIsReadIn() {
        var queue = VirtualQueue { $0.prefillChunkEvents = 40 }
        queue.admit(1, events: 90, isDivisible: true)
        queue.admit(2, events: 90, isDivisible: true)
        queue.readmit(3, rows: 1, isStep: true, arrival: 5)
        queue.readmit(4, rows: 1, isStep: true, arrival: 6)
        #expect(queue.portions() == [.init(job: 1, rows: 40), .init(job: 3, rows: 1), .init(job: 4, rows: 1)])
    }

    @Test func sizes_AreAskedOnlyOfWhatRuns_AndCount() {
        var queue = VirtualQueue()
        for id in 1...3 as ClosedRange<UInt64> { queue.admit(id, events: 60) }
        // Waiting jobs have become cheaper meanwhile.
        var asked: [UInt64] = []
        let decision = queue.scheduler.next(now: at(0), in: &asked) { id, asked in
            asked.append(id)
            return (id == 3 ? 60 : 45, false)
        }
        #expect(decision == .run([.init(job: 1, rows: 45), .init(job: 2, rows: 45)]))
        #expect(asked == [1, 2, 3])
    }

    @Test func higherPriorityGoesFirst_WithinTheAdvantage() {
        var queue = VirtualQueue { $0.maxBatchSequences = 1 }
        queue.admit(1, arrival: 0, priority: .low)
        queue.admit(2, arrival: 1, deadline: 500, priority: .normal)
        queue.admit(3, arrival: 2, priority: .high)
        #expect([queue.run(2), queue.run(2), queue.run(2)] == [[3], [2], [1]])
    }

    @Test func lowPriorityGoesFirst_OnceItHasWaitedLongerThanTheAdvantage() {
        var queue = VirtualQueue {
            $0.maxBatchSequences = 1
            $0.priorityAdvantageNanoseconds = 10 * millisecond
        }
        queue.admit(1, arrival: 0, priority: .low)
        queue.admit(2, arrival: 21, priority: .high)
        #expect(queue.run(21) == [1])
    }

    @Test(arguments: Priority.allCases) func earlierDeadlineGoesFirst_WithinALevel(priority: Priority) {
        var queue = VirtualQueue { $0.maxBatchSequences = 1 }
        queue.admit(1, priority: priority)
        queue.admit(2, deadline: 90, priority: priority)
        queue.admit(3, deadline: 80, priority: priority)
        #expect([queue.run(), queue.run(), queue.run()] == [[3], [2], [1]])
    }

    /// The shorter one may arrive later by up to twice the difference in length.
    @Test(arguments: [(179, [2, 1]), (181, [1, 2])] as [(UInt64, [UInt64])])
    func aShorterOne_GoesBeforeALongerOne_ThatCameALittleEarlier(arrival: UInt64, order: [UInt64]) {
        var queue = VirtualQueue { $0.maxBatchSequences = 1 }
        queue.learn()
        queue.admit(1, events: 100)
        queue.admit(2, events: 10, arrival: arrival)
        #expect([queue.run(arrival), queue.run(arrival)] == order.map { [$0] })
    }

    /// Two short ones arrive for each that runs.
    @Test func aLongOneDoesNotStarve_UnderAFloodOfShortOnes() {
        var queue = VirtualQueue {
            $0.maxQueuedRequests = 10_000
            $0.maxQueuedNanoseconds = 0
            $0.maxBatchSequences = 1
        }
        queue.learn()
        queue.admit(1_000_000, events: 100)
        var ran: UInt64?
        for now in 0..<1_000 as Range<UInt64> {
            queue.admit(2 * now, events: 1, arrival: now)
            queue.admit(2 * now + 1, events: 1, arrival: now)
            if queue.run(now) == [1_000_000] {
                ran = now
                break
            }
        }
        // Its order is that of an arrival 198 ms later; by then twice as many are before it, and one runs every
        // millisecond.
        #expect(ran.map { 390...400 ~= $0 } == true)
    }

    @Test func aJobIsAsUrgent_AsTheMostUrgentOfItsRequests() {
        var queue = VirtualQueue { $0.maxBatchSequences = 1 }
        queue.admit(1)
        queue.admit(2, deadline: 300)
        queue.admit(3, deadline: 80, joining: 1)
        #expect(queue.scheduler.depth == 3)
        #expect(queue.run() == [1])
        queue.admit(4)
        queue.admit(5, deadline: 80, joining: 4)
        #expect(queue.scheduler.cancel(5, job: 4) == .othersWait)
        #expect([queue.run(), queue.run()] == [[2], [4]])
        #expect(queue.scheduler.depth == 0)
    }

    @Test func nobodyJoins_WhatHasRun() {
        var queue = VirtualQueue()
        queue.readmit(1, rows: 10)
        #expect(queue.scheduler.join(.init(id: 2, arrival: at(0)), job: 1) == false)
        #expect(queue.scheduler.join(.init(id: 2, arrival: at(0)), job: 7) == false)
    }

    @Test func expiresWhatIsOverdue_AndNothingElse() {
        var queue = VirtualQueue()
        queue.admit(1, deadline: 50)
        queue.admit(2, deadline: 60)
        queue.admit(3)
        queue.admit(4, deadline: 50, joining: 3)
        #expect(queue.scheduler.earliestDeadline == at(50))
        #expect(queue.scheduler.expire(now: at(49)).isEmpty)
        let overdue = queue.scheduler.expire(now: at(50)).sorted { $0.request < $1.request }
        #expect(overdue.map(\.request) == [1, 4])
        #expect(overdue.map(\.remainder) == [.nobody, .othersWait])
        #expect(queue.run(50) == [2, 3])
    }

    @Test func neverRunsACancelledRequest() {
        var queue = VirtualQueue()
        queue.admit(1)
        queue.admit(2)
        #expect(queue.scheduler.cancel(1, job: 1) == .nobody)
        #expect(queue.scheduler.cancel(1, job: 1) == .unknown)
        #expect(queue.run() == [2])
        #expect(queue.scheduler.cancel(2, job: 2) == .unknown)
    }

    @Test func refusesADeadlineThatCannotBeMet_JudgingByWhatBatchesTook() {
        var queue = VirtualQueue()
        queue.learn()
        #expect(queue.admit(1, events: 10) == .admitted)
        #expect(queue.admit(2, events: 10, deadline: 9) == .deadlineUnreachable(retryAfter: 1 * millisecond))
        #expect(queue.admit(3, events: 10, deadline: 11) == .admitted)
    }

    @Test func whatWaitsBehindARequest_DoesNotCountAgainstIt() {
        var queue = VirtualQueue()
        queue.learn()
        for id in 1...2 as ClosedRange<UInt64> { queue.admit(id, events: 90, priority: .low) }
        #expect(queue.admit(3, events: 10, deadline: 11, priority: .high) == .admitted)
        #expect(
            queue.admit(4, events: 10, deadline: 11, priority: .high)
                == .deadlineUnreachable(retryAfter: 9 * millisecond)
        )
    }

    @Test func whoJoins_IsNotBehindWhatItJoins() {
        var queue = VirtualQueue()
        queue.learn()
        queue.admit(1, events: 20, deadline: 30)
        #expect(queue.admit(2, events: 20, deadline: 30, joining: 1) == .admitted)
        #expect(queue.admit(3, events: 20, deadline: 19, joining: 1) == .deadlineUnreachable(retryAfter: millisecond))
        // Nor is it behind jobs that come after the one it joins.
        #expect(queue.admit(4, events: 10, deadline: 45) == .admitted)
        #expect(queue.admit(5, events: 20, deadline: 45, joining: 1) == .admitted)
    }

    /// The margin must not take overtaken requests for wrong predictions.
    @Test(arguments: [nil, 100] as [UInt64?]) func whoIsOvertaken_IsPromisedALaterEnd(deadline: UInt64?) {
        var queue = VirtualQueue { $0.maxQueuedNanoseconds = 0 }
        queue.learn()
        queue.admit(1, events: 20, deadline: 1_000, priority: .low)
        #expect(queue.scheduler.jobs[1]?.promise?.nanoseconds == 20 * millisecond)
        #expect(queue.admit(2, events: 10, deadline: deadline) == .admitted)
        #expect(queue.scheduler.jobs[1]?.promise?.nanoseconds == 30 * millisecond)
    }

    @Test func countsWhatIsStillRunning_AgainstADeadline() {
        var queue = VirtualQueue()
        queue.learn()
        queue.admit(1, events: 10)
        #expect(queue.run() == [1])
        #expect(queue.admit(2, events: 10, arrival: 4, deadline: 19) == .deadlineUnreachable(retryAfter: millisecond))
        #expect(queue.admit(2, events: 10, arrival: 40, deadline: 50) == .admitted)
    }

    @Test func countsTheStepsOfASequence_AgainstItsOwnDeadline_AndNotAgainstOthers() {
        var queue = VirtualQueue { $0.maxQueuedNanoseconds = 0 }
        queue.learn(milliseconds: 1, fixed: 10)
        #expect(queue.admit(1, events: 10, steps: 9, deadline: 118) != .admitted)
        #expect(queue.admit(1, events: 10, steps: 9, deadline: 121) == .admitted)
        // It would go first, and delay the sequence by its own time and its batch's.
        #expect(queue.admit(2, events: 10, deadline: 45) == .deadlineUnreachable(retryAfter: 18 * millisecond))
        #expect(queue.scheduler.cancel(1, job: 1) == .nobody)
        #expect(queue.admit(1, events: 10, steps: 9, deadline: 150) == .admitted)
        // It waits for the sequence's first pass, not for all ten.
        #expect(queue.admit(2, events: 10, deadline: 45) == .admitted)
    }

    @Test func refusesNothingOnAGuess_BeforeTheFirstBatch() {
        var queue = VirtualQueue()
        #expect(queue.admit(1, events: 100, deadline: 1) == .admitted)
    }

    @Test func nobodyStarves_UnderAFloodOfHigherPriority() {
        var queue = VirtualQueue {
            $0.maxQueuedRequests = 1_000
            $0.maxBatchSequences = 1
            $0.priorityAdvantageNanoseconds = 20 * millisecond
        }
        queue.admit(1, arrival: 0, priority: .low)
        var ranAt: UInt64?
        for now in 0..<200 as Range<UInt64> {
            // Two arrive for each that runs.
            queue.admit(2 + 2 * now, arrival: now, priority: .high)
            queue.admit(3 + 2 * now, arrival: now, priority: .high)
            if queue.run(now) == [1] {
                ranAt = now
                break
            }
        }
        // Its order is that of an arrival at 40 ms; by then 80 are before it, and one runs every millisecond.
        #expect(ranAt.map { $0 <= 90 } == true)
    }
}
