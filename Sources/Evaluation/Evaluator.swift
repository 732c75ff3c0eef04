// Leave-one-out evaluation of a bundle on real interactions: per user, the last event is the target, its timestamp the
// request time, the events before it the history. The target is ranked among all items except those the model saw.

internal import Catalogue
internal import Compute
package import Engine
package import Interactions
internal import Models

/// How a user's last event was ranked.
package struct UserOutcome: Sendable, Equatable {
    /// The index in the log's `users`.
    package var user: Int
    /// The target's rank, 1 is best.
    package var rank: Int
    /// Known events before the target, including those outside the model's window.
    package var historyLength: Int
}

/// The result of an evaluation.
package struct EvaluationReport: Sendable {
    /// Name and version of the bundle.
    package var label: String
    package var metrics: RankingMetrics
    /// One per evaluated user, in the order of the log.
    package var outcomes: [UserOutcome]
    package var lists: RecommendedLists
    /// Users left out: fewer than two known events, or a last event that the catalogue does not know.
    package var skippedUsers: Int
    /// Number of events whose item the catalogue does not know, and one of those ids.
    package var unknownEvents: Int
    package var unknownExample: String?
    package var usersPerSecond: Double
    /// For models whose items are paths of tokens; nil: every item was ranked.
    package var search: SearchFacts?

    /// Facts about the searches.
    package struct SearchFacts: Sendable, Equatable {
        /// Beams per search; at most that many items are ranked, and a target not among them ranks last.
        package var beams: Int
        /// The share of searches known to have missed no better item.
        package var exactShare: Double
    }
}

/// Runs evaluations. It calls the executor directly, so it must stay on the thread that created the executor.
package struct Evaluator {
    private let executor: BatchExecutor
    private let model: LoadedModel
    private let limits: SchedulerConfiguration

    private var catalogue: Catalogue { model.catalogue.items }
    /// Items per request: all, or the number of beams.
    private let count: Int

    /// - Parameters:
    ///   - limits: the batch sizes; the rest of the configuration is not used.
    ///   - beams: beams per search, if items are paths of tokens; nil: the bundle's default.
    package init(executor: BatchExecutor, model: LoadedModel, limits: SchedulerConfiguration, beams: Int? = nil) {
        self.executor = executor
        self.model = model
        self.limits = limits
        let items = model.catalogue.items.count
        count = model.paths.map { min(items, beams ?? $0.ids.defaultBeams) } ?? items
    }

    private struct Example {
        let user: Int
        let request: RecommendationRequest
        let target: Int32
        let historyLength: Int
    }

    /// Ranks every user's last event.
    ///
    /// - Parameters:
    ///   - label: the bundle's name in the report.
    ///   - progress: called after every batch with the finished and total number of users.
    /// - Throws: the device's errors.
    package func evaluate(
        _ log: InteractionLog,
        label: String,
        progress: (_ done: Int, _ total: Int) -> Void
    ) throws -> EvaluationReport {
        var unknown: [String] = []
        let examples = log.users.indices.compactMap { example(of: $0, in: log, &unknown) }
        var metrics = RankingMetrics()
        var outcomes: [UserOutcome] = []
        var lists = RecommendedLists(catalogueCount: catalogue.count)
        let start = Instant.now()
        var exact = 0
        var next = 0
        while next < examples.count {
            var end = next
            var events = 0
            while end < examples.count, end - next < limits.maxBatchSequences {
                events += executor.events(of: examples[end].request)
                if end > next, events > limits.maxBatchEvents { break }
                end += 1
            }
            let batch = examples[next..<end]
            let answers = try answers(batch.map(\.request))
            for (example, answer) in zip(batch, answers) {
                let selection = answer.items
                if answer.isExact { exact += 1 }
                // A target that the model has just seen is not ranked, and a search may not find it; either way it
                // ranks last.
                let place = selection.firstIndex { $0.row == example.target } ?? catalogue.count
                metrics.add(rank: place + 1)
                lists.add(selection.lazy.map(\.row))
                outcomes.append(
                    UserOutcome(user: example.user, rank: place + 1, historyLength: example.historyLength)
                )
            }
            next = end
            progress(next, examples.count)
        }
        let seconds = Double(Instant.now().nanoseconds(since: start)) / 1e9
        return EvaluationReport(
            label: label,
            metrics: metrics,
            outcomes: outcomes,
            lists: lists,
            skippedUsers: log.users.count - examples.count,
            unknownEvents: unknown.count,
            unknownExample: unknown.first,
            usersPerSecond: seconds > 0 ? Double(examples.count) / seconds : 0,
            search: model.paths.map { _ in
                EvaluationReport.SearchFacts(
                    beams: count,
                    exactShare: examples.isEmpty ? 0 : Double(exact) / Double(examples.count)
                )
            }
        )
    }

    private struct Ranking {
        var items: [ScoredRow]
        var isExact = true
    }

    private func answers(_ requests: [RecommendationRequest]) throws(ComputeError) -> [Ranking] {
        guard model.paths != nil else {
            return try executor.run(requests, model.catalogue).selections.map { Ranking(items: $0) }
        }
        var answers: [Ranking] = []
        for request in requests {
            let strategy = try executor.answer(request, model)
            answers.append(Ranking(items: strategy?.items ?? [], isExact: strategy?.facts?.isExact ?? false))
        }
        return answers
    }

    private func example(
        of index: Int,
        in log: InteractionLog,
        _ unknown: inout [String]
    ) -> Example? {
        let user = log.users[index]
        guard let last = user.events.last else { return nil }
        var rows: [Int32] = []
        var timestamps: [Int64] = []
        for event in user.events.dropLast() {
            guard let row = catalogue.row(of: event.item) else {
                unknown.append(event.item)
                continue
            }
            rows.append(row)
            timestamps.append(event.timestamp)
        }
        guard let target = catalogue.row(of: last.item) else {
            unknown.append(last.item)
            return nil
        }
        guard !rows.isEmpty else { return nil }
        // The ranking leaves out only what the model sees, so older history must not be in the request.
        var request = RecommendationRequest(
            history: rows.suffix(model.window.length),
            timestamps: log.hasTimestamps ? timestamps.suffix(model.window.length) : nil,
            requestTime: last.timestamp,
            count: count,
            arrival: .now()
        )
        request.eligibility.excludesSeen = true
        if model.paths != nil { request.paths.widths = [count] }
        return Example(user: index, request: request, target: target, historyLength: rows.count)
    }
}
