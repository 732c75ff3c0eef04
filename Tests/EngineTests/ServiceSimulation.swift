// An engine in which only the scheduler is real: Poisson arrivals, and batch times from a known formula times the
// machine's current slowness, on a virtual clock. Results have no noise except the simulated one, and a minute takes
// moments.

import Random

@testable import Engine

/// A discrete-event simulation of one engine. Times are nanoseconds.
struct ServiceSimulation {
    /// The true times of batches.
    struct Truth {
        var fixed = 200_000.0
        var row = 9_000.0
        var pair = 5.0
        var query = 20_000.0
        /// From the end of a batch to the start of the next: answers, locks, the queue.
        var between: UInt64 = 0
        /// A batch takes up to this share more or less, randomly.
        var jitter = 0.0
        /// For half of the time, in periods of `moodPeriod`, everything takes this many times as long: other threads
        /// use the same cores.
        var mood = 1.0
        var moodPeriod: UInt64 = 250 * millisecond

        func nanoseconds(_ work: ComputeWork) -> Double {
            fixed + row * Double(work.rows) + pair * Double(work.pairs) + query * Double(work.queries)
        }
    }

    /// The arriving requests.
    struct Traffic {
        /// Requests per second.
        var rate = 100.0
        var lengths = 16...200
        /// Further items after the first.
        var steps = 0
        var deadline: UInt64?
        /// The share of requests with half the deadline.
        var hurried = 0.0
    }

    /// The results of all requests.
    struct Outcome {
        var arrived = 0
        var refused = 0
        var expired = 0
        /// Served after their deadline.
        var late = 0
        /// From arrival to answer.
        var latencies: [UInt64] = []
        var batches = 0
        /// The idle time.
        var idle: UInt64 = 0
        var served: Int { latencies.count }

        /// - Parameter share: in 0...1.
        func latency(_ share: Double) -> UInt64 {
            let sorted = latencies.sorted()
            return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
        }
    }

    private struct Work {
        var request: Scheduler.Request
        var rows: Int
        var length: Int
        var stepsLeft: Int
        var isStep = false

        var demand: Scheduler.Demand {
            Scheduler.Demand(
                work: ComputeWork(rows: (isStep ? length : length - rows)..<length + (isStep ? 1 : 0), scans: 1),
                steps: stepsLeft,
                stepWork: ComputeWork(rows: length..<length + 1, scans: 1),
                isStep: isStep
            )
        }
    }

    private var scheduler: Scheduler
    private var random: SplitMix64
    private let truth: Truth
    private var works: [UInt64: Work] = [:]

    init(_ truth: Truth, seed: UInt64, _ change: (inout SchedulerConfiguration) -> Void = { _ in }) {
        var configuration = SchedulerConfiguration()
        change(&configuration)
        scheduler = Scheduler(configuration)
        random = SplitMix64(seed: seed)
        self.truth = truth
        for (rows, queries) in [(1, 1), (200, 1), (512, 0), (128, 8), (512, 4)] {
            var work = ComputeWork(rows: 0..<rows, scans: 1)
            work.queries = queries
            scheduler.serviceTimes[0].calibrate(work, nanoseconds: UInt64(truth.nanoseconds(work)))
        }
    }

    private mutating func uniform() -> Double { Double(random.next() >> 11) * 0x1p-53 }

    /// The gap to the next arrival, by inversion of the exponential distribution's function.
    private mutating func gap(_ rate: Double) -> UInt64 {
        UInt64(-ServiceSimulation.logarithm(1 - uniform()) / rate * 1e9)
    }

    /// The natural logarithm of a number in (0, 1], by the series of artanh; avoids a dependency.
    private static func logarithm(_ value: Double) -> Double {
        var exponent = 0.0
        var value = value
        while value < 0.7 {
            value *= 2
            exponent -= 1
        }
        let ratio = (value - 1) / (value + 1)
        var power = ratio
        var sum = 0.0
        for term in stride(from: 1.0, through: 19, by: 2) {
            sum += power / term
            power *= ratio * ratio
        }
        return 2 * sum + exponent * 0.693_147_180_559_945_3
    }

    /// Simulates this many seconds of traffic, then serves the rest.
    ///
    /// - Parameter warmUp: seconds at the start that the outcome ignores.
    mutating func run(_ traffic: Traffic, seconds: Double, warmUp: Double = 0) -> Outcome {
        var outcome = Outcome()
        let end = UInt64(seconds * 1e9)
        let start = UInt64(warmUp * 1e9)
        var arrival = gap(traffic.rate)
        var free: UInt64 = 0
        var batch: [Scheduler.Portion] = []
        var batchWork = ComputeWork()
        var batchStart: UInt64 = 0
        var id: UInt64 = 0
        /// The wake-up time of an idle engine that waits for company.
        var wakeUp: UInt64 = .max
        var idleSince: UInt64 = 0
        while arrival < end || !batch.isEmpty || !scheduler.jobs.isEmpty {
            let isArrival = arrival < end && arrival <= (batch.isEmpty ? wakeUp : free)
            let now = isArrival ? arrival : batch.isEmpty ? wakeUp : free
            let instant = Instant(nanoseconds: now)
            let counts = now >= start
            for expired in scheduler.expire(now: instant) {
                works[expired.job] = nil
                if counts { outcome.expired += 1 }
            }
            if isArrival {
                id += 1
                arrive(id, traffic, instant, &outcome, counts: counts)
                arrival += max(1, gap(traffic.rate))
                if !batch.isEmpty { continue }
            } else if !batch.isEmpty {
                scheduler.finished(batchWork, nanoseconds: now - batchStart, now: instant)
                for portion in batch { take(portion, instant, &outcome, counts: counts) }
                batch = []
                idleSince = now
            }
            wakeUp = .max
            switch scheduler.next(
                now: instant,
                in: &works,
                size: { id, works in (works[id]?.demand.work.rows ?? 0, true) }
            ) {
            case .run(let portions):
                batch = portions
                if counts, arrival < end { outcome.idle += now - min(now, max(start, idleSince)) }
                batchStart = now
                batchWork = ComputeWork()
                for portion in portions {
                    guard let work = works[portion.job] else { continue }
                    if work.isStep {
                        batchWork += work.demand.work
                    } else {
                        let from = work.length - work.rows
                        batchWork += ComputeWork(
                            rows: from..<from + portion.rows,
                            scans: portion.rows == work.rows ? 1 : 0
                        )
                    }
                }
                var time = truth.nanoseconds(batchWork) * (1 + truth.jitter * (2 * uniform() - 1))
                if (now / truth.moodPeriod).isMultiple(of: 2) { time *= truth.mood }
                free = now + UInt64(time) + truth.between
                if counts { outcome.batches += 1 }
            case .wait(let until): wakeUp = max(until.nanoseconds, now + 1)
            case .idle: if arrival >= end, scheduler.jobs.isEmpty { return outcome }
            }
        }
        return outcome
    }

    private mutating func arrive(
        _ id: UInt64,
        _ traffic: Traffic,
        _ now: Instant,
        _ outcome: inout Outcome,
        counts: Bool
    ) {
        let length = traffic.lengths.lowerBound + Int(random.below(UInt64(traffic.lengths.count)))
        let isHurried = uniform() < traffic.hurried
        let request = Scheduler.Request(
            id: id,
            arrival: now,
            deadline: traffic.deadline.map { now.advanced(by: isHurried ? $0 / 2 : $0) }
        )
        let work = Work(request: request, rows: length, length: length, stepsLeft: traffic.steps)
        if counts { outcome.arrived += 1 }
        guard scheduler.admission(of: request, work.demand, now: now) == .admitted else {
            if counts { outcome.refused += 1 }
            return
        }
        works[id] = work
        scheduler.enqueue(request, job: id, work.demand, now: now)
    }

    private mutating func take(
        _ portion: Scheduler.Portion,
        _ now: Instant,
        _ outcome: inout Outcome,
        counts: Bool
    ) {
        guard var work = works[portion.job] else { return }
        if work.isStep {
            work.length += 1
        } else {
            work.rows -= portion.rows
        }
        if work.rows > 0, !work.isStep {
            // More of its history remains.
        } else if work.stepsLeft > 0 {
            work.stepsLeft -= 1
            work.isStep = true
        } else {
            works[portion.job] = nil
            guard counts else { return }
            outcome.latencies.append(now.nanoseconds(since: work.request.arrival))
            if let deadline = work.request.deadline, now > deadline { outcome.late += 1 }
            return
        }
        works[portion.job] = work
        scheduler.readmit([work.request], job: portion.job, work.demand)
    }
}
