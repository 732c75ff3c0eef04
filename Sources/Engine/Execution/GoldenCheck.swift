// Golden cases on a device: checks that a model gives the answers in its bundle.

internal import Catalogue
package import Compute
package import Models

/// A model's answers on a device differ from its bundle's golden cases.
package struct GoldenCaseError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One sentence that names the case.
    package let description: String
}

/// Runs the golden cases of a model one at a time, so that a device that serves other models runs them between those
/// models' batches.
struct GoldenCheck {
    private let golden: GoldenCases
    private let label: String
    private let model: LoadedModel
    private var answers: [[ScoredRow]] = []

    /// nil if the model has no golden cases.
    init?(_ hosted: HostedModel) {
        guard let golden = hosted.source.golden else { return nil }
        self.golden = golden
        label = hosted.source.label
        // The cases predate catalogue changes.
        model = hosted.model.with(CatalogueSnapshot(hosted.model.catalogue.items))
    }

    /// Runs the next case.
    ///
    /// - Returns: false if none was left and all answers are correct.
    /// - Throws: `GoldenCaseError` after the last case; the device's error.
    mutating func next(_ executor: BatchExecutor) throws -> Bool {
        guard answers.count <= golden.cases.count else { return false }
        guard answers.count < golden.cases.count else {
            let fault = golden.fault(answers, dtype: executor.device.dtype, catalogue: model.catalogue.items)
            if let fault { throw GoldenCaseError(description: label.isEmpty ? fault : "\(label): \(fault)") }
            answers.append([])
            return false
        }
        let one = golden.cases[answers.count]
        answers.append(try executor.answer(one, count: one.items.count, model))
        return true
    }
}

extension BatchExecutor {
    /// Answers the request of a golden case, without the user cache.
    ///
    /// - Returns: best first; fewer than `count` if fewer are eligible, none if the scores are not finite.
    /// - Throws: the device's error.
    package func answer(_ one: GoldenCases.Case, count: Int, _ model: LoadedModel) throws(ComputeError) -> [ScoredRow] {
        let request = RecommendationRequest(
            history: one.history,
            timestamps: one.timestamps,
            requestTime: one.requestTime,
            count: count,
            arrival: .now()
        )
        return try answer(request, model)?.items ?? []
    }

    /// Answers one request with a usable history or prompt, without other requests and without the user cache.
    ///
    /// - Returns: nil if the scores are not finite.
    /// - Throws: the device's error; `ComputeError.outOfMemory` if there is no room for the rows of a search.
    package func answer(_ request: RecommendationRequest, _ model: LoadedModel) throws(ComputeError) -> (any Strategy)?
    {
        var strategy = model.strategy(request)
        var history = model.usedHistory(request)
        let places = try places(of: history, strategy)
        var generated: [Int32] = []
        while true {
            var pass = Pass(history: history, rows: 0..<history.count, asks: strategy.question)
            if let places {
                pass.cached = PagedSequence(rows: 0, pages: places.prompt, storesRows: true)
                pass.beamPages = places.beams
                if pass.isOfBeams {
                    pass.rows = history.count..<history.count
                    pass.cached = PagedSequence(rows: history.count, pages: places.prompt, storesRows: false)
                }
            }
            guard let answer = try answers([pass]).answers.first else { return nil }
            switch strategy.take(answer) {
            case .goesOn(let row):
                generated.append(row)
                history = UsedHistory(request, generated: generated, model.window)
            case .asksAgain, .searches: break
            case .done: return strategy
            case .failed: return nil
            }
        }
    }

    /// The pages of a search that has the pool to itself.
    private struct Places {
        var prompt: [Int32]
        var beams: [Int32]
    }

    private func places(of history: UsedHistory, _ strategy: any Strategy) throws(ComputeError) -> Places? {
        guard strategy.reservedRows > 0 else { return nil }
        guard case .exact(let pool) = prefixCache else {
            throw ComputeError(.outOfMemory, "there is no room for the rows of a search")
        }
        func pages(_ rows: Int) -> Int { (rows + pool.pageRows - 1) / pool.pageRows }
        let (prompt, beams) = (pages(history.count), pages(strategy.reservedRows))
        guard prompt + beams <= pool.pageCount else {
            throw ComputeError(
                .outOfMemory,
                "a prompt of \(history.count) tokens and \(strategy.reservedRows) rows of beams do not fit"
            )
        }
        return Places(
            prompt: (0..<Int32(prompt)).map { $0 },
            beams: (Int32(prompt)..<Int32(prompt + beams)).map { $0 }
        )
    }
}
