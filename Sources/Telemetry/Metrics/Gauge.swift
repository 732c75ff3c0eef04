// A number that goes up and down: open connections, bytes held. Created by `MetricRegistry`, held by its user. A value
// already stored elsewhere is better read by a callback (`MetricRegistry.gauge(_:help:read:)`).

import Synchronization

/// The current value of an integer quantity.
///
/// An integer, because everything this server sets is a count or a number of bytes, and one wait-free atomic add
/// changes an integer where a floating-point number needs a compare-and-swap loop. Fractional quantities are read by a
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

    /// The current value.
    package var value: Int { current.load(ordering: .relaxed) }

    func write(_ series: SeriesName, to exposition: inout Exposition) {
        exposition.sample(series, value: value)
    }
}
