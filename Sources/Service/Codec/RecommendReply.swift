// A reply: the engine's answer and further facts for the caller. Encoded by `RecommendCodec`.

package import Catalogue
package import Compute
package import Engine

/// The answer to one call.
package struct RecommendReply: Sendable, Equatable {
    package var recommendation: Recommendation
    package var requestID: String
    package var model: Model
    /// How many ids of the call the catalogue does not know, without candidates.
    package var unknownItems: Int
    /// Nanoseconds from arrival to the reply.
    package var totalNanoseconds: UInt64
    /// Of a call for candidates' scores.
    package var ranking: Ranking?
    /// Whether each item's tokens are written.
    package var includesTokens = false
    /// Whether it is written if no other path could have been better.
    package var includesExact = false
    /// Whether the history is the store's and not the caller's.
    package var isHistoryStored = false
    /// Why the catalogue's other items are not in the reply; nil: the reply has as many as requested.
    package var removals: Removals?

    package init(
        _ recommendation: Recommendation,
        requestID: String,
        model: Model,
        unknownItems: Int,
        totalNanoseconds: UInt64,
        ranking: Ranking? = nil
    ) {
        self.recommendation = recommendation
        self.requestID = requestID
        self.model = model
        self.unknownItems = unknownItems
        self.totalNanoseconds = totalNanoseconds
        self.ranking = ranking
    }

    /// The items in the requested order; see `Ranking.arranged`.
    package var items: [ScoredRow] { ranking?.arranged(recommendation.items) ?? recommendation.items }

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
}

/// The result of one request of a batch.
package enum BatchResult: Sendable, Equatable {
    case reply(RecommendReply)
    case problem(ProblemDetails)
}
