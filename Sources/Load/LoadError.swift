// Faults that prevent a load test from running. Once it runs, failures are outcomes of requests, which are counted.

/// Why a load test cannot run, and what to do, in one sentence.
package struct LoadError: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
