// How long property tests run.

import Foundation

/// Rounds of a property test: GENREC_PROPERTY_RUNS where it is set, else few enough for every day.
func propertyRuns(default rounds: Int) -> Int {
    ProcessInfo.processInfo.environment["GENREC_PROPERTY_RUNS"].flatMap(Int.init) ?? rounds
}
