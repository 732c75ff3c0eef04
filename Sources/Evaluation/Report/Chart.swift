// Charts as SVG: axes with ticks and labels, a legend, a tooltip on each point.

internal import Foundation

/// A chart with two axes; a pure value.
struct Chart {
    /// A named group of points.
    struct Series {
        /// A point, optionally with an interval around its value.
        struct Point {
            var x: Double
            var y: Double
            var low: Double?
            var high: Double?
            /// The tooltip.
            var label: String
        }

        var name: String
        var points: [Point]
        /// Whether a line joins the points.
        var isLine = true
        /// Points of a fitted curve to draw with the series.
        var curve: [(x: Double, y: Double)] = []
    }

    /// How the x axis is labelled.
    enum XAxis {
        /// Names at the positions 0, 1, 2 …
        case names([String])
        /// A number on a logarithmic scale, above 0.
        case logarithmic
    }

    var title: String
    var xName: String
    var yName: String
    var xAxis: XAxis
    var series: [Series]
    /// Whether the y axis must include 0.
    var includesZero = true

    private static let width = 860.0
    private static let height = 340.0
    private static let left = 70.0
    private static let right = 16.0
    private static let bottom = 62.0

    /// About five round numbers that cover the range.
    static func ticks(_ low: Double, _ high: Double) -> [Double] {
        guard high > low, (high - low).isFinite else { return [low] }
        let raw = (high - low) / 5
        let magnitude = pow(10, floor(log10(raw)))
        let step = ([1, 2, 2.5, 5, 10].first { $0 * magnitude >= raw } ?? 10) * magnitude
        let first = (low / step).rounded(.down)
        let last = (high / step).rounded(.up)
        guard last - first < 50 else { return [low, high] }
        return stride(from: first, through: last, by: 1).map { $0 * step }
    }

    /// A number with a few significant digits and a unit prefix.
    static func short(_ value: Double) -> String {
        switch abs(value) {
        case 0: "0"
        case 1e9...: String(format: "%.3gG", value / 1e9)
        case 1e6...: String(format: "%.3gM", value / 1e6)
        case 1e4...: String(format: "%.3gk", value / 1e3)
        default: String(format: "%.3g", value)
        }
    }

    private func x(_ value: Double, _ range: ClosedRange<Double>) -> Double {
        let position: Double =
            switch xAxis {
            case .names(let names): (value + 0.5) / Double(max(names.count, 1))
            case .logarithmic:
                range.upperBound > range.lowerBound
                    ? 0.06 + 0.88 * (log(value) - log(range.lowerBound))
                        / (log(range.upperBound) - log(range.lowerBound))
                    : 0.5
            }
        return Self.left + position * (Self.width - Self.left - Self.right)
    }

    /// The `svg` element.
    var svg: String {
        let points = series.flatMap(\.points)
        let xs = points.map(\.x).filter { $0 > 0 && $0.isFinite }
        let xRange = (xs.min() ?? 1)...(xs.max() ?? 1)
        var ys = points.flatMap { [$0.y, $0.low ?? $0.y, $0.high ?? $0.y] }.filter(\.isFinite)
        if includesZero { ys.append(0) }
        let yTicks = Self.ticks(ys.min() ?? 0, max(ys.max() ?? 1, (ys.min() ?? 0) + 1e-9))
        let (low, high) = (yTicks[0], yTicks[yTicks.count - 1])
        let top = 34 + 18 * Double((series.count + 3) / 4)
        func y(_ value: Double) -> Double {
            let share = high > low ? (value - low) / (high - low) : 0.5
            return Self.height - Self.bottom - share * (Self.height - Self.bottom - top)
        }
        var svg = "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\" "
        svg += "aria-label=\"\(ReportPage.escaped(title))\">\n"
        svg += text(Self.left, 16, title, "start", style: "font-weight:600")
        svg += legend
        for tick in yTicks {
            let height = y(tick)
            svg += "<line class=\"grid\" x1=\"\(Self.left)\" x2=\"\(Self.width - Self.right)\" "
            svg += "y1=\"\(coordinate(height))\" y2=\"\(coordinate(height))\"/>"
            svg += text(Self.left - 8, height + 4, Self.short(tick), "end", kind: "soft")
        }
        for (value, name) in xTicks(xRange) {
            svg += text(x(value, xRange), Self.height - Self.bottom + 18, name, "middle", kind: "soft")
        }
        svg += text((Self.left + Self.width) / 2, Self.height - 12, xName, "middle")
        svg += "<text transform=\"translate(14 \(coordinate((top + Self.height - Self.bottom) / 2))) rotate(-90)\" "
        svg += "text-anchor=\"middle\">\(ReportPage.escaped(yName))</text>\n"
        for (index, series) in series.enumerated() {
            svg += "<g class=\"s\(index % 6)\">" + draw(series, { x($0, xRange) }, y) + "</g>\n"
        }
        return svg + "</svg>"
    }

    private func draw(_ series: Series, _ x: (Double) -> Double, _ y: (Double) -> Double) -> String {
        func path(_ points: [(x: Double, y: Double)], _ kind: String) -> String {
            let steps = points.enumerated().map { index, point in
                "\(index == 0 ? "M" : "L")\(coordinate(x(point.x))) \(coordinate(y(point.y)))"
            }
            return "<path class=\"\(kind)\" d=\"\(steps.joined(separator: " "))\"/>"
        }
        var svg = ""
        if series.isLine, series.points.count > 1 { svg += path(series.points.map { ($0.x, $0.y) }, "stroke") }
        if series.curve.count > 1 { svg += path(series.curve, "stroke dashed") }
        for point in series.points {
            if let low = point.low, let high = point.high {
                svg += path([(point.x, low), (point.x, high)], "stroke")
            }
            svg += "<circle class=\"dot\" cx=\"\(coordinate(x(point.x)))\" cy=\"\(coordinate(y(point.y)))\" r=\"4\">"
            svg += "<title>\(ReportPage.escaped(point.label))</title></circle>"
        }
        return svg
    }

    private var legend: String {
        guard series.count > 1 else { return "" }
        return series.enumerated().map { index, series in
            let (column, row) = (Double(index % 4), Double(index / 4))
            let (x, y) = (Self.left + column * 195, 32 + 18 * row)
            return "<g class=\"s\(index % 6)\"><circle class=\"dot\" cx=\"\(x + 5)\" cy=\"\(y - 4)\" r=\"5\"/></g>"
                + text(x + 16, y, series.name, "start")
        }.joined()
    }

    private func xTicks(_ range: ClosedRange<Double>) -> [(Double, String)] {
        switch xAxis {
        case .names(let names): return names.enumerated().map { (Double($0), $1) }
        case .logarithmic:
            let exponents = Int(floor(log10(range.lowerBound)))...Int(ceil(log10(range.upperBound)))
            let powers = exponents.flatMap { exponent in [1, 2, 5].map { $0 * pow(10, Double(exponent)) } }
            let within = powers.filter { range.lowerBound * 0.9...range.upperBound * 1.1 ~= $0 }
            let shown = within.count > 9 ? within.filter { log10($0).rounded() == log10($0) } : within
            return (shown.isEmpty ? [range.lowerBound] : shown).map { ($0, Self.short($0)) }
        }
    }

    private func text(
        _ x: Double,
        _ y: Double,
        _ text: String,
        _ anchor: String,
        kind: String = "",
        style: String = ""
    ) -> String {
        let attributes = (kind.isEmpty ? "" : " class=\"\(kind)\"") + (style.isEmpty ? "" : " style=\"\(style)\"")
        return "<text x=\"\(coordinate(x))\" y=\"\(coordinate(y))\" text-anchor=\"\(anchor)\"\(attributes)>"
            + "\(ReportPage.escaped(text))</text>\n"
    }

    private func coordinate(_ value: Double) -> String { String(format: "%.1f", value.isFinite ? value : 0) }
}
