// A number that only grows: requests answered, bytes sent. Created by `MetricRegistry`, held by its user.

import Synchronization

/// A count of events since the process started.
///
/// Incrementing is one relaxed atomic add: wait-free, from any thread, in any order. Exposed as an integer; wraps after
/// 2⁶⁴ events.
package final class Counter: ScalarInstrument, ExposedInstrument {
    private let count = Atomic<UInt64>(0)

    init() {}

    /// Counts one event.
    package func increment() {
        count.wrappingAdd(1, ordering: .relaxed)
    }

    /// Counts `amount` events; zero and negative amounts have no effect, because a counter never decreases.
    package func increment(by amount: Int) {
        guard amount > 0 else { return }
        count.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    /// The count so far.
    package var value: UInt64 { count.load(ordering: .relaxed) }

    func write(_ series: SeriesName, to exposition: inout Exposition) {
        exposition.sample(series, value: value)
    }
}
