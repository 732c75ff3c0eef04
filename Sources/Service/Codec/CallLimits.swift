// The limits of a call, from the section `limits` of the configuration.

/// The most that a call may request.
package struct CallLimits: Sendable, Equatable {
    /// What to answer when a request would be refused.
    package enum Fallback: String, Sendable, CaseIterable {
        /// The refusal itself.
        case none
        /// The most popular items under the same filters.
        case popularity
    }

    /// `k` if the call has none; at most `maxK`.
    package var defaultK = 10
    /// The fallback if the call has none.
    package var fallback = Fallback.none
    /// The largest `k`.
    package var maxK = 1_000
    /// The largest number of events in a history, including unknown items.
    package var maxHistory = 10_000
    /// The largest number of entries in each list of `exclude` and `allow`.
    package var maxListed = 10_000
    /// The largest number of requests in a batch.
    package var maxBatch = 256
    /// The largest number of candidates of a call, including unknown ones.
    package var maxCandidates = 2_048
    /// The largest width of a search over token paths.
    package var maxBeams = 1_000
    /// Whether a history may be looked up in the user store instead of being sent.
    package var hasStore = false

    /// The latest time: the last second of the year 9999. A later one is almost always in milliseconds, and would make
    /// all events seem equally new.
    package static let lastSecond: Int64 = 253_402_300_799

    /// The error sentence for a later time.
    ///
    /// - Parameter path: the field.
    static func afterLastSecond(_ path: String) -> String {
        "\(path) lies after the year 9999; times are in seconds since 1970, and this looks like milliseconds"
    }

    /// The largest number of `prompt_tokens`. A model's window is usually smaller.
    static let maxPromptTokens = 1 << 20

    /// The largest `deadline_ms`, one day: longer than any request lives, and far from overflowing a nanosecond clock.
    package static let maxDeadlineMilliseconds = 86_400_000
}
