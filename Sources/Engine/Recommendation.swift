// Requests to the engine and its answers. Everything is in catalogue rows; Service translates ids.

package import Catalogue
package import Compute

/// How urgent a request is. A lower level yields to a higher one for a bounded time; see `Scheduler`.
package enum Priority: String, Sendable, Hashable, CaseIterable {
    case high, normal, low
}

/// What a request asks for.
package enum RecommendationMode: Sendable, Equatable {
    /// The best next items.
    case topK
    /// Items one after another, each fed back before the next is generated; nil: greedy.
    case sequence(Sampling?)
    /// The scores of these distinct rows, in their order. `count` and `eligibility` are ignored.
    case rank([Int32])

    /// The modes that a caller may name.
    package enum Name: String, Sendable, CaseIterable {
        case topK = "top_k"
        case sequence
    }

    /// Whether equal requests may have different answers.
    fileprivate var isRandom: Bool {
        if case .sequence(let sampling?) = self { return sampling.seed == nil }
        return false
    }
}

/// Options of a request for the search over token paths. Other models ignore them.
package struct PathOptions: Sendable, Equatable {
    /// Beam widths: one for all levels, or one per level; nil: the bundle's default, or the number of items wanted if
    /// that is larger.
    package var widths: [Int]?
    /// The whole prompt; nil: the history as the bundle's template lays it out.
    package var prompt: [Int32]?

    package init() {}
}

/// When a request arrived.
package struct Arrival: Sendable, Equatable {
    /// When its last byte arrived.
    package var instant: Instant
    /// Seconds since the epoch.
    package var time: Int64

    package init(_ instant: Instant, time: Int64) {
        self.instant = instant
        self.time = time
    }
}

/// A request for items, in catalogue rows. The codec fills it, the engine computes it, and nothing in between converts
/// it.
package struct RecommendationRequest: Sendable, Equatable {
    /// The user whose cached state is used; nil: none.
    package var userID: String?
    /// Catalogue rows, oldest first; may be longer than the model's window. Unknown items have been removed.
    package var history: [Int32]
    /// Seconds since the epoch, one per item, never decreasing; nil: the caller sent none.
    package var timestamps: [Int64]?
    /// Fingerprints of each event's action, 0 for none; empty if no event has one. They decide which cached state may
    /// be reused; results do not depend on them.
    package var actions: [UInt64]
    /// The time to recommend for, in seconds since the epoch. It may precede the newest event.
    package var requestTime: Int64
    /// How many items are wanted, at least 1.
    package var count: Int
    package var mode: RecommendationMode
    package var eligibility: Eligibility
    package var paths = PathOptions()
    package var priority: Priority
    /// When the request's last byte had arrived.
    package var arrival: Instant
    /// After this the answer is no longer needed.
    package var deadline: Instant?

    package init(
        userID: String? = nil,
        history: [Int32],
        timestamps: [Int64]?,
        actions: [UInt64] = [],
        requestTime: Int64,
        count: Int,
        mode: RecommendationMode = .topK,
        eligibility: Eligibility = Eligibility(),
        priority: Priority = .normal,
        arrival: Instant,
        deadline: Instant? = nil
    ) {
        self.userID = userID
        self.history = history
        self.timestamps = timestamps
        self.actions = actions
        self.requestTime = requestTime
        self.count = count
        self.mode = mode
        self.eligibility = eligibility
        self.priority = priority
        self.arrival = arrival
        self.deadline = deadline
    }

    /// Whether both have the same answer, bit for bit, and leave the same cached state: everything is equal except
    /// arrival, priority and deadline.
    package func asksTheSame(as other: RecommendationRequest) -> Bool {
        userID == other.userID && requestTime == other.requestTime && count == other.count && mode == other.mode
            && history == other.history && timestamps == other.timestamps && actions == other.actions
            && eligibility == other.eligibility && paths == other.paths && !mode.isRandom
    }

    /// Limits the deadline to this many milliseconds after the arrival.
    package mutating func limit(toMilliseconds milliseconds: Int) {
        let latest = arrival.advanced(by: UInt64(milliseconds) * 1_000_000)
        deadline = min(deadline ?? latest, latest)
    }
}

/// The answer to a request.
package struct Recommendation: Sendable, Equatable {
    package enum Source: String, Sendable {
        case model
        /// No known event in the history: the catalogue's popularity prior answered.
        case popularity
    }

    /// Why the model did not answer although there is a history.
    package enum Degradation: String, Sendable, CaseIterable {
        case queueFull = "queue_full"
        /// The deadline could not be met.
        case deadline
        /// The deadline passed in the queue.
        case expired
        case device
        /// The user store, which has the history, was unavailable or slow.
        case store
    }

    /// Best first, ties toward the smaller row; in mode `sequence` as they were generated. The score is the model's, or
    /// the popularity of a cold start.
    package var items: [ScoredRow]
    package var source: Source
    /// nil if nothing kept the model from answering.
    package var degradation: Degradation?
    /// For each item, the events of the history that raise its score, with their effects, greatest first; empty if not
    /// requested.
    package var explanations: [[ScoredRow]] = []
    /// Events of the history that the model saw.
    package var historyUsed: Int
    /// How many of those were found in the cache.
    package var historyCached: Int
    /// Index of the first event that the model saw among the known events, if the window moves by strides; otherwise
    /// nil.
    package var historyStart: Int?
    /// Fewer items were eligible than asked for.
    package var exhausted: Bool
    /// Set for a search over token paths.
    package var paths: PathFacts?
    package var timing: Timing

    /// Facts about a search over token paths.
    package struct PathFacts: Sendable, Equatable {
        /// The beam width of each level.
        package var beams: [Int]
        /// Whether no other path could have been better; nil while the search runs.
        package var isExact: Bool?
        package var promptTokens = 0
        /// How many of those were found in the cache.
        package var tokensCached = 0

        package init(beams: [Int], isExact: Bool? = nil) {
            self.beams = beams
            self.isExact = isExact
        }
    }

    /// Times of the phases, in nanoseconds. A batch's phases count in full for each of its requests. `prefill` is the
    /// encoding of the first pass; `decode` is its selection and all later passes.
    package struct Timing: Sendable, Equatable {
        package var queue: UInt64 = 0
        package var prefill: UInt64 = 0
        package var decode: UInt64 = 0

        package init(queue: UInt64 = 0, prefill: UInt64 = 0, decode: UInt64 = 0) {
            self.queue = queue
            self.prefill = prefill
            self.decode = decode
        }
    }

    package init(
        items: [ScoredRow],
        source: Source,
        historyUsed: Int,
        historyCached: Int = 0,
        historyStart: Int? = nil,
        exhausted: Bool,
        timing: Timing
    ) {
        self.items = items
        self.source = source
        self.historyUsed = historyUsed
        self.historyCached = historyCached
        self.historyStart = historyStart
        self.exhausted = exhausted
        self.timing = timing
    }
}
