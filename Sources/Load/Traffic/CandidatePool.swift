// The candidates of requests to `/rank`.

internal import JSON
internal import Random

/// Items of histories, in an order that has nothing to do with them. A pure value.
struct CandidatePool: Sendable {
    /// Ids as JSON, each once.
    private let items: [[UInt8]]
    private let count: Int

    /// - Parameter count: candidates of a request; fewer if the histories have fewer items.
    init(_ histories: [History], count: Int) {
        var items: [[UInt8]] = []
        var known: Set<[UInt8]> = []
        for history in histories {
            for event in 0..<history.count {
                var item: [UInt8] = []
                history.appendItem(event, to: &item)
                if known.insert(item).inserted { items.append(item) }
            }
        }
        // The same for all workers and runs: only which of them a request names differs.
        var generator = SplitMix64(seed: 1)
        items.shuffle(using: &generator)
        self.items = items
        self.count = min(count, items.count)
    }

    /// Writes `candidates`: others for another request.
    ///
    /// - Parameter number: of the request, from 0.
    func write(for number: Int, to writer: inout JSONWriter) {
        writer.beginArray("candidates")
        // Neighbouring requests begin far apart.
        let first = number % items.count * 7_919
        for index in 0..<count {
            writer.value { $0.append(contentsOf: items[(first + index) % items.count]) }
        }
        writer.endArray()
    }
}
