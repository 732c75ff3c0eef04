// A reply: the engine's answer and the facts that the reply adds to it. `RecommendCodec` encodes it.

package import Catalogue
package import Compute
package import Engine

/// The answer to one call.
package struct RecommendReply: Sendable, Equatable {
    package var recommendation: Recommendation
    package var requestID: String
    package var model: Model
    /// The number of the call's ids that the catalogue does not know, except candidates.
    package var unknownItems: Int
    /// Nanoseconds from arrival to the reply.
    package var totalNanoseconds: UInt64
    /// The candidates of a call that scores them.
    package var ranking: Ranking?
    /// Whether the reply has each item's tokens.
    package var includesTokens = false
    /// Whether the reply says if it is exact: no other path could have been better.
    package var includesExact = false
    /// Whether the history comes from the store and not from the caller.
    package var isHistoryStored = false
    /// Why the reply has fewer items than requested, by filter; nil: it has as many.
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

    /// The bundle that answered.
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
