// All series of one metric name: one instrument per combination of label values. Created by `MetricRegistry`.

import Locking

/// An instrument whose series is a single number, so that a callback can replace it: a counter or a gauge.
package protocol ScalarInstrument: AnyObject, Sendable {}

/// An instrument that can write its samples.
protocol ExposedInstrument: AnyObject, Sendable {
    func write(_ series: SeriesName, to exposition: inout Exposition)
}

/// The series of one metric name.
///
/// `with` takes a lock and hashes strings, so call it during set-up and keep the returned instrument for the hot path.
/// Label values come from closed sets (a route's template, a status code, a device's name), never from a caller's text.
/// If a set is not closed after all, `seriesLimit` bounds memory and the scrape: further series are counted in one
/// whose labels are all `other`.
package final class MetricFamily<Instrument: AnyObject & Sendable>: Sendable {
    let description: MetricDescription
    private let seriesLimit: Int
    private let make: @Sendable () -> Instrument
    private let series = Lock<[[String]: Series]>([:])

    private enum Series {
        case instrument(Instrument)
        case callback(@Sendable () -> Double?)
    }

    init(_ description: MetricDescription, seriesLimit: Int, make: @escaping @Sendable () -> Instrument) {
        precondition(seriesLimit > 0, "\(description.name) allows no series")
        self.description = description
        self.seriesLimit = seriesLimit
        self.make = make
    }

    /// The instrument for these label values, in the order of the family's labels; created on first use. A wrong number
    /// of values, or values that a callback already serves, are programmer errors.
    package func with(_ values: String...) -> Instrument { instrument(values) }

    func instrument(_ values: [String]) -> Instrument {
        checkCount(values)
        return series.withLock { series in
            if case .instrument(let known)? = series[values] { return known }
            precondition(series[values] == nil, "\(description.name)\(values) is read by a callback")
            var key = values
            if series.count >= seriesLimit {
                key = values.map { _ in "other" }
                if case .instrument(let known)? = series[key] { return known }
            }
            let created = make()
            series[key] = .instrument(created)
            return created
        }
    }

    /// Removes a series from the exposition, for example of a replaced model. An instrument that is still held keeps
    /// counting but is not shown.
    package func remove(_ values: String...) {
        checkCount(values)
        series.withLock { series in series[values] = nil }
    }

    private func checkCount(_ values: [String]) {
        precondition(
            values.count == description.labels.count,
            "\(description.name) has \(description.labels.count) labels, not \(values.count)"
        )
    }
}

extension MetricFamily where Instrument: ScalarInstrument {
    /// Calls `read` for these label values at every scrape, for values stored elsewhere. It runs on the scraping thread
    /// and must not block; nil omits the series from that scrape. A later callback for the same values replaces it.
    package func observe(_ values: String..., read: @escaping @Sendable () -> Double?) {
        observe(values, read)
    }

    func observe(_ values: [String], _ read: @escaping @Sendable () -> Double?) {
        checkCount(values)
        series.withLock { series in series[values] = .callback(read) }
    }
}

/// A family without its instrument's type, as stored in the registry.
protocol AnyMetricFamily: AnyObject, Sendable {
    var description: MetricDescription { get }
    /// Writes the family's metadata and all its series, sorted by label values.
    func write(to exposition: inout Exposition)
}

extension MetricFamily: AnyMetricFamily where Instrument: ExposedInstrument {
    func write(to exposition: inout Exposition) {
        // Copied, so that callbacks and formatting run outside the lock.
        let snapshot = series.withLock { $0 }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        exposition.family(description)
        for (values, series) in snapshot {
            let name = SeriesName(description, values: values)
            switch series {
            case .instrument(let instrument): instrument.write(name, to: &exposition)
            case .callback(let read):
                if let value = read() { exposition.sample(name, value: value) }
            }
        }
    }
}
