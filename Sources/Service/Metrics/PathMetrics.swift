// What searches over token paths cost, and how often they are known to have found the best.

internal import Engine
internal import Telemetry

/// The instruments of models with semantic ids.
final class PathMetrics: Sendable {
    private let rounds: Counter
    private let rows: Counter
    private let candidates: Counter
    private let sharedRows: Counter
    private let answers: [Exactness: Counter]

    private enum Exactness: String, CaseIterable {
        case proven
        case unknown
    }

    init(_ registry: MetricRegistry) {
        rounds = registry.counter(
            "genrec_beam_rounds_total",
            help: "Rounds of searches over semantic ids, a prompt's own included."
        )
        rows = registry.counter("genrec_beam_rows_total", help: "Rows of beams that were computed.")
        candidates = registry.counter("genrec_beam_candidates_total", help: "Tokens that beams could go on with.")
        sharedRows = registry.counter(
            "genrec_beam_shared_rows_total",
            help: "Rows of prompts that beams shared, where a copy for each would have been read."
        )
        answers = registry.counter(
            "genrec_beam_answers_total",
            help: "Answers by beam search; proven: no other path could have been better.",
            labels: ["exact"]
        ).all(Exactness.self)
    }

    func finished(_ report: PathReport) {
        guard report.rounds > 0 else { return }
        rounds.increment(by: report.rounds)
        rows.increment(by: report.rows)
        candidates.increment(by: report.candidates)
        sharedRows.increment(by: report.sharedRows)
    }

    func answered(isExact: Bool) { answers[isExact ? .proven : .unknown]?.increment() }
}
