// A bundle on a device without a server: what `evaluate` and `bench` work with. Everything runs on the calling thread.

internal import Compute
internal import Engine
internal import Models

/// A loaded bundle that is driven directly.
package final class OfflineSession {
    private let bundle: ModelBundle
    private let executor: BatchExecutor

    /// Loads and verifies the bundle and hands it to the device.
    package init(bundlePath: String, compute: ComputeSettings) throws {
        bundle = try ModelBundle.load(directory: bundlePath)
        let device = try compute.makeDevice()
        let model = try ModelRegistry.makeModel(bundle, on: device)
        executor = try BatchExecutor(
            LoadedModel(device: device, model: model, owner: bundle),
            catalogue: bundle.catalogue
        )
    }

    /// Ranks every user's last event; see `Evaluator`.
    package func evaluate(
        _ log: InteractionLog,
        progress: (_ done: Int, _ total: Int) -> Void
    ) throws -> EvaluationReport {
        try Evaluator(executor: executor, catalogue: bundle.catalogue, limits: SchedulerConfiguration())
            .evaluate(log, progress: progress)
    }

    /// Times batches of equal histories.
    ///
    /// - Parameters:
    ///   - batch: histories in a batch.
    ///   - length: events of each; nil: the model's window, which is also the most.
    ///   - seconds: how long to measure; at least 30 batches run however long they take.
    package func bench(batch: Int, length: Int?, seconds: Double) throws -> BenchReport {
        let length = min(length ?? executor.window, executor.window)
        // Spread over the catalogue, so that the gather does not find one row in the cache again and again.
        let rows = bundle.catalogue.popularityOrder
        let requests = (0..<batch).map { sequence in
            RecommendationRequest(
                history: (0..<length).map { rows[(sequence * 7_919 + $0 * 104_729) % rows.count] },
                timestamps: (0..<length).map { 1_700_000_000 + Int64($0) * 4_111 },
                requestTime: 1_700_000_000 + Int64(length) * 4_111,
                count: min(10, rows.count),
                arrival: .now()
            )
        }
        for _ in 0..<3 { _ = try executor.run(requests) }
        var durations: [UInt64] = []
        let end = Instant.now().advanced(by: UInt64(seconds * 1e9))
        repeat {
            let start = Instant.now()
            _ = try executor.run(requests)
            durations.append(Instant.now().nanoseconds(since: start))
        } while durations.count < 30 || Instant.now() < end
        let operations = bundle.configuration.architecture.configuration.operations(length: length)
        return BenchReport(
            batch: batch,
            length: length,
            device: executor.device,
            operationsPerSequence: operations.total,
            durations: durations
        )
    }
}
