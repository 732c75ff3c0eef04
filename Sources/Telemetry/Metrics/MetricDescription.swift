// A metric family's name, unit and help, and the naming rules that it must keep. Checked once, when the metric is created.

/// The kind of number that a family's series are.
enum MetricKind: String, Sendable {
    case counter, gauge, histogram
}

/// Name, help, unit and label names of a family. A description that breaks the rules is a programmer error: names are
/// written in the source, never taken from outside.
struct MetricDescription: Sendable, Equatable {
    /// The name as Prometheus' text format has it: a counter's ends in `_total`.
    let name: String
    let help: String
    /// The base unit, which also ends the name: `seconds`, `bytes`.
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

    /// The name of the family as OpenMetrics has it: a counter's without `_total`.
    var familyName: String { kind == .counter ? String(name.dropLast("_total".utf8.count)) : name }

    // A colon would be legal in a metric's name, but is meant for recording rules.
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
