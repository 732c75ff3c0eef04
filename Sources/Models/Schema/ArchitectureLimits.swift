// Limits of configurations, shared by all architectures: far beyond any real model, and low enough that no count of
// bytes, elements or operations overflows.

/// Ranges of dimensions.
package enum ArchitectureLimit {
    /// A width: D, a feed-forward's hidden width, heads times their dimension.
    package static let dimension = 1...65_536
    package static let layers = 1...1024
    package static let heads = 1...1024
    /// Events of a window, rows of a position table.
    package static let length = 1...65_536
    package static let timeBuckets = 1...65_536
    /// Rows are numbered by Int32 everywhere; row 0 is padding.
    package static let rows = 2...Int(Int32.max)
}
