// Faults that keep a load test from running at all. Once it runs, failures are outcomes of requests and are counted.

/// A load test that cannot be run; one sentence says why and what to do.
package struct LoadError: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
