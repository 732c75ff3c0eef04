// Which items a request may be answered with: what it excludes and what alone it allows, in catalogue rows and tags.

/// Which items a request may be answered with.
package struct Eligibility: Sendable, Equatable {
    /// Rows and tags that are allowed; nil: everything in the catalogue. Both empty: nothing.
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
    /// Whether items of the history are excluded: all of it, including the part before the model's window.
    package var excludesSeen = true
    package var allowance: Allowance?
    /// How often a tag may occur; nil: unlimited.
    package var diversity: Diversity?

    package init() {}
}
