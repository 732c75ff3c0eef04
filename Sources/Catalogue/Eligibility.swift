// The items that a request may be answered with: what it excludes and what it allows, as catalogue rows and tags.

/// The items that a request may be answered with.
package struct Eligibility: Sendable, Equatable {
    /// The only allowed rows and tags; nil: everything in the catalogue. Both empty: nothing.
    package struct Allowance: Sendable, Equatable {
        package var rows: [Int32]
        package var tags: [Int32]

        package init(rows: [Int32], tags: [Int32]) {
            self.rows = rows
            self.tags = tags
        }
    }

    package var excludedRows: [Int32] = []
    package var excludedTags: [Int32] = []
    /// Whether items of the history are excluded, including those before the model's window.
    package var excludesSeen = true
    package var allowance: Allowance?
    /// The limit on items per tag; nil: none.
    package var diversity: Diversity?

    package init() {}
}
