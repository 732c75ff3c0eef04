// Beam rows: the part of a batch that searches token paths, besides the histories and prompts that it encodes.

package import Compute

/// One round of beams for some requests. Each row reads one token, attends to its request's prompt and its own
/// ancestors, and yields a query.
package struct BeamBatch {
    /// Beams of each request.
    package var layout: Jagged
    /// The token that each row reads, a row of the item table.
    package var tokens: [Int32]
    /// The prompts, and the pages that also hold the rows of earlier beams.
    package var prompts: CachedRows
    /// One per request. A row's position follows the prompt and its ancestors.
    package var groups: [BeamGroup]
    /// Number of rows of earlier beams in each group's `beamPages`; the batch's rows are stored after them. nil: the
    /// batch's rows are not stored, because nothing will read them.
    package var storedBehind: [Int?]

    package init(
        layout: Jagged,
        tokens: [Int32],
        prompts: CachedRows,
        groups: [BeamGroup],
        storedBehind: [Int?]
    ) {
        self.layout = layout
        self.tokens = tokens
        self.prompts = prompts
        self.groups = groups
        self.storedBehind = storedBehind
    }

    /// The beams of some of the requests.
    func part(_ requests: Range<Int>) -> BeamBatch {
        BeamBatch(
            layout: Jagged(lengths: requests.map { layout.length(of: $0) }),
            tokens: Array(tokens[Int(layout.offsets[requests.lowerBound])..<Int(layout.offsets[requests.upperBound])]),
            prompts: CachedRows(pages: prompts.pages, sequences: Array(prompts.sequences[requests])),
            groups: Array(groups[requests]),
            storedBehind: Array(storedBehind[requests])
        )
    }

    /// One entry per row.
    var positions: [Int32] {
        groups.indices.flatMap { group in
            let rows = layout.length(of: group)
            let depth = rows > 0 ? groups[group].ancestors.count / rows : 0
            return [Int32](repeating: Int32(prompts.sequences[group].rows + depth), count: rows)
        }
    }

    /// Where the rows are stored in a layer; nil if none are stored.
    func stores(layer: Int) -> CachedPrefix? {
        guard storedBehind.contains(where: { $0 != nil }) else { return nil }
        let sequences = zip(groups, storedBehind).map { group, rows in
            PagedSequence(rows: rows ?? 0, pages: group.beamPages, storesRows: rows != nil)
        }
        return CachedPrefix(cached: CachedRows(pages: prompts.pages, sequences: sequences), layer: layer)
    }

    /// Throws `ComputeError.invalidArgument` if a model cannot encode the rows.
    func requireUsable(_ reuse: PrefixReuse) throws(ComputeError) {
        func refused(_ text: String) -> ComputeError { ComputeError(.invalidArgument, "beams: \(text)") }
        guard case .exact(let shape, _) = reuse else { throw refused("the model cannot reuse a prompt's rows") }
        guard prompts.pages.shape == shape else {
            throw refused("the pages have shape \(prompts.pages.shape), but the model needs \(shape)")
        }
        guard tokens.count == layout.rows, groups.count == layout.count, storedBehind.count == layout.count,
            prompts.sequences.count == layout.count
        else {
            throw refused(
                "\(tokens.count) tokens, \(groups.count) groups and \(storedBehind.count) places for \(layout.count) requests"
            )
        }
    }
}

/// A decoder over tokens: it gives the probability of any token after any query row.
package protocol TokenDecoder: DecoderModel {
    /// Rows of the item table: tokens.
    var vocabulary: Int { get }

    /// Whether items are tuples of tokens; if not, they are rows of the table and tokens have no probabilities.
    var hasTokens: Bool { get }

    /// log p of given tokens after each query.
    ///
    /// - Parameters:
    ///   - queries: (R, D), from `encode`.
    ///   - tokens: query r has those from `offsets[r]` to `offsets[r + 1]`, ascending.
    ///   - normalizations: one per query.
    /// - Returns: the ticket for the stream's `logProbabilities` after synchronisation.
    func scoreTokens(
        after queries: Tensor,
        tokens: [Int32],
        offsets: [Int],
        normalizations: [TokenNormalization],
        on stream: any Stream
    ) throws(ComputeError) -> TokenScoresTicket
}

/// The output rows of all tokens, in blocks, so that the scores of a whole vocabulary are never in memory at once.
struct TokenHead {
    /// Rows per block: a product large enough to be fast, and scores of a few hundred rows that stay in the caches.
    static let blockRows = 2048

    let blocks: [any LinearWeights]

    /// - Parameters:
    ///   - name: a tensor (rows, D).
    init(_ name: String, rows: Int, _ loader: WeightLoader) throws(ComputeError) {
        let tensor = try loader.tensor(name)
        var blocks: [any LinearWeights] = []
        for begin in stride(from: 0, to: rows, by: Self.blockRows) {
            let range = begin..<min(begin + Self.blockRows, rows)
            blocks.append(try loader.device.makeLinear(tensor, layout: .outputMajor, columns: [range], bias: nil))
        }
        self.blocks = blocks
    }
}
