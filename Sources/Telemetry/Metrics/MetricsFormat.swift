// Chooses the exposition format from a scraper's `Accept` field (RFC 9110 §12.5.1).

/// A format of the metrics page.
package enum MetricsFormat: Sendable, Equatable, CaseIterable {
    /// Prometheus' text format 0.0.4.
    case text
    /// OpenMetrics 1.0.
    case openMetrics

    /// The value of `Content-Type`.
    package var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The format that an `Accept` value prefers; nil if it accepts neither (406).
    ///
    /// The most specific range that matches a format gives its quality. Equal qualities go to OpenMetrics if it was
    /// named, otherwise to the text format. Without a value, everything is acceptable, which means text. A malformed
    /// element matches nothing.
    package static func negotiate(accept: String?) -> MetricsFormat? {
        guard let accept, !accept.isEmpty else { return .text }
        let ranges = splitList(accept[...], at: ",").compactMap(MediaRange.init)
        let text = preference(for: .text, in: ranges)
        let openMetrics = preference(for: .openMetrics, in: ranges)
        if text.quality <= 0, openMetrics.quality <= 0 { return nil }
        if text.quality == openMetrics.quality {
            return openMetrics.specificity >= .type ? .openMetrics : .text
        }
        return openMetrics.quality > text.quality ? .openMetrics : .text
    }

    private var mediaType: (type: String, subtype: String, version: String) {
        switch self {
        case .text: ("text", "plain", "0.0.4")
        case .openMetrics: ("application", "openmetrics-text", "1.0.0")
        }
    }

    private static func preference(
        for format: MetricsFormat,
        in ranges: [MediaRange]
    ) -> (specificity: Specificity, quality: Double) {
        var best = (specificity: Specificity.none, quality: 0.0)
        for range in ranges {
            let specificity = range.specificity(for: format.mediaType)
            if specificity > best.specificity {
                best = (specificity, range.quality)
            } else if specificity == best.specificity, specificity != .none {
                best.quality = max(best.quality, range.quality)
            }
        }
        return best
    }
}

/// How specifically a range names a format.
private enum Specificity: Int, Comparable {
    case none, anything, anySubtype, type, version

    static func < (left: Specificity, right: Specificity) -> Bool { left.rawValue < right.rawValue }
}

/// One element of an `Accept` value. Only the parameters `version` and `q` matter: the others (`charset`, `escaping`)
/// do not change the output.
private struct MediaRange {
    let type: String
    let subtype: String
    let version: String?
    let quality: Double

    init?(_ element: Substring) {
        var parts = splitList(element, at: ";")
        guard !parts.isEmpty else { return nil }
        let names = parts.removeFirst().split(separator: "/", omittingEmptySubsequences: false)
        guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty else { return nil }
        type = names[0].lowercased()
        subtype = names[1].lowercased()
        var version: String?
        var quality = 1.0
        for part in parts {
            guard let equals = part.firstIndex(of: "=") else { continue }
            let value = part[part.index(after: equals)...]
            switch part[..<equals].lowercased() {
            case "q":
                guard let parsed = Self.quality(value) else { return nil }
                quality = parsed
            case "version":
                version = String(value.first == "\"" && value.count > 1 ? value.dropFirst().dropLast() : value)
            default: continue
            }
        }
        self.version = version
        self.quality = quality
    }

    func specificity(for format: (type: String, subtype: String, version: String)) -> Specificity {
        if type == "*", subtype == "*" { return .anything }
        guard type == format.type else { return .none }
        if subtype == "*" { return .anySubtype }
        guard subtype == format.subtype else { return .none }
        guard let version else { return .type }
        return version == format.version ? .version : .none
    }

    /// RFC 9110 §12.4.2: 0 to 1 with at most three decimals.
    private static func quality(_ text: Substring) -> Double? {
        guard let first = text.utf8.first, first == UInt8(ascii: "0") || first == UInt8(ascii: "1"),
            text.utf8.count <= 5,
            let value = Double(text), value <= 1
        else { return nil }
        return text.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (0x30...0x39).contains($0) } ? value : nil
    }
}

/// The elements of a list, trimmed, without empty ones (RFC 9110 §5.6.1).
private func splitList(_ text: Substring, at separator: Character) -> [Substring] {
    text.split(separator: separator).compactMap { element in
        var element = element
        while let first = element.first, first == " " || first == "\t" { element.removeFirst() }
        while let last = element.last, last == " " || last == "\t" { element.removeLast() }
        return element.isEmpty ? nil : element
    }
}
