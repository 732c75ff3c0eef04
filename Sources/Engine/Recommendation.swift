// What the engine is asked and what it answers. Everything is in catalogue rows: ids are Service's business.

package import Catalogue
package import Compute

/// How urgent a request is: a lower level yields to a higher one for a bounded time, see `Scheduler`.
package enum Priority: String, Sendable, Hashable, CaseIterable {
    case high, normal, low
}

/// What `count` items means.
package enum RecommendationMode: Sendable, Equatable {
    /// The best next items.
    case topK
    /// Items one after another, each fed back before the next is generated; nil: greedily.
    case sequence(Sampling?)
    /// The scores of these rows, none of them twice, in their order. Neither `count` nor `eligibility` plays a role.
    case rank([Int32])

    /// The modes that a caller may name.
    package enum Name: String, Sendable, CaseIterable {
        case topK = "top_k"
        case sequence
    }

    /// Whether each time it is asked something else is drawn.
    fileprivate var isRandom: Bool {
        if case .sequence(let sampling?) = self { return sampling.seed == nil }
        return false
    }
}

/// What a request says of the search for items that are paths of tokens. Without a meaning for other models.
package struct PathOptions: Sendable, Equatable {
    /// How many paths are followed: one number, or one a level; nil: as many as the bundle says, or as items are wanted.
    package var widths: [Int]?
    /// The whole prompt; nil: the history as the bundle's template lays it out.
    package var prompt: [Int32]?

    package init() {}
}

/// When a request came.
package struct Arrival: Sendable, Equatable {
    /// When its last byte had arrived.
    package var instant: Instant
    /// Seconds since the epoch.
    package var time: Int64

    package init(_ instant: Instant, time: Int64) {
        self.instant = instant
        self.time = time
    }
}

/// A request for items, in catalogue rows. The codec reads into it, the engine computes it, and nothing in between copies it into
/// another form.
package struct RecommendationRequest: Sendable, Equatable {
    /// Names the user whose state is kept; nil: nobody is named.
    package var userID: String?
    /// Catalogue rows, oldest first; may be longer than the model's window. Unknown items are already gone.
    package var history: [Int32]
    /// Seconds since the epoch, one an item, never decreasing; nil: the caller sent none.
    package var timestamps: [Int64]?
    /// Fingerprints of what was done with each item, 0 for nothing; empty where no event says. They decide what of the
    /// user's state may be used again, and no result depends on them.
    package var actions: [UInt64]
    /// The time to recommend for, in seconds since the epoch. It may lie before the newest event.
    package var requestTime: Int64
    /// How many items are wanted, at least 1.
    package var count: Int
    package var mode: RecommendationMode
    package var eligibility: Eligibility
    package var paths = PathOptions()
    package var priority: Priority
    /// When the request's last byte had arrived.
    package var arrival: Instant
    /// After this nobody waits for the answer any more.
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

    /// Whether both are answered by the same items with the same scores, and leave the same behind: all is equal but when
    /// they came, how urgent they are, and until when they wait.
    package func asksTheSame(as other: RecommendationRequest) -> Bool {
        userID == other.userID && requestTime == other.requestTime && count == other.count && mode == other.mode
            && history == other.history && timestamps == other.timestamps && actions == other.actions
            && eligibility == other.eligibility && paths == other.paths && !mode.isRandom
    }

    /// Lets nobody wait longer than so many milliseconds from the arrival.
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

    /// Why the model did not answer though there is a history.
    package enum Degradation: String, Sendable, CaseIterable {
        case queueFull = "queue_full"
        /// The deadline could not be met.
        case deadline
        /// The deadline passed in the queue.
        case expired
        case device
        /// The store of users, which has the history, was away or slow.
        case store
    }

    /// Best first, ties toward the smaller row; in mode `sequence` as they were generated. The score is the model's, or
    /// the popularity of a cold start.
    package var items: [ScoredRow]
    package var source: Source
    /// nil: nothing stood in the model's way.
    package var degradation: Degradation?
    /// For each item events of the history, with what they add to its score, the greatest first; empty: nobody asked.
    package var explanations: [[ScoredRow]] = []
    /// Events of the history that the model saw.
    package var historyUsed: Int
    /// How many of them did not have to be computed.
    package var historyCached: Int
    /// Index of the first of them among the known events, where the window moves by strides; else nil.
    package var historyStart: Int?
    /// Fewer items were eligible than asked for.
    package var exhausted: Bool
    /// Of a search over token paths.
    package var paths: PathFacts?
    package var timing: Timing

    /// What a search over token paths was.
    package struct PathFacts: Sendable, Equatable {
        /// The width of each level.
        package var beams: [Int]
        /// Whether no other path could have been better; nil: the search is not over.
        package var isExact: Bool?
        package var promptTokens = 0
        /// How many of them did not have to be computed.
        package var tokensCached = 0

        package init(beams: [Int], isExact: Bool? = nil) {
            self.beams = beams
            self.isExact = isExact
        }
    }

    /// Where the time went, in nanoseconds. A batch's phases count in full for each of its requests. `prefill` is the
    /// first pass's encoding, `decode` its selection and all passes after it.
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
