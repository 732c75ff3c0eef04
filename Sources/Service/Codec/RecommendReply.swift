// What the engine answered, in the reply's terms. Plain values; written by `RecommendCodec`.

/// The answer to one call.
package struct RecommendReply: Sendable, Equatable {
    package var requestID: String
    package var model: Model
    /// The catalogue rows of the items, best or next first; (K).
    package var rows: [Int32]
    /// Their scores; (K).
    package var scores: [Float]
    package var source: Source
    /// How many known events of the history the model saw.
    package var historyUsed: Int
    /// How many of them came from the user's cached state.
    package var historyCached: Int
    /// Index of the first of them among the known events; nil where the window does not move by strides.
    package var historyStart: Int?
    /// How many ids of the call the catalogue does not know.
    package var unknownItems: Int
    /// Whether fewer items were eligible than asked for.
    package var exhausted: Bool
    package var timing: Timing
    /// Whether the history is the store's and not the caller's.
    package var isHistoryStored = false

    /// A reply with as many scores as rows.
    package init(
        requestID: String,
        model: Model,
        rows: [Int32],
        scores: [Float],
        source: Source,
        historyUsed: Int,
        historyCached: Int,
        historyStart: Int? = nil,
        unknownItems: Int,
        exhausted: Bool,
        timing: Timing
    ) {
        precondition(rows.count == scores.count, "every item has a score")
        self.requestID = requestID
        self.model = model
        self.rows = rows
        self.scores = scores
        self.source = source
        self.historyUsed = historyUsed
        self.historyCached = historyCached
        self.historyStart = historyStart
        self.unknownItems = unknownItems
        self.exhausted = exhausted
        self.timing = timing
    }

    /// Which bundle answered.
    package struct Model: Sendable, Equatable {
        package var name: String
        package var version: String

        /// A bundle's name and version.
        package init(name: String, version: String) {
            self.name = name
            self.version = version
        }
    }

    /// Where the items come from.
    package enum Source: String, Sendable {
        case model
        /// The catalogue's popularity, for a history without a known item.
        case popularity
    }

    /// How long the parts of the way took; written in milliseconds, to the microsecond.
    package struct Timing: Sendable, Equatable {
        /// From arrival to the start of the work.
        package var queue: Duration
        package var prefill: Duration
        package var decode: Duration
        /// From arrival to the reply.
        package var total: Duration

        /// The times of one request.
        package init(queue: Duration, prefill: Duration, decode: Duration, total: Duration) {
            self.queue = queue
            self.prefill = prefill
            self.decode = decode
            self.total = total
        }
    }
}

/// What one request of a batch came to.
package enum BatchResult: Sendable, Equatable {
    case reply(RecommendReply)
    case problem(ProblemDetails)
}
