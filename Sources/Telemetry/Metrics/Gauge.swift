// A number that goes up and down: open connections, bytes held. Created by `MetricRegistry`, kept by its user. A value
// that is already stored elsewhere is better read by a callback (`MetricRegistry.gauge(_:help:read:)`).

import Synchronization

/// The present value of a whole quantity.
///
/// Whole, because everything this server sets is a count or a number of bytes, and an integer can be changed wait-free
/// by one atomic add where a floating-point number needs a compare-and-swap loop. A fractional quantity is read by a
/// callback.
package final class Gauge: ScalarInstrument, ExposedInstrument {
    private let current = Atomic<Int>(0)

    init() {}

    /// Replaces the value.
    package func set(_ value: Int) {
        current.store(value, ordering: .relaxed)
    }

    /// Adds `amount`, which may be negative.
    package func add(_ amount: Int) {
        current.wrappingAdd(amount, ordering: .relaxed)
    }

    /// Adds one.
    package func increment() { add(1) }

    /// Subtracts one.
    package func decrement() { add(-1) }

    /// The value now.
    package var value: Int { current.load(ordering: .relaxed) }

    func write(_ series: SeriesName, to exposition: inout Exposition) {
        exposition.sample(series, value: value)
    }
}
