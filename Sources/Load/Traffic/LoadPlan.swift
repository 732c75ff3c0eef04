// The instructions of a load test.

/// The arrival of requests.
package enum Arrivals: Sendable, Equatable {
    /// An open loop: a Poisson process with this many requests per second, regardless of outcomes.
    case open(rate: Double)
    /// A closed loop: this many callers, each of which waits for its reply before the next request.
    case closed(connections: Int)
}

/// Everything about a load test but the server and the histories.
package struct LoadPlan: Sendable {
    package var arrivals: Arrivals
    /// Nanoseconds for which requests are sent.
    package var duration: UInt64
    package var workload = WorkloadSettings()
    /// The share of requests whose connection is closed in the middle, from 0 to 1.
    package var abandonShare = 0.0
    /// Nanoseconds after which a request without a reply is given up.
    package var timeout: UInt64 = 10_000_000_000
    /// Connections that an open loop may have; requests that find all of them busy wait.
    package var maximumConnections = 1_024
    /// Threads that send, each with its part of the load.
    package var threads = 1
    package var seed: UInt64
    /// The value of `Authorization`; never printed.
    package var authorization: String?
    /// Whether every request is kept.
    package var keepsTrace = false

    package init(arrivals: Arrivals, duration: UInt64, seed: UInt64) {
        self.arrivals = arrivals
        self.duration = duration
        self.seed = seed
    }

    /// Nanoseconds within which a reply is good; nil: whenever it comes.
    var deadline: UInt64? { workload.deadlineMilliseconds.map { UInt64($0) * 1_000_000 } }

    /// The part of worker `index` of `threads`. Poisson processes add up to one.
    func share(_ index: Int) -> LoadPlan {
        var plan = self
        switch arrivals {
        case .open(let rate): plan.arrivals = .open(rate: rate / Double(threads))
        case .closed(let connections): plan.arrivals = .closed(connections: Self.part(index, of: connections, threads))
        }
        plan.maximumConnections = max(Self.part(index, of: maximumConnections, threads), 1)
        // Streams of the generator that start this far apart do not overlap.
        plan.seed = seed &+ UInt64(index) &* 0xD1B5_4A32_D192_ED03
        return plan
    }

    private static func part(_ index: Int, of whole: Int, _ parts: Int) -> Int {
        whole / parts + (index < whole % parts ? 1 : 0)
    }
}
