// A comparison as an HTML page.

extension BundleComparison {
    /// A self-contained HTML file.
    package var html: String {
        var page = ReportPage(
            title: entries.count > 1
                ? "Comparison of \(entries.count) bundles" : "Evaluation of \(entries[0].report.label)",
            lead:
                "Leave-one-out over \(users) users: each user's last event is ranked among all items of the catalogue "
                + "except those in the history."
        )
        let tables = tables
        page.add(tables[0])
        if entries.count > 1 {
            page.add(
                heading: "Differences",
                "Means over the users with 95 % intervals of a paired bootstrap. Where an interval excludes 0, the "
                    + "difference is significant."
            )
            page.add(chart: differences.svg)
            for table in tables[1..<entries.count] { page.add(table) }
        }
        page.add(
            heading: "By kind of user",
            "Tenths of the users, by the length of their history and by how often their target occurs in the file."
        )
        page.add(chart: chart("ndcg@10 by events before the target", "events before the target", byHistoryLength).svg)
        page.add(tables[tables.count - 2])
        page.add(chart: chart("ndcg@10 by popularity of the target", "events of the target", byPopularity).svg)
        page.add(tables[tables.count - 1])
        return page.html
    }

    private var differences: Chart {
        let series = entries.dropFirst().enumerated().map { index, entry in
            // Side by side, so that intervals do not hide one another.
            let shift = (Double(index) - Double(entries.count - 2) / 2) * 0.12
            let points = zip(RankingMetrics.names, entry.differences).enumerated().map { place, pair in
                Chart.Series.Point(
                    x: Double(place) + shift,
                    y: pair.1.value,
                    low: pair.1.low,
                    high: pair.1.high,
                    label: "\(entry.report.label), \(pair.0): \(TextTable.signed(pair.1.value)), from "
                        + "\(TextTable.signed(pair.1.low)) to \(TextTable.signed(pair.1.high))"
                )
            }
            return Chart.Series(name: entry.report.label, points: points, isLine: false)
        }
        return Chart(
            title: "Difference from \(entries[0].report.label)",
            xName: "metric",
            yName: "difference",
            xAxis: .names(RankingMetrics.names),
            series: series
        )
    }

    private func chart(_ title: String, _ xName: String, _ groups: [Group]) -> Chart {
        let names = groups.map { group in
            group.values.count == 1
                ? "\(group.values.lowerBound)" : "\(group.values.lowerBound)–\(group.values.upperBound)"
        }
        let series = entries.indices.map { entry in
            let points = groups.indices.map { place in
                let value = groups[place].metrics[entry]["ndcg@10"] ?? 0
                return Chart.Series.Point(
                    x: Double(place),
                    y: value,
                    label: "\(entries[entry].report.label), \(names[place]): \(TextTable.fixed(value)), "
                        + "\(groups[place].users) users"
                )
            }
            return Chart.Series(name: entries[entry].report.label, points: points)
        }
        return Chart(title: title, xName: xName, yName: "ndcg@10", xAxis: .names(names), series: series)
    }
}
