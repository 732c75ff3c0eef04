// A study as tables for people, as one JSON object for scripts, and as an HTML page.

internal import Foundation
package import JSON

extension Study {
    /// One JSON object: `metric`, `users`, `bundles`, `fits`.
    package var json: JSONValue {
        .object(pairs: [
            ("metric", .string(metric)), ("users", .integer(users)),
            ("bundles", .array(entries.indices.map { json($0) })), ("fits", .array(fits.map { Self.json($0) })),
        ])
    }

    private func json(_ index: Int) -> JSONValue {
        let entry = entries[index]
        var members = [
            JSONMember("bundle", .string(entry.report.label)), JSONMember("architecture", .string(entry.architecture)),
            JSONMember("parameters", .integer(entry.parameters)),
            JSONMember("parameters_without_items", .integer(entry.parametersWithoutItems)),
            JSONMember("milliseconds", .real(entry.milliseconds)), JSONMember("quality", quality[index].json),
            JSONMember("pareto", .boolean(isOnFront[index])),
        ]
        members += entry.report.metrics.means.map { JSONMember($0.name, .real($0.value)) }
        return .object(members)
    }

    private static func json(_ fit: Fit) -> JSONValue {
        .object(pairs: [
            ("architecture", .string(fit.architecture)), ("size", .string(fit.size.rawValue)),
            ("coefficient", .real(fit.law.coefficient)), ("exponent", fit.exponent.json),
        ])
    }

    /// The bundles, and the laws if there are any.
    var tables: [TextTable] {
        var bundles = TextTable(
            title: "\(metric) over \(users) users; * is on the Pareto front of time and quality",
            header: ["bundle", "architecture", "parameters", "ms", metric, "95 % from", "to", ""]
        )
        for (index, entry) in entries.enumerated() {
            let numbers = [quality[index].value, quality[index].low, quality[index].high]
            bundles.rows.append(
                [
                    entry.report.label, entry.architecture, Chart.short(Double(entry.parameters)),
                    String(format: "%.3f", entry.milliseconds),
                ] + numbers.map { TextTable.fixed($0) } + [isOnFront[index] ? "*" : ""]
            )
        }
        guard !fits.isEmpty else { return [bundles] }
        var laws = TextTable(
            title: "1 - \(metric) = a · size^-b",
            header: ["architecture", "size", "a", "b", "95 % from", "to"]
        )
        for fit in fits {
            let numbers = [fit.law.coefficient, fit.exponent.value, fit.exponent.low, fit.exponent.high]
            laws.rows.append([fit.architecture, fit.size.rawValue] + numbers.map { TextTable.fixed($0) })
        }
        return [bundles, laws]
    }

    /// All tables, then the architectures without a law and why.
    package var text: String {
        var parts = tables.map(\.text)
        let fitted = Set(fits.map(\.architecture))
        let others = Set(entries.map(\.architecture)).subtracting(fitted).sorted()
        if !others.isEmpty {
            parts.append("no law for \(others.joined(separator: ", ")): a fit needs three bundles of different sizes")
        }
        return parts.joined(separator: "\n\n")
    }

    /// A self-contained HTML file.
    package var html: String {
        var page = ReportPage(
            title: "Scaling study of \(entries.count) bundles",
            lead:
                "Leave-one-out over \(users) users that all bundles can rank. Bars are 95 % intervals over users; dashed "
                + "lines are power laws of the error 1 − \(metric), for architectures with three sizes or more."
        )
        page.add(chart: chart(.parameters, "parameters").svg)
        page.add(chart: chart(.milliseconds, "milliseconds of a request with a full window").svg)
        for table in tables { page.add(table) }
        return page.html
    }

    private func chart(_ size: Size, _ xName: String) -> Chart {
        let series = Set(entries.map(\.architecture)).sorted().map { architecture in
            let members = entries.indices.filter { entries[$0].architecture == architecture }
            let points = members.map { index in
                Chart.Series.Point(
                    x: entries[index].size(size),
                    y: quality[index].value,
                    low: quality[index].low,
                    high: quality[index].high,
                    label: "\(entries[index].report.label): \(metric) \(TextTable.fixed(quality[index].value)), "
                        + "\(Chart.short(Double(entries[index].parameters))) parameters, "
                        + String(format: "%.3f ms", entries[index].milliseconds)
                )
            }
            var series = Chart.Series(name: architecture, points: points, isLine: false)
            if let fit = fits.first(where: { $0.architecture == architecture && $0.size == size }),
                let low = points.map(\.x).min(), let high = points.map(\.x).max()
            {
                series.curve = (0...40).map { step in
                    let value = exp(log(low) + (log(high) - log(low)) * Double(step) / 40)
                    return (value, fit.law.quality(value))
                }
            }
            return series
        }
        return Chart(
            title: "\(metric) against \(size.rawValue)",
            xName: xName,
            yName: metric,
            xAxis: .logarithmic,
            series: series,
            includesZero: false
        )
    }
}
