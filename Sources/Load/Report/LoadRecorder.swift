// Counts the outcomes of requests. A pure value: each worker has its own, and they are added up at the end.

package import Histogram

/// Everything measured in a run.
package struct LoadRecorder: Sendable {
    /// Requests by outcome.
    package private(set) var outcomes: [Outcome: Int] = [:]
    /// Nanoseconds from when a request was due to the end of its reply, whatever its status.
    package private(set) var latency = Self.histogram()
    /// The same for admitted requests.
    package private(set) var admittedLatency = Self.histogram()
    /// Nanoseconds from the actual start of a request to the end of its reply, for admitted ones: comparable with a
    /// deadline that counts from the request's arrival.
    package private(set) var serviceTime = Self.histogram()
    /// The same as `latency` for refused requests.
    package private(set) var refusedLatency = Self.histogram()
    /// Nanoseconds by which requests were late although a connection was free.
    package private(set) var lag = Self.histogram()
    /// Replies with status 200 within the deadline; without a deadline, all of them.
    package private(set) var good = 0
    /// Replies with status 200 that are not recommendations.
    package private(set) var unreadable = 0
    /// Recommendations by popularity instead of by the model.
    package private(set) var byPopularity = 0
    package private(set) var historyUsed = 0
    package private(set) var historyCached = 0
    package private(set) var unknownItems = 0
    /// Started requests.
    package private(set) var begun = 0
    /// Started requests of returning users.
    package private(set) var returning = 0
    /// Events sent in their own calls to `POST /events`. The other figures exclude them, except connections, bytes and
    /// lag.
    package private(set) var events = EventRecord()
    /// Requests that waited because all allowed connections were busy.
    package private(set) var connectionWaits = 0
    /// Requests that were due but never started.
    package var unsent = 0
    /// Number of opened connections.
    package var connectionsOpened = 0
    package var bytesSent = 0
    package var bytesReceived = 0
    /// Nanoseconds from the start to the last reply.
    package private(set) var lastReply: UInt64 = 0
    /// Every request, if the trace is kept.
    package private(set) var trace: [TraceEntry] = []

    private let deadline: UInt64?
    private let keepsTrace: Bool

    /// - Parameters:
    ///   - deadline: nanoseconds within which a reply is good; nil: always.
    ///   - keepsTrace: whether to keep every request, at 32 bytes each.
    package init(deadline: UInt64?, keepsTrace: Bool = false) {
        self.deadline = deadline
        self.keepsTrace = keepsTrace
    }

    /// 1 µs to 1 h with three significant digits.
    fileprivate static func histogram() -> Histogram<UInt64> {
        Histogram(lowestDiscernibleValue: 1_000, highestTrackableValue: longest, numberOfSignificantValueDigits: .three)
    }
    private static let longest: UInt64 = 3_600_000_000_000

    /// Records the start of a request; `lag` is nil if it had to wait for a connection.
    package mutating func began(isReturning: Bool, lag: UInt64?) {
        begun += 1
        if isReturning { returning += 1 }
        if let lag {
            self.lag.record(min(lag, Self.longest))
        } else {
            connectionWaits += 1
        }
    }

    /// Records the end of a request. Times are nanoseconds since the start of the run, with `intended` ≤ `begun` ≤
    /// `end`: when it was due, when it was started, when it ended.
    package mutating func ended(_ outcome: Outcome, intended: UInt64, begun: UInt64, end: UInt64) {
        outcomes[outcome, default: 0] += 1
        let elapsed = end - intended
        if keepsTrace { trace.append(TraceEntry(intended: intended, latency: elapsed, outcome: outcome)) }
        guard case .status(let status) = outcome else { return }
        lastReply = max(lastReply, end)
        let value = min(elapsed, Self.longest)
        latency.record(value)
        if outcome.isAdmission {
            admittedLatency.record(value)
            serviceTime.record(min(end - begun, Self.longest))
        }
        if outcome.isRefusal { refusedLatency.record(value) }
        if status == 200, elapsed <= deadline ?? .max { good += 1 }
    }

    /// Records the start of an event's call; `lag` as for a request.
    package mutating func eventBegan(lag: UInt64?) {
        events.begun += 1
        if let lag {
            self.lag.record(min(lag, Self.longest))
        } else {
            connectionWaits += 1
        }
    }

    /// Records the end of an event's call.
    package mutating func eventEnded(_ outcome: Outcome, intended: UInt64, end: UInt64) {
        events.outcomes[outcome, default: 0] += 1
        if keepsTrace { trace.append(TraceEntry(intended: intended, latency: end - intended, outcome: outcome)) }
        guard case .status = outcome else { return }
        lastReply = max(lastReply, end)
        events.latency.record(min(end - intended, Self.longest))
    }

    /// Records the content of a reply with status 200; nil: it is not a recommendation.
    mutating func read(_ facts: ReplyFacts?) {
        guard let facts else {
            unreadable += 1
            return
        }
        if facts.isByPopularity { byPopularity += 1 }
        historyUsed += facts.historyUsed
        historyCached += facts.historyCached
        unknownItems += facts.unknownItems
    }

    /// Adds another worker's counts of the same run.
    package mutating func add(_ other: LoadRecorder) {
        outcomes.merge(other.outcomes, uniquingKeysWith: +)
        latency.add(other.latency)
        admittedLatency.add(other.admittedLatency)
        serviceTime.add(other.serviceTime)
        refusedLatency.add(other.refusedLatency)
        lag.add(other.lag)
        good += other.good
        unreadable += other.unreadable
        byPopularity += other.byPopularity
        historyUsed += other.historyUsed
        historyCached += other.historyCached
        unknownItems += other.unknownItems
        begun += other.begun
        events.begun += other.events.begun
        events.outcomes.merge(other.events.outcomes, uniquingKeysWith: +)
        events.latency.add(other.events.latency)
        returning += other.returning
        connectionWaits += other.connectionWaits
        unsent += other.unsent
        connectionsOpened += other.connectionsOpened
        bytesSent += other.bytesSent
        bytesReceived += other.bytesReceived
        lastReply = max(lastReply, other.lastReply)
        trace += other.trace
    }

    /// Number of replies of any status.
    package var answered: Int { Int(clamping: latency.totalCount) }

    /// Number of requests with this outcome.
    package func count(_ outcome: Outcome) -> Int { outcomes[outcome] ?? 0 }

    /// Number of replies by status, ascending.
    package var statuses: [(status: Int, count: Int)] {
        outcomes.compactMap { outcome, count in
            if case .status(let status) = outcome { (status, count) } else { nil }
        }.sorted { $0.status < $1.status }
    }
}

/// Results of events sent in their own calls.
package struct EventRecord: Sendable {
    package fileprivate(set) var begun = 0
    /// Number of calls by outcome.
    package fileprivate(set) var outcomes: [Outcome: Int] = [:]
    /// Nanoseconds from when an event was due to the end of the reply, whatever its status.
    package fileprivate(set) var latency = LoadRecorder.histogram()

    /// Number of acknowledged events.
    package var acknowledged: Int { outcomes[.status(200)] ?? 0 }

    /// The outcomes by name.
    package var table: [(name: String, count: Int)] {
        outcomes.map { ($0.key.name, $0.value) }.sorted { $0.0 < $1.0 }
    }
}
