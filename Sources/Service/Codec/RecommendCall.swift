// What a body asks for: the engine's request, and what the reply and the metrics want to know beside it.

package import Engine
package import Users

/// One `POST /recommend` or `POST /rank`. Made by `RecommendCodec`.
package struct RecommendCall: Sendable, Equatable {
    /// Catalogue rows instead of ids: all events of known items, also those before a model's window.
    package var request: RecommendationRequest
    /// How many events the caller sent, with those of unknown items.
    package var eventCount = 0
    /// How many ids the catalogue does not know, in the history, `exclude` and `allow` together. Unknown tags are not counted:
    /// a tag that no item has is no mistake.
    package var unknownItems = 0
    /// What is answered in place of a refusal; of a call for candidates' scores, nothing.
    package var fallback = CallLimits.Fallback.none
    /// Whether the reply is to say which events raised the items' scores.
    package var explains = false
    /// Whether items are wanted one by one as they are generated.
    package var stream = false
    /// The candidates of `POST /rank` as the caller named them; nil: the caller named none.
    package var ranking: Ranking?

    /// The first field that is only for models with semantic ids; nil: there is none.
    var pathField: CallField?
    /// Whether `beams` was a list.
    var areBeamsListed = false
    /// Whether the tokens of each item are wanted.
    package var includesTokens = false
    /// Whether it is wanted to know if no other path could have been better.
    package var includesExact = false

    /// One of the ids of the history that the catalogue does not know, where it does not know more than 90 % of at least five
    /// events: that is nearly always a caller whose ids have another form. Nil otherwise.
    package var strangeID: String?
    /// Whether the history is to be looked up in the store of users.
    package var asksStore = false
    /// Events that follow the stored ones, in the caller's order.
    package var events: [UserEvent] = []
    /// Whether they are to be kept, too.
    package var storesEvents = false
    /// Why popularity answers and not the model, where that is known before the engine is asked.
    var degradation: Recommendation.Degradation?

    /// A call for the best next items of a user without history.
    package init(_ request: RecommendationRequest) { self.request = request }

    /// Sets `strangeID` to an unknown id, if so many are unknown that it matters.
    ///
    /// - Parameter unknownID: asked for where that is so.
    mutating func noteStrangeness(_ unknownID: @autoclosure () -> String?) {
        if eventCount >= 5, request.history.count * 10 < eventCount { strangeID = unknownID() }
    }
}
