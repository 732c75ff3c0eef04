// Runs one batch: histories in, selected rows out. The only place where requests meet the device; it belongs to the
// engine's thread.

package import Compute
package import Models

/// A model on a device, with a stream to run it on. Made on the thread that will use it.
package struct LoadedModel {
    package let device: any Device
    package let model: any DecoderModel
    /// What the model's weights may be mapped from: kept as long as the model is.
    package let owner: AnyObject

    package init(device: any Device, model: any DecoderModel, owner: AnyObject) {
        self.device = device
        self.model = model
        self.owner = owner
    }
}

/// Packs batches and runs them through the model and the selection.
package final class BatchExecutor {
    private let loaded: LoadedModel
    private let stream: any Stream
    private let catalogue: Catalogue

    /// What a batch took, in nanoseconds.
    package struct Durations: Sendable, Equatable {
        package var prefill: UInt64
        package var topK: UInt64
    }

    package init(_ loaded: LoadedModel, catalogue: Catalogue) throws(ComputeError) {
        self.loaded = loaded
        self.catalogue = catalogue
        stream = try loaded.device.makeStream()
    }

    /// What may be known of the device at any time.
    package var device: DeviceDescription { loaded.device.description }
    package var memory: DeviceMemory { loaded.device.memory }
    package var window: Int { loaded.model.window }

    /// Events of a history that the model sees.
    package func events(of request: RecommendationRequest) -> Int {
        min(request.history.count, loaded.model.window)
    }

    /// Computes the best rows for each request, in order. Histories are not empty.
    ///
    /// - Returns: for each request its rows, best first, fewer than asked for when fewer are eligible; row 0 with the score
    ///   NaN where the model's scores are not numbers.
    /// - Throws: what the device throws; then no request of the batch has an answer.
    package func run(
        _ requests: [RecommendationRequest]
    ) throws(ComputeError) -> (selections: [[ScoredRow]], durations: Durations) {
        let start = Instant.now()
        try stream.begin()
        let queries = try loaded.model.encode(pack(requests), on: stream)
        let encoded = Instant.now()
        let ticket = try stream.selectTopK(
            TopKOperation(
                queries: queries,
                catalogue: loaded.model.catalogue,
                masks: requests.map { $0.eligibility.mask(history: $0.history, catalogue: catalogue) },
                counts: requests.map { min($0.count, catalogue.count) }
            )
        )
        try stream.synchronize()
        let selections = requests.enumerated().map { index, request in
            let selection = stream.selected(ticket, query: index)
            // A score that is NaN is never selected. Nothing selected while something is eligible can mean only that.
            guard selection.isEmpty, catalogue.hasEligible(request) else { return selection }
            return [ScoredRow(row: 0, score: .nan)]
        }
        let durations = Durations(
            prefill: encoded.nanoseconds(since: start),
            topK: Instant.now().nanoseconds(since: encoded)
        )
        return (selections, durations)
    }

    /// Lays the newest events of all histories back to back.
    private func pack(_ requests: [RecommendationRequest]) -> SequenceBatch {
        let layout = Jagged(lengths: requests.map(events(of:)))
        var batch = SequenceBatch(layout: layout, items: [], timestamps: [], timed: [])
        batch.items.reserveCapacity(layout.rows)
        batch.timestamps.reserveCapacity(layout.rows + layout.count)
        for request in requests {
            let length = events(of: request)
            batch.items += request.history.suffix(length)
            if let timestamps = request.timestamps {
                batch.timestamps += timestamps.suffix(length)
                batch.timestamps.append(request.requestTime)
            } else {
                batch.timestamps += repeatElement(0, count: length + 1)
            }
            batch.timed.append(request.timestamps != nil)
        }
        return batch
    }
}
