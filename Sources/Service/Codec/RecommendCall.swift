// What a caller asks for, in the server's terms: catalogue rows instead of ids. Plain values; made by `RecommendCodec`.

package import Users

/// One `POST /recommend`.
package struct RecommendCall: Sendable, Equatable {
    /// Names the user's cached state; nil when the caller names nobody.
    package var userID: String?
    /// What the user did, oldest first.
    package var history = History()
    /// The time to recommend for, in seconds since the epoch; nil means now. It may lie before the newest event.
    package var requestTime: Int64?
    /// How many items are wanted, at least one.
    package var k: Int
    package var mode = Mode.topK
    /// How to draw items in mode `sequence`; nil means greedily.
    package var sampling: Sampling?
    package var exclusion = Exclusion()
    /// What may be recommended; nil means everything.
    package var allowance: Allowance?
    /// How long the caller waits for the reply, counted from the request's arrival.
    package var deadlineMilliseconds: Int?
    package var priority = Priority.normal
    /// Whether items are wanted one by one as they are generated.
    package var stream = false
    /// How many ids the catalogue does not know, in the history, `exclude` and `allow` together. Unknown tags are not counted:
    /// a tag that no item has is no mistake.
    package var unknownItems = 0

    /// Whether the history is to be looked up in the store of users.
    package var asksStore = false
    /// Events that follow the stored ones, in the caller's order.
    package var events: [UserEvent] = []
    /// Whether they are to be kept, too.
    package var storesEvents = false

    /// A call for the `k` best next items of a user without history.
    package init(k: Int) { self.k = k }

    /// The events of a user.
    package struct History: Sendable, Equatable {
        /// The rows of the known items, oldest first: all of them, also what lies before a model's window.
        package var rows: [Int32] = []
        /// When each of `rows` happened, in seconds since the epoch, never decreasing; nil when the caller gave no times.
        package var timestamps: [Int64]?
        /// A fingerprint of what was done with each of `rows`, 0 where nothing is said; empty when no event says anything.
        package var actions: [UInt64] = []
        /// How many events the caller sent, with those of unknown items.
        package var eventCount = 0
        /// One of the ids that the catalogue does not know, where it does not know more than 90 % of at least five events: that
        /// is nearly always a caller whose ids have another form. Nil otherwise.
        package var strangeID: String?

        /// Sets `strangeID` to an unknown id, if so many are unknown that it matters.
        mutating func noteStrangeness(_ unknownID: String?) {
            if eventCount >= 5, rows.count * 10 < eventCount { strangeID = unknownID }
        }

        /// No events.
        package init() {}
    }

    /// What `k` items means.
    package enum Mode: String, Sendable, CaseIterable {
        /// The `k` best next items.
        case topK = "top_k"
        /// `k` items one after another, each fed back before the next is generated.
        case sequence
    }

    /// How items are drawn in mode `sequence`.
    package struct Sampling: Sendable, Equatable {
        /// Divides the scores; a normal number above 0.
        package var temperature: Float = 1
        /// The share of probability that the best items must hold together to be drawn from; above 0, at most 1.
        package var topP: Float = 1
        /// Makes the draw repeatable; nil draws differently each time.
        package var seed: Int64?

        /// Draws from the model's own distribution.
        package init() {}
    }

    /// What must not be recommended: an item that is in one of these.
    package struct Exclusion: Sendable, Equatable {
        /// Rows, in the caller's order, possibly repeated.
        package var rows: [Int32] = []
        /// Items with any of these tags.
        package var tags: [Int32] = []
        /// The items of the history.
        package var seen = true

        /// The history's items and nothing else.
        package init() {}
    }

    /// What alone may be recommended: an item that is in one of these. Both may be empty, when the caller named only what the
    /// catalogue does not have; then nothing may.
    package struct Allowance: Sendable, Equatable {
        /// Rows, in the caller's order, possibly repeated.
        package var rows: [Int32] = []
        /// Items with any of these tags.
        package var tags: [Int32] = []

        /// Nothing.
        package init() {}
    }

    /// Who goes first when requests wait.
    package enum Priority: String, Sendable, CaseIterable {
        case high, normal, low
    }
}
