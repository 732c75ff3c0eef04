// Bounds of what a configuration may say, shared by all architectures, and the checks that name a value by its JSON key.
// They are far beyond any model, and low enough that no count of bytes, elements or operations overflows.

internal import JSON

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

    /// - Throws: `JSONError` for the first value that is out of its range, by its key.
    static func check(_ values: [(key: String, value: Int, range: ClosedRange<Int>)]) throws(JSONError) {
        for (key, value, range) in values where !range.contains(value) {
            throw JSONError("\(key) must be from \(range.lowerBound) to \(range.upperBound)")
        }
    }

    /// - Throws: `JSONError` for the first constant that is not in (0, 1], by its key.
    static func check(epsilons: [(key: String, value: Double)]) throws(JSONError) {
        for (key, value) in epsilons {
            guard value > 0, value <= 1 else {
                throw JSONError("\(key) must be greater than 0 and at most 1")
            }
        }
    }
}
