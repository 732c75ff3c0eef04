// The bytes of a scrape: Prometheus' text format 0.0.4 or OpenMetrics 1.0, which differ in counters' family names,
// escaping, units and the last line. Written by the registry's families; independent of where values come from.

/// Name and rendered labels of one series, built once and written with every sample.
struct SeriesName {
    let name: String
    /// `a="b",c="d"`, escaped, without braces.
    let labels: String

    init(_ description: MetricDescription, values: [String]) {
        name = description.name
        labels = zip(description.labels, values)
            .map { label, value in "\(label)=\"\(Self.escaped(value))\"" }
            .joined(separator: ",")
    }

    /// Both formats escape backslashes, double quotes and line feeds in label values.
    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// A scrape in progress.
struct Exposition {
    let format: MetricsFormat
    private(set) var bytes: [UInt8] = []

    init(_ format: MetricsFormat) {
        self.format = format
        bytes.reserveCapacity(16 * 1024)
    }

    /// The lines that precede a family's samples.
    mutating func family(_ description: MetricDescription) {
        let name = format == .openMetrics ? description.familyName : description.name
        append("# HELP ", name, " ", escapedHelp(description.help), "\n")
        append("# TYPE ", name, " ", description.kind.rawValue, "\n")
        if let unit = description.unit, format == .openMetrics {
            append("# UNIT ", name, " ", unit, "\n")
        }
    }

    /// A sample with an integer value.
    mutating func sample(_ series: SeriesName, suffix: String = "", value: some BinaryInteger) {
        line(series, suffix: suffix, upperBound: nil, value: String(value))
    }

    /// A sample with a fractional value.
    mutating func sample(_ series: SeriesName, suffix: String = "", value: Double) {
        line(series, suffix: suffix, upperBound: nil, value: Self.number(value))
    }

    /// A histogram's bucket: `upperBound` becomes the label `le`.
    mutating func sample(_ series: SeriesName, suffix: String, upperBound: Double, value: UInt64) {
        line(series, suffix: suffix, upperBound: upperBound, value: String(value))
    }

    /// Closes the text; nothing may follow.
    mutating func finish() {
        if format == .openMetrics { append("# EOF\n") }
    }

    private mutating func line(_ series: SeriesName, suffix: String, upperBound: Double?, value: String) {
        append(series.name, suffix)
        if let upperBound {
            let separator = series.labels.isEmpty ? "" : ","
            append("{", series.labels, separator, "le=\"", Self.number(upperBound), "\"}")
        } else if !series.labels.isEmpty {
            append("{", series.labels, "}")
        }
        append(" ", value, "\n")
    }

    private mutating func append(_ parts: String...) {
        for part in parts { bytes.append(contentsOf: part.utf8) }
    }

    /// The text format does not escape double quotes in help texts; OpenMetrics does.
    private func escapedHelp(_ help: String) -> String {
        var escaped = ""
        for scalar in help.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where format == .openMetrics: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// Swift's shortest form is valid in both formats (`0.005`, `1.0`, `5e-05`), except for non-finite values.
    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value.description
    }
}
