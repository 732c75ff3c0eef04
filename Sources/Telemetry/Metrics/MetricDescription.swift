// A metric family's name, unit and help, with the naming rules, which are checked once, when the metric is created.

/// The type of a family's series.
enum MetricKind: String, Sendable {
    case counter, gauge, histogram
}

/// Name, help, unit and label names of a family. Violating the rules is a programmer error: names are written in the
/// source and never come from outside.
struct MetricDescription: Sendable, Equatable {
    /// The name in Prometheus' text format: a counter's ends in `_total`.
    let name: String
    let help: String
    /// The base unit, which is also the name's suffix: `seconds`, `bytes`.
    let unit: String?
    let kind: MetricKind
    let labels: [String]

    init(name: String, help: String, unit: String?, kind: MetricKind, labels: [String]) {
        precondition(Self.isName(name), "metric name \(name) is not made of letters, digits and '_'")
        precondition(!help.isEmpty, "\(name) has no help text")
        precondition(
            name.hasSuffix("_total") == (kind == .counter),
            "\(name): counters, and only counters, end in _total"
        )
        for reserved in ["_count", "_sum", "_bucket", "_created"] {
            precondition(!name.hasSuffix(reserved), "\(name) ends in \(reserved), which a histogram's series use")
        }
        precondition(Set(labels).count == labels.count, "\(name) has the same label twice")
        for label in labels {
            precondition(
                Self.isName(label) && !label.hasPrefix("__") && label != "le",
                "\(name) has a bad label \(label)"
            )
        }
        self.name = name
        self.help = help
        self.unit = unit
        self.kind = kind
        self.labels = labels
        if let unit {
            precondition(familyName.hasSuffix("_" + unit), "\(name) does not carry its unit \(unit)")
        }
    }

    /// The family's name in OpenMetrics: a counter's lacks `_total`.
    var familyName: String { kind == .counter ? String(name.dropLast("_total".utf8.count)) : name }

    // A colon would be valid in a metric name but is reserved for recording rules.
    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }
}
