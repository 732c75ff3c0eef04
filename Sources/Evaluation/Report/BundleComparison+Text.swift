// A comparison as tables for people and as one JSON object for scripts.

internal import Foundation
package import JSON

extension BundleComparison {
    /// The metrics shown in the tables by group.
    static let groupMetrics = ["hr@10", "ndcg@10"]

    /// One JSON object: `bundles`, `differences`, `by_history_length`, `by_popularity`, `users`.
    package var json: JSONValue {
        .object(pairs: [
            ("users", .integer(users)), ("bundles", .array(entries.map { Self.json($0) })),
            ("by_history_length", .array(byHistoryLength.map { Self.json($0) })),
            ("by_popularity", .array(byPopularity.map { Self.json($0) })),
        ])
    }

    private static func json(_ entry: Entry) -> JSONValue {
        var members = [JSONMember("bundle", .string(entry.report.label))]
        members += entry.metrics.means.map { JSONMember($0.name, .real($0.value)) }
        members += entry.report.listMeans.map { JSONMember($0.name, .real($0.value)) }
        members.append(JSONMember("users_per_second", .real(entry.report.usersPerSecond)))
        guard !entry.differences.isEmpty else { return .object(members) }
        let differences = zip(RankingMetrics.names, entry.differences).map { JSONMember($0, $1.json) }
        members.append(JSONMember("difference", .object(differences)))
        members.append(JSONMember("wins", .integer(entry.wins)))
        members.append(JSONMember("losses", .integer(entry.losses)))
        return .object(members)
    }

    private static func json(_ group: Group) -> JSONValue {
        var members = [
            JSONMember("from", .integer(group.values.lowerBound)), JSONMember("to", .integer(group.values.upperBound)),
            JSONMember("users", .integer(group.users)),
        ]
        for name in groupMetrics {
            members.append(JSONMember(name, .array(group.metrics.map { .real($0[name] ?? 0) })))
        }
        return .object(members)
    }

    /// The report's tables, for the terminal and the page.
    var tables: [TextTable] {
        var metrics = TextTable(
            title: "\(users) users that all bundles can rank",
            header: ["metric"] + entries.map(\.report.label)
        )
        for (index, name) in RankingMetrics.names.enumerated() {
            metrics.rows.append([name] + entries.map { TextTable.fixed($0.metrics.values[index]) })
        }
        for (index, item) in (entries.first?.report.listMeans ?? []).enumerated() {
            metrics.rows.append([item.name] + entries.map { TextTable.fixed($0.report.listMeans[index].value) })
        }
        var tables = [metrics]
        for entry in entries.dropFirst() {
            var table = TextTable(
                title: "\(entry.report.label) minus \(entries[0].report.label): \(entry.wins) users better, "
                    + "\(entry.losses) worse, \(users - entry.wins - entry.losses) the same",
                header: ["metric", "difference", "95 % from", "to", ""]
            )
            for (name, difference) in zip(RankingMetrics.names, entry.differences) {
                let verdict = !difference.excludesZero ? "" : difference.value > 0 ? "better" : "worse"
                table.rows.append(
                    [name] + [difference.value, difference.low, difference.high].map { TextTable.signed($0) }
                        + [verdict]
                )
            }
            tables.append(table)
        }
        tables.append(table("By number of events before the target", byHistoryLength))
        tables.append(table("By number of events of the target in the file", byPopularity))
        return tables
    }

    private func table(_ title: String, _ groups: [Group]) -> TextTable {
        var header = ["from", "to", "users"]
        for name in Self.groupMetrics {
            header += entries.map { entries.count > 1 ? "\(name) \($0.report.label)" : name }
        }
        var table = TextTable(title: title, header: header)
        for group in groups {
            var row = [group.values.lowerBound, group.values.upperBound, group.users].map(String.init)
            for name in Self.groupMetrics { row += group.metrics.map { TextTable.fixed($0[name] ?? 0) } }
            table.rows.append(row)
        }
        return table
    }

    /// All tables, then what was left out.
    package var text: String {
        let remarks = entries.flatMap { entry in entry.report.remarks.map { "\(entry.report.label): \($0)" } }
        return (tables.map(\.text) + (remarks.isEmpty ? [] : [remarks.joined(separator: "\n")]))
            .joined(separator: "\n\n")
    }
}

extension Interval {
    /// `value`, `low`, `high`.
    var json: JSONValue { .object(pairs: [("value", .real(value)), ("low", .real(low)), ("high", .real(high))]) }
}
