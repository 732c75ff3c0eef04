// A decoded call: the engine's request, and what the reply and the metrics need besides.

package import Engine
package import Users

/// One `POST /recommend` or `POST /rank`. Made by `RecommendCodec`.
package struct RecommendCall: Sendable, Equatable {
    /// Has catalogue rows instead of ids: all events of known items, including those before a model's window.
    package var request: RecommendationRequest
    /// How many events the caller sent, including those of unknown items.
    package var eventCount = 0
    /// The number of ids in the history, `exclude` and `allow` that the catalogue does not know. Unknown tags are not
    /// counted: a tag without items is no mistake.
    package var unknownItems = 0
    /// What to answer when the request would be refused; `none` for a call that scores candidates.
    package var fallback = CallLimits.Fallback.none
    /// Whether the reply explains which events raised the items' scores.
    package var explains = false
    /// Whether to stream items one by one as they are generated.
    package var stream = false
    /// The candidates of `POST /rank` as the caller named them; nil for other calls.
    package var ranking: Ranking?

    /// The first field that requires a model with semantic ids; nil: none.
    var pathField: CallField?
    /// Whether `beams` was a list.
    var areBeamsListed = false
    /// Whether the reply has each item's tokens.
    package var includesTokens = false
    /// Whether the reply says if it is exact: no other path could have been better.
    package var includesExact = false

    /// An unknown id of the history if more than 90 % of at least five events are unknown, nil otherwise. The caller's
    /// ids then nearly always have another form than the catalogue's.
    package var strangeID: String?
    /// Whether to look up the history in the user store.
    package var asksStore = false
    /// Events that follow the stored history, in the caller's order.
    package var events: [UserEvent] = []
    /// Whether to store these events.
    package var storesEvents = false
    /// Why popularity answers instead of the model, if known before the engine is asked.
    var degradation: Recommendation.Degradation?

    /// A call for the best next items of a user without history.
    package init(_ request: RecommendationRequest) { self.request = request }

    /// Sets `strangeID` to an unknown id if almost all ids are unknown.
    ///
    /// - Parameter unknownID: evaluated only in that case.
    mutating func noteStrangeness(_ unknownID: @autoclosure () -> String?) {
        if eventCount >= 5, request.history.count * 10 < eventCount { strangeID = unknownID() }
    }
}
