// Golden cases on a device: whether a model gives the answers there that its bundle says it gives.

package import Catalogue
package import Compute
package import Models

/// A model's answers on a device are not those of its bundle's golden cases.
package struct GoldenCaseError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One sentence that names the case.
    package let description: String
}

/// The golden cases of a model, one after the other: on a device that serves other models as well, between their batches.
struct GoldenCheck {
    private let golden: GoldenCases
    private let label: String
    private let catalogue: CatalogueSnapshot
    private var answers: [[ScoredRow]] = []

    /// nil: the model has no golden cases.
    init?(_ hosted: HostedModel) {
        guard let golden = hosted.source.golden else { return nil }
        self.golden = golden
        label = hosted.source.label
        // The cases know nothing of what has been changed since.
        catalogue = CatalogueSnapshot(hosted.model.catalogue.items)
    }

    /// Runs the next case.
    ///
    /// - Returns: false: there was none, all were as they should be.
    /// - Throws: `GoldenCaseError` after the last case; what the device throws.
    mutating func next(_ executor: BatchExecutor) throws -> Bool {
        guard answers.count <= golden.cases.count else { return false }
        guard answers.count < golden.cases.count else {
            let fault = golden.fault(answers, dtype: executor.device.dtype, catalogue: catalogue.items)
            if let fault { throw GoldenCaseError(description: label.isEmpty ? fault : "\(label): \(fault)") }
            answers.append([])
            return false
        }
        let one = golden.cases[answers.count]
        answers.append(try executor.answer(one, count: one.items.count, catalogue))
        return true
    }
}

extension BatchExecutor {
    /// Answers the request of a golden case, without what is kept of anybody.
    ///
    /// - Returns: best first; fewer than `count` where fewer are eligible, none if the scores are not finite.
    /// - Throws: what the device throws.
    package func answer(
        _ one: GoldenCases.Case,
        count: Int,
        _ catalogue: CatalogueSnapshot
    ) throws(ComputeError) -> [ScoredRow] {
        var request = RecommendationRequest(
            history: one.history,
            timestamps: one.timestamps,
            requestTime: one.requestTime,
            count: count,
            arrival: .now()
        )
        request.eligibility.excludesSeen = true
        let window = HistoryWindow(length: window)
        var strategy = request.strategy(catalogue)
        var generated: [Int32] = []
        while true {
            let history = UsedHistory(request, generated: generated, window)
            let pass = Pass(history: history, rows: 0..<history.count, asks: strategy.question)
            guard let answer = try run([pass]).selections.first else { return [] }
            switch strategy.take(answer) {
            case .goesOn(let row): generated.append(row)
            case .asksAgain: continue
            case .done: return strategy.items
            case .failed: return []
            }
        }
    }
}
