// The duration of property tests.

import Foundation

/// Rounds of a property test: GENREC_PROPERTY_RUNS if set, otherwise few enough for daily runs.
func propertyRuns(default rounds: Int) -> Int {
    ProcessInfo.processInfo.environment["GENREC_PROPERTY_RUNS"].flatMap(Int.init) ?? rounds
}
