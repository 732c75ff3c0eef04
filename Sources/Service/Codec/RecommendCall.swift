// A decoded call: the engine's request, and further facts for the reply and the metrics.

package import Engine
package import Users

/// One `POST /recommend` or `POST /rank`. Made by `RecommendCodec`.
package struct RecommendCall: Sendable, Equatable {
    /// Catalogue rows instead of ids: all events of known items, also those before a model's window.
    package var request: RecommendationRequest
    /// How many events the caller sent, including those of unknown items.
    package var eventCount = 0
    /// How many ids in the history, `exclude` and `allow` the catalogue does not know. Unknown tags are not counted: a
    /// tag without items is no mistake.
    package var unknownItems = 0
    /// The answer instead of a refusal; none for a call for candidates' scores.
    package var fallback = CallLimits.Fallback.none
    /// Whether the reply explains which events raised the items' scores.
    package var explains = false
    /// Whether items are sent one by one as they are generated.
    package var stream = false
    /// The candidates of `POST /rank` as the caller named them; nil: the caller named none.
    package var ranking: Ranking?

    /// The first field that requires a model with semantic ids; nil: none.
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
    /// Whether to look up the history in the user store.
    package var asksStore = false
    /// Events that follow the stored ones, in the caller's order.
    package var events: [UserEvent] = []
    /// Whether to store them, too.
    package var storesEvents = false
    /// Why popularity answers instead of the model, if known before the engine is called.
    var degradation: Recommendation.Degradation?

    /// A call for the best next items of a user without history.
    package init(_ request: RecommendationRequest) { self.request = request }

    /// Sets `strangeID` to an unknown id, if so many are unknown that it matters.
    ///
    /// - Parameter unknownID: called only in that case.
    mutating func noteStrangeness(_ unknownID: @autoclosure () -> String?) {
        if eventCount >= 5, request.history.count * 10 < eventCount { strangeID = unknownID() }
    }
}
