// Tests that sweep all cases; an ordinary run takes a sample.

internal import Foundation

package enum LongTests {
    /// Whether every case is wanted: `make test-long` and .ci/run set GENREC_LONG_TESTS=1.
    package static let areWanted = ProcessInfo.processInfo.environment["GENREC_LONG_TESTS"] == "1"
}
