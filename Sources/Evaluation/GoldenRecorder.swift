// Records a bundle's golden cases: real histories with the recommendations of the reference, a CPU in float32.

internal import Catalogue
internal import Compute
internal import Engine
package import Files
package import Interactions
package import Models

extension OfflineSession {
    /// Items per golden case.
    private static var itemCount: Int { 10 }

    /// Computes golden cases for users whose histories the bundle knows, evenly spaced by history length from shortest
    /// to longest.
    ///
    /// - Returns: at most `count` cases; fewer if there are fewer such users.
    /// - Throws: `FileError`; the device's errors; `InteractionLogError` if the bundle knows no user's history.
    package func goldenCases(_ log: InteractionLog, count: Int) throws -> GoldenCases {
        // By length, then by log order, so that the same file gives the same cases.
        let histories = log.users.compactMap(request).enumerated().sorted {
            ($0.element.history.count, $0.offset) < ($1.element.history.count, $1.offset)
        }
        guard !histories.isEmpty else {
            throw InteractionLogError(description: "no user has a history of items that the bundle knows")
        }
        let last = min(count, histories.count) - 1
        var cases: [GoldenCases.Case] = []
        for index in 0...last {
            var one = histories[last == 0 ? 0 : index * (histories.count - 1) / last].element
            one.items = try executor.answer(one, count: Self.itemCount, loaded)
            if !one.items.isEmpty { cases.append(one) }
        }
        guard !cases.isEmpty else {
            throw InteractionLogError(description: "the bundle recommends nothing to any user")
        }
        return GoldenCases(cases: cases, weights: try bundle.weights.sha256())
    }

    /// A user's events except the last, whose time becomes the request's, limited to the window.
    private func request(_ user: InteractionLog.User) -> GoldenCases.Case? {
        guard let last = user.events.last else { return nil }
        let known = user.events.dropLast().compactMap { event in
            bundle.catalogue.row(of: event.item).map { (row: $0, time: event.timestamp) }
        }
        guard !known.isEmpty else { return nil }
        let seen = known.suffix(loaded.window.length)
        return GoldenCases.Case(
            history: seen.map(\.row),
            timestamps: seen.map(\.time),
            requestTime: last.timestamp,
            items: []
        )
    }

    /// Writes golden cases into the bundle, replacing existing ones.
    package func write(_ golden: GoldenCases) throws(FileError) {
        var file = try FileWriter(path: bundle.directory + "/" + GoldenCases.fileName)
        try file.append(golden.text(bundle.catalogue).utf8)
        try file.commit()
    }
}
