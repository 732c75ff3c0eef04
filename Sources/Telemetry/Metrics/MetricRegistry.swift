// Creates metrics and reads them for a scrape. Each process creates one registry at start-up and passes it to the code
// that measures. Handling a request uses only its instruments.

import Locking

/// The counters of one metric name.
package typealias CounterFamily = MetricFamily<Counter>
/// The gauges of one metric name.
package typealias GaugeFamily = MetricFamily<Gauge>
/// The histograms of one metric name.
package typealias HistogramFamily = MetricFamily<Histogram>

/// All metrics of the process.
///
/// Names are `snake_case` in base units; a counter's ends in `_total`. Creating the same metric again (same name, kind,
/// labels, help and unit) returns the first one. The same name with another description is a programmer error, and so
/// is a name that breaks the rules.
package final class MetricRegistry: Sendable {
    /// The default maximum of series per family.
    package static let defaultSeriesLimit = 1_000

    /// Keyed by the OpenMetrics family name, so that a counter `x_total` and a gauge `x` clash.
    private let families = Lock<[String: any AnyMetricFamily]>([:])

    /// An empty registry.
    package init() {}

    /// A counter without labels.
    package func counter(_ name: String, help: String, unit: String? = nil) -> Counter {
        counter(name, help: help, unit: unit, labels: []).instrument([])
    }

    /// Counters with labels, one per combination of values.
    package func counter(
        _ name: String,
        help: String,
        unit: String? = nil,
        labels: [String],
        seriesLimit: Int = defaultSeriesLimit
    ) -> CounterFamily {
        let description = MetricDescription(name: name, help: help, unit: unit, kind: .counter, labels: labels)
        return family(description, seriesLimit: seriesLimit) { Counter() }
    }

    /// A counter without labels whose value is stored elsewhere; `read` runs at every scrape and must not block.
    package func counter(
        _ name: String,
        help: String,
        unit: String? = nil,
        read: @escaping @Sendable () -> Double?
    ) {
        counter(name, help: help, unit: unit, labels: []).observe([], read)
    }

    /// A gauge without labels.
    package func gauge(_ name: String, help: String, unit: String? = nil) -> Gauge {
        gauge(name, help: help, unit: unit, labels: []).instrument([])
    }

    /// Gauges with labels, one per combination of values.
    package func gauge(
        _ name: String,
        help: String,
        unit: String? = nil,
        labels: [String],
        seriesLimit: Int = defaultSeriesLimit
    ) -> GaugeFamily {
        let description = MetricDescription(name: name, help: help, unit: unit, kind: .gauge, labels: labels)
        return family(description, seriesLimit: seriesLimit) { Gauge() }
    }

    /// A gauge without labels whose value is stored elsewhere; `read` runs at every scrape and must not block.
    package func gauge(
        _ name: String,
        help: String,
        unit: String? = nil,
        read: @escaping @Sendable () -> Double?
    ) {
        gauge(name, help: help, unit: unit, labels: []).observe([], read)
    }

    /// A histogram without labels.
    package func histogram(
        _ name: String,
        help: String,
        unit: String? = nil,
        buckets: HistogramBuckets = .durations
    ) -> Histogram {
        histogram(name, help: help, unit: unit, buckets: buckets, labels: []).instrument([])
    }

    /// Histograms with labels, one per combination of values. If created again, they keep their first buckets.
    package func histogram(
        _ name: String,
        help: String,
        unit: String? = nil,
        buckets: HistogramBuckets = .durations,
        labels: [String],
        seriesLimit: Int = defaultSeriesLimit
    ) -> HistogramFamily {
        let description = MetricDescription(name: name, help: help, unit: unit, kind: .histogram, labels: labels)
        return family(description, seriesLimit: seriesLimit) { Histogram(buckets: buckets) }
    }

    /// All metrics with their current values, in `format`, families sorted by name.
    package func exposition(_ format: MetricsFormat) -> [UInt8] {
        let sorted = families.withLock { $0 }.sorted { $0.key < $1.key }
        var exposition = Exposition(format)
        for (_, family) in sorted { family.write(to: &exposition) }
        exposition.finish()
        return exposition.bytes
    }

    private func family<Instrument: ExposedInstrument>(
        _ description: MetricDescription,
        seriesLimit: Int,
        make: @escaping @Sendable () -> Instrument
    ) -> MetricFamily<Instrument> {
        families.withLock { families in
            if let known = families[description.familyName] {
                guard known.description == description, let family = known as? MetricFamily<Instrument> else {
                    preconditionFailure("metric \(description.name) is already there with another description")
                }
                return family
            }
            let family = MetricFamily(description, seriesLimit: seriesLimit, make: make)
            families[description.familyName] = family
            return family
        }
    }
}
