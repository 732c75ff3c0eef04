// An evaluation as a table for people and as one JSON object for scripts.

internal import Foundation
package import JSON

extension EvaluationReport {
    /// `hr@…`, `ndcg@…`, `mrr`, `coverage@10`, `diversity@10`, `users`, `users_per_second`; for searches also `beams`
    /// and `exact_share`.
    package var json: JSONValue {
        var members = (metrics.means + listMeans).map { JSONMember($0.name, .real($0.value)) }
        members.append(JSONMember("users", .integer(metrics.users)))
        members.append(JSONMember("users_per_second", .real(usersPerSecond)))
        if let search {
            members.append(JSONMember("beams", .integer(search.beams)))
            members.append(JSONMember("exact_share", .real(search.exactShare)))
        }
        return .object(members)
    }

    /// Names and values of the list metrics.
    var listMeans: [(name: String, value: Double)] {
        let length = RecommendedLists.length
        return [("coverage@\(length)", lists.coverage), ("diversity@\(length)", lists.diversity)]
    }

    /// One line per metric, then what was left out.
    package var table: String {
        var lines = (metrics.means + listMeans).map {
            "\($0.name.padding(toLength: 16, withPad: " ", startingAt: 0))\(fixed($0.value))"
        }
        lines.append("users           \(metrics.users)")
        lines.append("users/second    \(String(format: "%.1f", usersPerSecond))")
        if let search {
            lines.append("beams           \(search.beams)")
            lines.append("exact share     \(fixed(search.exactShare))")
        }
        return (lines + remarks).joined(separator: "\n")
    }

    /// What was left out, one sentence each.
    var remarks: [String] {
        var lines: [String] = []
        if skippedUsers > 0 {
            lines.append("\(skippedUsers) users left out: they have no history, or their last item is unknown")
        }
        if unknownEvents > 0 {
            let example = unknownExample.map { ", for example \"\($0)\"" } ?? ""
            lines.append("\(unknownEvents) events left out: the catalogue does not have their items\(example)")
        }
        if let search, let largest = RankingMetrics.largestCutoff, search.beams < largest {
            lines.append(
                "a search with \(search.beams) beams ranks \(search.beams) items; larger cutoffs need more --beams"
            )
        }
        return lines
    }

    private func fixed(_ value: Double) -> String { String(format: "%.4f", value) }
}
