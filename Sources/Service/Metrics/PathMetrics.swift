// Metrics of searches over token paths: their cost, and how often the result is known to be the best.

internal import Engine
internal import Telemetry

/// The instruments of a version's path searches; all are 0 without semantic ids.
struct PathMetrics: Sendable {
    private let rounds: Counter
    private let rows: Counter
    private let candidates: Counter
    private let sharedRows: Counter
    private let answers: [Exactness: Counter]

    private enum Exactness: String, CaseIterable {
        case proven
        case unknown
    }

    struct Families: Sendable {
        fileprivate let rounds: CounterFamily
        fileprivate let rows: CounterFamily
        fileprivate let candidates: CounterFamily
        fileprivate let sharedRows: CounterFamily
        fileprivate let answers: CounterFamily

        init(_ registry: MetricRegistry) {
            rounds = registry.counter(
                "genrec_beam_rounds_total",
                help: "Rounds of searches over semantic ids, including that of the prompt.",
                labels: ModelLabels.names
            )
            rows = registry.counter(
                "genrec_beam_rows_total",
                help: "Rows of beams computed.",
                labels: ModelLabels.names
            )
            candidates = registry.counter(
                "genrec_beam_candidates_total",
                help: "Tokens with which beams could continue.",
                labels: ModelLabels.names
            )
            sharedRows = registry.counter(
                "genrec_beam_shared_rows_total",
                help: "Rows of prompts that beams shared instead of reading one copy each.",
                labels: ModelLabels.names
            )
            answers = registry.counter(
                "genrec_beam_answers_total",
                help: "Answers by beam search, by whether no better path can exist (proven).",
                labels: ModelLabels.names + ["exact"]
            )
        }

        func remove(_ labels: ModelLabels) {
            for family in [rounds, rows, candidates, sharedRows] { family.remove(labels) }
            answers.remove(Exactness.self, labels)
        }
    }

    init(_ families: Families, _ labels: ModelLabels) {
        rounds = families.rounds.with(labels)
        rows = families.rows.with(labels)
        candidates = families.candidates.with(labels)
        sharedRows = families.sharedRows.with(labels)
        answers = families.answers.all(Exactness.self, labels)
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
