// A bundle on a device without a server, for `evaluate` and `bench`. Everything runs on the calling thread.

internal import Catalogue
internal import Compute
package import Devices
internal import Engine
package import Interactions
package import Models

/// A loaded bundle that is called directly.
package final class OfflineSession {
    let bundle: ModelBundle
    private let device: any Device
    private let model: any DecoderModel
    let executor: BatchExecutor
    /// The model that requests name.
    let loaded: LoadedModel

    /// Runs the body with a session and then releases the process's device resources.
    ///
    /// - Parameter ignoresGolden: as `ModelBundle.load`.
    /// - Throws: the errors of `init` and of the body; `ComputeError` if the device does not shut down cleanly.
    package static func with<Value>(
        bundlePath: String,
        compute: ComputeSettings,
        ignoresGolden: Bool = false,
        _ body: (OfflineSession) throws -> Value
    ) throws -> Value {
        // Reports the first error, not its consequences.
        let outcome = Result { try body(OfflineSession(bundlePath, compute, ignoresGolden)) }
        do {
            try compute.releaseProcess()
        } catch {
            _ = try outcome.get()
            throw error
        }
        return try outcome.get()
    }

    /// Loads and verifies the bundle and puts it on the device.
    private init(_ bundlePath: String, _ compute: ComputeSettings, _ ignoresGolden: Bool) throws {
        guard compute.devices.count == 1, let kind = compute.devices.first else {
            throw DeviceSelectionError(
                description: "this command uses one device, not \(compute.devices.count)"
            )
        }
        bundle = try ModelBundle.load(directory: bundlePath, ignoresGolden: ignoresGolden)
        device = try compute.makeDevice(kind)
        loaded = LoadedModel(bundle)
        model = try ModelRegistry.makeModel(bundle, on: device)
        executor = try BatchExecutor(
            ResidentModel(device: device, model: model),
            cacheBytes: Self.searchBytes(bundle)
        )
    }

    /// Bytes for the rows of the longest prompt and of its beams; 0 if items are rows of the table. Capped at what most
    /// machines have: prompts that need more are refused.
    private static func searchBytes(_ bundle: ModelBundle) -> Int {
        guard let ids = bundle.configuration.semanticIDs else { return 0 }
        let model = bundle.architecture.configuration
        let beams = BeamSearch.mostRows(
            widths: Array(repeating: ids.defaultBeams, count: ids.levels),
            tail: ids.template.tail.count
        )
        return min(4 << 30, (model.maxSequenceLength + beams + 2_048) * model.cacheBytesPerEvent(.float32))
    }

    /// Ranks every user's last event; see `Evaluator`.
    ///
    /// - Parameter beams: beams per search, if items are paths of tokens; nil: the bundle's default.
    package func evaluate(
        _ log: InteractionLog,
        beams: Int? = nil,
        progress: (_ done: Int, _ total: Int) -> Void
    ) throws -> EvaluationReport {
        try Evaluator(executor: executor, model: loaded, limits: SchedulerConfiguration(), beams: beams)
            .evaluate(
                log,
                label: "\(bundle.configuration.name) \(bundle.configuration.version)",
                progress: progress
            )
    }

    /// The bundle's contents.
    package var inspection: BundleInspection { BundleInspection(bundle) }

    /// Times batches of equal shape.
    ///
    /// - Parameters:
    ///   - batch: histories per batch.
    ///   - length: events per history; nil: the model's window, which is also the maximum.
    ///   - append: how many of them are computed, with the others cached; nil: all, without a cache.
    ///   - count: items selected per history.
    ///   - candidates: items scored per history instead; nil: items are selected from the whole catalogue.
    ///   - beams: beams per search, if items are paths of tokens; nil: the default of requests. Lengths are then prompt
    ///     lengths in tokens.
    ///   - unavailable: also times the selection with this share of the items unavailable; nil: does not.
    ///   - seconds: how long to measure; at least 30 batches run, and as many in two parts.
    package func bench(
        batch: Int,
        length: Int?,
        append: Int?,
        count: Int,
        candidates: Int? = nil,
        beams: Int? = nil,
        unavailable: Double? = nil,
        seconds: Double
    ) throws -> BenchReport {
        if let paths = loaded.paths {
            return try benchSearches(
                paths,
                batch: batch,
                length: min(length ?? paths.longestPrompt, paths.longestPrompt),
                append: append,
                count: count,
                candidates: candidates,
                beams: beams,
                seconds: seconds
            )
        }
        guard beams == nil else { throw BenchmarkError(description: "--beams is for models with semantic ids") }
        let length = min(length ?? model.window, model.window)
        var benchmark = try BatchBenchmark(
            bundle,
            model,
            device,
            sequences: batch,
            length: length,
            append: append,
            count: count,
            candidates: candidates,
            unavailable: unavailable
        )
        for _ in 0..<3 { try benchmark.run() }
        // Before and after, because the better one is what the machine could have reached.
        let peakBefore = device.measurePeakRate()
        var whole: [UInt64] = []
        var prefill: [UInt64] = []
        var selection: [UInt64] = []
        var reduced: [UInt64] = []
        // Not between the batches, which would find less in the processor's caches afterwards.
        var reads = (0..<15).compactMap { _ in device.measureRead(of: model.catalogue) }
        let end = Instant.now().advanced(by: UInt64(seconds * 1e9))
        repeat {
            // Alternating, so that a disturbance of the machine affects both.
            let start = Instant.now()
            try benchmark.run()
            let middle = Instant.now()
            var encoded = middle
            try benchmark.runInParts { encoded = Instant.now() }
            whole.append(middle.nanoseconds(since: start))
            prefill.append(encoded.nanoseconds(since: middle))
            selection.append(Instant.now().nanoseconds(since: encoded))
            if unavailable != nil {
                try benchmark.runInParts(isReduced: true) { encoded = Instant.now() }
                reduced.append(Instant.now().nanoseconds(since: encoded))
            }
        } while whole.count < 30 || Instant.now() < end
        reads += (0..<15).compactMap { _ in device.measureRead(of: model.catalogue) }
        let peaks = [peakBefore, device.measurePeakRate()].compactMap { $0 }
        let computed = append ?? length
        let operations = bundle.configuration.architecture.configuration
            .neededOperations(length: computed, cached: length - computed)
        // Only these rows are scored.
        let share = candidates.map { min(1, Double($0) / Double(bundle.catalogue.count)) } ?? 1
        return BenchReport(
            batch: batch,
            length: length,
            append: append,
            candidates: candidates,
            device: device.description,
            operationsPerSequence: operations.total - operations.scoring + Int(Double(operations.scoring) * share),
            peakRate: peaks.max(),
            read: candidates != nil
                ? nil : reads.first.map { (Double($0.byteCount), Durations(reads.map(\.nanoseconds))) },
            durations: Durations(whole),
            prefill: Durations(prefill),
            selection: Durations(selection),
            reduced: unavailable.map { ($0, Durations(reduced)) }
        )
    }

    private func benchSearches(
        _ paths: PathCatalogue,
        batch: Int,
        length: Int,
        append: Int?,
        count: Int,
        candidates: Int?,
        beams: Int?,
        seconds: Double
    ) throws -> BenchReport {
        let benchmark = try SearchBenchmark(
            bundle,
            loaded,
            paths,
            ResidentModel(device: device, model: model),
            sequences: batch,
            length: length,
            append: append,
            count: count,
            beams: beams,
            candidates: candidates
        )
        let shape = try benchmark.run()
        let peakBefore = device.measurePeakRate()
        var whole: [UInt64] = []
        var prefill: [UInt64] = []
        var rounds: [UInt64] = []
        let end = Instant.now().advanced(by: UInt64(seconds * 1e9))
        repeat {
            let start = Instant.now()
            var prompted = start
            _ = try benchmark.run { prompted = .now() }
            let done = Instant.now()
            whole.append(done.nanoseconds(since: start))
            prefill.append(prompted.nanoseconds(since: start))
            rounds.append(done.nanoseconds(since: prompted))
        } while whole.count < 5 || Instant.now() < end
        let peaks = [peakBefore, device.measurePeakRate()].compactMap { $0 }
        let computed = append ?? length
        let architecture = bundle.configuration.architecture.configuration
        // A beam's row follows the prompt, and each one scores all tokens.
        let ofBeams = shape.rowsByRound.enumerated().reduce(0) { sum, round in
            sum + round.element * architecture.neededOperations(length: 1, cached: length + round.offset).total
        }
        return BenchReport(
            batch: batch,
            length: length,
            append: append,
            candidates: candidates,
            beamRows: shape.rowsByRound,
            device: device.description,
            operationsPerSequence: architecture.neededOperations(length: computed, cached: length - computed).total
                + ofBeams,
            peakRate: peaks.max(),
            read: nil,
            durations: Durations(whole),
            prefill: Durations(prefill),
            selection: Durations(rounds)
        )
    }
}
