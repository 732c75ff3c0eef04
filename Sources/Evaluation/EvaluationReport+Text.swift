// How an evaluation is printed: a table for people, one JSON object for scripts.

internal import Foundation

extension EvaluationReport {
    /// One JSON object: `hr@…`, `ndcg@…`, `mrr`, `users`, `users_per_second`.
    package var json: String {
        var members = metrics.means.map { "\"\($0.name)\":\($0.value)" }
        members.append("\"users\":\(metrics.users)")
        members.append("\"users_per_second\":\(usersPerSecond)")
        return "{" + members.joined(separator: ",") + "}"
    }

    /// A line a metric; what was left out is said behind them.
    package var table: String {
        var lines = metrics.means.map {
            "\($0.name.padding(toLength: 16, withPad: " ", startingAt: 0))\(fixed($0.value))"
        }
        lines.append("users           \(metrics.users)")
        lines.append("users/second    \(String(format: "%.1f", usersPerSecond))")
        if skippedUsers > 0 {
            lines.append("\(skippedUsers) users left out: no history, or a last item that is unknown")
        }
        if unknownEvents > 0 {
            lines.append("\(unknownEvents) events left out: items that the catalogue does not know")
        }
        return lines.joined(separator: "\n")
    }

    private func fixed(_ value: Double) -> String { String(format: "%.4f", value) }
}
