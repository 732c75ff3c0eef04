// The candidates of `/rank` requests.

internal import JSON
internal import Random

/// The items of the histories, shuffled. A pure value.
struct CandidatePool: Sendable {
    /// Distinct ids as JSON.
    private let items: [[UInt8]]
    private let count: Int

    /// - Parameter count: candidates per request; fewer if the histories have fewer items.
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
        // The same order for all workers and runs; they differ only in which items a request names.
        var generator = SplitMix64(seed: 1)
        items.shuffle(using: &generator)
        self.items = items
        self.count = min(count, items.count)
    }

    /// Writes `candidates`, different ones for each request.
    ///
    /// - Parameter number: the request's number, from 0.
    func write(for number: Int, to writer: inout JSONWriter) {
        writer.beginArray("candidates")
        // Consecutive requests start far apart.
        let first = number % items.count * 7_919
        for index in 0..<count {
            writer.value { $0.append(contentsOf: items[(first + index) % items.count]) }
        }
        writer.endArray()
    }
}
