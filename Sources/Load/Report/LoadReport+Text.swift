// The report as text.

internal import Foundation
internal import Histogram

extension LoadReport {
    /// One line per figure.
    package var table: String {
        var lines = [
            line("requests", "\(recorder.begun) in \(fixed(seconds)) s, \(recorder.answered) answered"),
            line("offered", "\(fixed(offeredRate)) requests/s, \(loop)"),
            line("throughput", "\(fixed(throughput)) replies/s"),
            line("goodput", "\(fixed(goodput)) replies/s with status 200\(deadlineText)"),
            line("latency, ms", text(recorder.latency)),
        ]
        if recorder.connectionWaits > 0 {
            lines.append(line("  once begun", text(recorder.serviceTime)))
        }
        if recorder.refusedLatency.totalCount > 0 {
            lines.append(line("  admitted", text(recorder.admittedLatency)))
            lines.append(line("  refused", text(recorder.refusedLatency)))
        }
        let statuses = recorder.statuses.map { "\($0.status): \($0.count)" }
        lines.append(line("statuses", statuses.isEmpty ? "none" : statuses.joined(separator: ", ")))
        let failures = [
            ("abandoned", Outcome.abandoned), ("timed out", .timeout), ("could not connect", .connectError),
            ("connection lost", .connectionLost), ("not HTTP", .notHTTP), ("unfinished", .unfinished),
        ].filter { recorder.count($0.1) > 0 }
        if !failures.isEmpty {
            lines.append(
                line("no reply", failures.map { "\($0.0): \(recorder.count($0.1))" }.joined(separator: ", "))
            )
        }
        if recorder.events.begun > 0 {
            let outcomes = recorder.events.table.map { "\($0.name): \($0.count)" }.joined(separator: ", ")
            lines.append(line("events", "\(recorder.events.begun) sent; \(outcomes)"))
            lines.append(line("  latency, ms", text(recorder.events.latency)))
        }
        if let cachedShare {
            lines.append(
                line("cached events", "\(fixed(cachedShare * 100)) %, returning users: \(recorder.returning)")
            )
        }
        if recorder.lag.totalCount > 0, case .open = plan.arrivals {
            lines.append(line("client lag, ms", text(recorder.lag)))
        }
        lines.append(
            line(
                "bytes",
                "\(recorder.bytesSent) sent, \(recorder.bytesReceived) received, "
                    + "\(recorder.connectionsOpened) connections opened"
            )
        )
        lines.append(line("seed", "\(plan.seed)"))
        return lines.joined(separator: "\n")
    }

    private var loop: String {
        switch plan.arrivals {
        case .open: "open loop"
        case .closed(let connections): "closed loop of \(connections)"
        }
    }

    private var deadlineText: String {
        plan.workload.deadlineMilliseconds.map { " within \($0) ms" } ?? ""
    }

    private func line(_ name: String, _ value: String) -> String {
        name.padding(toLength: 16, withPad: " ", startingAt: 0) + value
    }

    private func text(_ histogram: Histogram<UInt64>) -> String {
        guard histogram.totalCount > 0 else { return "none" }
        let percentiles = [50, 90, 99, 99.9].map { percentile in
            let name = percentile == percentile.rounded() ? String(Int(percentile)) : String(percentile)
            return "p\(name) \(fixed(milliseconds(histogram.valueAtPercentile(percentile))))"
        }
        return (percentiles + ["max \(fixed(milliseconds(histogram.maxRecorded)))"]).joined(separator: "  ")
    }

    private func fixed(_ value: Double) -> String { String(format: value < 100 ? "%.3f" : "%.1f", value) }
}
