// The bytes of a scrape: Prometheus' text format 0.0.4 and OpenMetrics 1.0, which differ in a counter's family name, in
// escaping, in units and in the closing line. Filled by the registry's families; knows nothing of where values come from.

/// Name and rendered labels of one series, ready to be written once per sample.
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

    /// Both formats escape backslash, double quote and line feed in label values.
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

/// One scrape being written.
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

    /// A sample with a whole value.
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

    /// The text format leaves double quotes in help alone; OpenMetrics escapes them.
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

    /// Swift's shortest form is what both formats read (`0.005`, `1.0`, `5e-05`), except for what is not finite.
    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value.description
    }
}
