// The figures of a load test. The other two files of this name print them as text and as JSON.

internal import Histogram

/// The result of a run.
package struct LoadReport: Sendable {
    /// A worker's results: its counts, and the nanoseconds during which its requests were due.
    package typealias Part = (recorder: LoadRecorder, duration: UInt64)

    package let plan: LoadPlan
    /// Seconds since the epoch.
    package let startTime: Double
    /// The process's limit of open descriptors.
    package let descriptorLimit: Int
    package private(set) var recorder: LoadRecorder
    /// Nanoseconds during which requests were due.
    package private(set) var duration: UInt64 = 0
    /// Whether the run was stopped early.
    package var isInterrupted = false

    package init(plan: LoadPlan, startTime: Double, descriptorLimit: Int) {
        self.plan = plan
        self.startTime = startTime
        self.descriptorLimit = descriptorLimit
        recorder = LoadRecorder(deadline: plan.deadline, keepsTrace: plan.keepsTrace)
    }

    /// Adds a worker's results.
    package mutating func add(_ part: Part) {
        recorder.add(part.recorder)
        duration = max(duration, part.duration)
    }

    /// Seconds to the last reply, at least those during which requests were due: the denominator of rates.
    package var seconds: Double { max(Double(max(duration, recorder.lastReply)) / 1e9, 1e-9) }

    /// The requested rate per second; in a closed loop, the rate achieved.
    package var offeredRate: Double {
        switch plan.arrivals {
        case .open(let rate): rate
        case .closed: Double(recorder.begun) / seconds
        }
    }

    /// Replies per second, of any status.
    package var throughput: Double { Double(recorder.answered) / seconds }
    /// Replies with status 200 per second, within the deadline if there is one.
    package var goodput: Double { Double(recorder.good) / seconds }
    /// The share of history events that the server had cached; nil: it did not report any.
    package var cachedShare: Double? {
        recorder.historyUsed > 0 ? Double(recorder.historyCached) / Double(recorder.historyUsed) : nil
    }

    /// Caveats about the figures, one sentence each.
    package var remarks: [String] {
        var remarks: [String] = []
        let recorder = recorder
        let lag = milliseconds(recorder.lag.valueAtPercentile(99))
        if case .open = plan.arrivals, lag > 1, lag > milliseconds(recorder.latency.valueAtPercentile(99)) / 10 {
            remarks.append(
                "the load generator was late (99 % within \(rounded(lag)) ms), so the latencies describe it as much as "
                    + "the server; give it more --threads or a machine of its own"
            )
        }
        if recorder.connectionWaits > 0 {
            remarks.append(
                "\(recorder.connectionWaits) requests waited because all \(plan.maximumConnections) connections were busy; "
                    + "the latencies include that time"
            )
        }
        if recorder.unsent > 0 {
            remarks.append("\(recorder.unsent) requests were due but never found a free connection")
        }
        let refusals = [401, 403].reduce(0) { $0 + recorder.count(.status($1)) }
        if refusals > 0 {
            remarks.append(
                "\(refusals) requests were refused (401, 403): check the API key in the environment"
            )
        }
        let redirects = recorder.statuses.filter { 300..<400 ~= $0.status }.reduce(0) { $0 + $1.count }
        if redirects > 0 {
            remarks.append("\(redirects) replies were redirects, which are not followed; use the server's own address")
        }
        if recorder.unreadable > 0 {
            remarks.append("\(recorder.unreadable) replies with status 200 were not recommendations in JSON")
        }
        if recorder.unknownItems > recorder.historyUsed {
            remarks.append("the server does not know most of the items; do the histories belong to its catalogue?")
        }
        if plan.maximumDescriptors > descriptorLimit {
            remarks.append("the process may open \(descriptorLimit) descriptors, fewer than the connections need")
        }
        if isInterrupted { remarks.append("interrupted: the figures cover the time until then") }
        return remarks
    }

    /// Every request as a line of tab-separated columns under a header: when it was due in seconds since the epoch,
    /// milliseconds to its end, and its outcome. Sorted by time.
    package var trace: String {
        var text = "time\tlatency_ms\toutcome\n"
        for entry in recorder.trace.sorted(by: { $0.intended < $1.intended }) {
            let time = (startTime * 1e6 + Double(entry.intended) / 1e3).rounded() / 1e6
            text += "\(time)\t\(rounded(milliseconds(entry.latency)))\t\(entry.outcome.name)\n"
        }
        return text
    }

    /// Nanoseconds to milliseconds.
    func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e6 }
    /// Rounds to thousandths.
    func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }
}

extension LoadPlan {
    /// The descriptors needed for a run's connections and the rest of the process, at most.
    fileprivate var maximumDescriptors: Int {
        switch arrivals {
        case .open: maximumConnections + 32
        case .closed(let connections): connections + 32
        }
    }
}
