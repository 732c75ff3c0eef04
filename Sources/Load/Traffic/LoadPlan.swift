// The settings of a load test.

/// How requests arrive.
package enum Arrivals: Sendable, Equatable {
    /// An open loop: a Poisson process with this many requests per second, regardless of outcomes.
    case open(rate: Double)
    /// A closed loop: this many callers, each of which waits for its reply before its next request.
    case closed(connections: Int)
}

/// Everything about a load test except the server and the histories.
package struct LoadPlan: Sendable {
    package var arrivals: Arrivals
    /// Nanoseconds for which requests are sent.
    package var duration: UInt64
    package var workload = WorkloadSettings()
    /// The share of requests whose connection is closed early, from 0 to 1.
    package var abandonShare = 0.0
    /// Nanoseconds after which a request without a reply times out.
    package var timeout: UInt64 = 10_000_000_000
    /// The most connections of an open loop; requests wait if all are busy.
    package var maximumConnections = 1_024
    /// Sending threads, each with its share of the load.
    package var threads = 1
    package var seed: UInt64
    /// The value of `Authorization`; never printed.
    package var authorization: String?
    /// Whether to record every request.
    package var keepsTrace = false

    package init(arrivals: Arrivals, duration: UInt64, seed: UInt64) {
        self.arrivals = arrivals
        self.duration = duration
        self.seed = seed
    }

    /// Nanoseconds within which a reply is good; nil: always.
    var deadline: UInt64? { workload.deadlineMilliseconds.map { UInt64($0) * 1_000_000 } }

    /// The share of worker `index` of `threads`. A sum of Poisson processes is one too.
    func share(_ index: Int) -> LoadPlan {
        var plan = self
        switch arrivals {
        case .open(let rate): plan.arrivals = .open(rate: rate / Double(threads))
        case .closed(let connections): plan.arrivals = .closed(connections: Self.part(index, of: connections, threads))
        }
        plan.maximumConnections = max(Self.part(index, of: maximumConnections, threads), 1)
        // Generator streams that start this far apart do not overlap.
        plan.seed = seed &+ UInt64(index) &* 0xD1B5_4A32_D192_ED03
        return plan
    }

    private static func part(_ index: Int, of whole: Int, _ parts: Int) -> Int {
        whole / parts + (index < whole % parts ? 1 : 0)
    }
}
