// The scheduler under random traffic: every admitted request leaves exactly once, in exactly one way, in time.

import Random
import Testing

@testable import Engine

@Suite struct SchedulerPropertyTests {
    private struct Waiting {
        var request: Scheduler.Request
        var job: UInt64
    }

    /// Arrivals that join others and that do not, cancellations, expiries, histories in parts, sequences step by step.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func losesNothing_AndRunsNothingOverdue(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var queue = VirtualQueue {
            $0.maxQueuedRequests = 40
            $0.maxBatchSequences = 5
            $0.maxBatchEvents = 60
            $0.prefillChunkEvents = 24
            $0.minWaitNanoseconds = 3 * millisecond
            $0.priorityAdvantageNanoseconds = 30 * millisecond
        }
        var waiting: [UInt64: Waiting] = [:]
        var fresh: Set<UInt64> = []
        var stepsLeft: [UInt64: Int] = [:]
        var lastBegun: UInt64 = 0
        var nextID: UInt64 = 0
        for now in 0..<UInt64(propertyRuns(default: 4_000)) {
            for _ in 0..<random.below(3) {
                nextID += 1
                let deadline = random.below(2) == 0 ? now + random.below(60) : nil
                let priority = Priority.allCases[Int(random.below(3))]
                let duplicate = random.below(4) == 0 ? fresh.min() : nil
                let steps = random.below(5) == 0 ? Int(random.below(6)) : 0
                let admission = queue.admit(
                    nextID,
                    events: 1 + Int(random.below(80)),
                    isDivisible: random.below(2) == 0,
                    steps: steps,
                    arrival: now,
                    deadline: deadline,
                    priority: priority,
                    joining: duplicate
                )
                switch admission {
                case .admitted:
                    let request = Scheduler.Request(
                        id: nextID,
                        arrival: at(now),
                        deadline: deadline.map(at),
                        priority: priority
                    )
                    waiting[nextID] = Waiting(request: request, job: duplicate ?? nextID)
                    if duplicate == nil {
                        fresh.insert(nextID)
                        stepsLeft[nextID] = steps
                    }
                case .queueFull: #expect(waiting.values.count { fresh.contains($0.job) } == 40)
                case .tooMuchWork, .deadlineUnreachable: break
                }
            }
            func leave(_ id: UInt64, _ remainder: Scheduler.Remainder) {
                guard let gone = waiting.removeValue(forKey: id) else {
                    Issue.record("a request left that did not wait")
                    return
                }
                let isLast = !waiting.values.contains { $0.job == gone.job }
                #expect(remainder == (isLast ? .nobody : .othersWait))
                if isLast { fresh.remove(gone.job) }
            }
            if random.below(3) == 0, let victim = waiting.values.min(by: { $0.request.id < $1.request.id }) {
                leave(victim.request.id, queue.scheduler.cancel(victim.request.id, job: victim.job))
            }
            for (id, _, remainder) in queue.scheduler.expire(now: at(now)) {
                #expect(waiting[id]?.request.deadline.map { $0 <= at(now) } == true)
                // Several requests of one job may leave together; the remainder describes the job after each.
                if remainder == .nobody { leave(id, remainder) } else { waiting[id] = nil }
            }
            if random.below(4) == 0 {
                // Steps that would be late may be skipped.
                let steps = queue.demands.filter { id, demand in
                    demand.isStep && waiting.values.contains { $0.job == id && $0.request.deadline == nil }
                }
                let portions = queue.portions(now)
                #expect(portions.count <= 5)
                #expect(Set(portions.map(\.job)).count == portions.count)
                if !portions.isEmpty, steps.count < 3 {
                    #expect(steps.keys.allSatisfy { id in portions.contains { $0.job == id } || portions.count == 5 })
                }
                check(portions, queue.demands)
                var work = ComputeWork()
                for portion in portions {
                    let requests = waiting.values.filter { $0.job == portion.job }.map(\.request)
                    #expect(!requests.isEmpty)
                    #expect(requests.allSatisfy { ($0.deadline ?? at(.max / millisecond)) > at(now) })
                    if fresh.remove(portion.job) != nil { lastBegun = max(lastBegun, portion.job) }
                    work.rows += portion.rows
                    let rows = (queue.demands[portion.job]?.work.rows ?? 0) - portion.rows
                    let left = stepsLeft[portion.job] ?? 0
                    if rows > 0 {
                        queue.readmitAll(requests, portion.job, rows: rows, isStep: false, left)
                    } else if left > 0 {
                        stepsLeft[portion.job] = left - 1
                        queue.readmitAll(requests, portion.job, rows: 1, isStep: true, left - 1)
                    } else {
                        for request in requests { waiting[request.id] = nil }
                    }
                }
                let nanoseconds = UInt64(work.rows) * 100_000 + 1
                queue.scheduler.finished(work, nanoseconds: nanoseconds, now: at(now).advanced(by: nanoseconds))
            }
            #expect(queue.scheduler.depth == waiting.values.count { fresh.contains($0.job) })
            #expect(Set(queue.scheduler.jobs.keys) == Set(waiting.values.map(\.job)))
            var backlog = Scheduler.Backlog()
            for job in queue.scheduler.jobs.values { backlog.add(job.demand) }
            #expect(backlog == queue.scheduler.queued[0])
        }
        #expect(Set(queue.scheduler.removeAll()) == Set(waiting.values.map(\.job)))
        #expect(queue.scheduler.depth == 0 && queue.scheduler.queued[0] == Scheduler.Backlog())
        #expect(lastBegun > nextID / 2)
    }

    /// The budgets hold, except for a single history that cannot be cut.
    private func check(_ portions: [Scheduler.Portion], _ demands: [UInt64: Scheduler.Demand]) {
        let reading = portions.filter { demands[$0.job]?.isStep != true }
        let divisible = reading.filter { demands[$0.job]?.isDivisible == true }.map(\.rows).reduce(0, +)
        let whole = reading.filter { demands[$0.job]?.isDivisible != true }
        #expect(divisible <= 24)
        #expect(divisible + whole.map(\.rows).reduce(0, +) <= 60 || whole.first?.rows ?? 0 > 60)
        #expect(whole.allSatisfy { $0.rows == demands[$0.job]?.work.rows })
    }

    /// With deadlines a hundred times the longest service time, and half the capacity used, every admitted request
    /// finishes in time.
    @Test(arguments: [1, 2, 3] as [UInt64]) func whatIsAdmitted_MeetsItsDeadline_WhereThePredictionHolds(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var queue = VirtualQueue {
            $0.maxQueuedRequests = 500
            $0.maxBatchSequences = 4
        }
        queue.learn(milliseconds: 1)
        var deadlines: [UInt64: UInt64] = [:]
        var busyUntil: UInt64 = 0
        var batch: [UInt64] = []
        var refused = 0
        var late = 0
        for now in 0..<6_000 as Range<UInt64> {
            if now >= busyUntil {
                for id in batch { late += deadlines[id].map { $0 >= now } == true ? 0 : 1 }
                batch = queue.run(now)
                let rows = batch.reduce(0) { $0 + (queue.demands[$1]?.work.rows ?? 0) }
                busyUntil = now + UInt64(rows)
            }
            late += queue.scheduler.expire(now: at(now)).count
            // Twice the capacity, all with the same deadline interval, so that later arrivals are later in order.
            if random.below(5) == 0 {
                let deadline = now + 120
                if queue.admit(now + 1, events: 1 + Int(random.below(18)), arrival: now, deadline: deadline)
                    == .admitted
                {
                    deadlines[now + 1] = deadline
                } else {
                    refused += 1
                }
            }
        }
        #expect(late == 0)
        #expect(refused > 200 && deadlines.count > 300)
    }
}

extension VirtualQueue {
    fileprivate mutating func readmitAll(
        _ requests: [Scheduler.Request],
        _ job: UInt64,
        rows: Int,
        isStep: Bool,
        _ steps: Int
    ) {
        let demand = Scheduler.Demand(
            work: ComputeWork(rows: 0..<rows, scans: 1),
            isDivisible: true,
            steps: steps,
            stepWork: ComputeWork(rows: 0..<1, scans: 1),
            isStep: isStep
        )
        demands[job] = demand
        scheduler.readmit(requests, job: job, demand)
    }
}
