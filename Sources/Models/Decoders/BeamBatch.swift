// Rows of beams: the part of a batch that searches token paths, in addition to the histories and prompts that it
// encodes.

package import Compute

/// One round of some requests' beams. Every row reads one token, sees its request's prompt and its own ancestors, and
/// has a question.
package struct BeamBatch {
    /// Beams of each request.
    package var layout: Jagged
    /// The token that each row reads, a row of the item table.
    package var tokens: [Int32]
    /// Holds the prompts and the rows of earlier beams.
    package var pages: any KeyValuePages
    /// One per request. A row's position follows the prompt and its ancestors.
    package var groups: [BeamGroup]
    /// Rows of earlier beams that each group's `beamPages` hold; the batch's own are stored after them. nil: they are
    /// not stored, because nothing will read them.
    package var storedBehind: [Int?]

    package init(
        layout: Jagged,
        tokens: [Int32],
        pages: any KeyValuePages,
        groups: [BeamGroup],
        storedBehind: [Int?]
    ) {
        self.layout = layout
        self.tokens = tokens
        self.pages = pages
        self.groups = groups
        self.storedBehind = storedBehind
    }

    /// The beams of some of the requests.
    func part(_ requests: Range<Int>) -> BeamBatch {
        BeamBatch(
            layout: Jagged(lengths: requests.map { layout.length(of: $0) }),
            tokens: Array(tokens[Int(layout.offsets[requests.lowerBound])..<Int(layout.offsets[requests.upperBound])]),
            pages: pages,
            groups: Array(groups[requests]),
            storedBehind: Array(storedBehind[requests])
        )
    }

    /// One entry per row.
    var positions: [Int32] {
        groups.indices.flatMap { group in
            let rows = layout.length(of: group)
            let depth = rows > 0 ? groups[group].ancestors.count / rows : 0
            return [Int32](repeating: Int32(groups[group].promptRows + depth), count: rows)
        }
    }

    /// The location of the stored rows in a layer; nil if none are stored.
    func stores(layer: Int) -> CachedPrefix? {
        guard storedBehind.contains(where: { $0 != nil }) else { return nil }
        let sequences = zip(groups, storedBehind).map { group, rows in
            PagedSequence(rows: rows ?? 0, pages: group.beamPages, storesRows: rows != nil)
        }
        return CachedPrefix(cached: CachedRows(pages: pages, sequences: sequences), layer: layer)
    }

    /// Throws `ComputeError.invalidArgument` where a model cannot encode the rows.
    func requireUsable(_ reuse: PrefixReuse) throws(ComputeError) {
        func refused(_ text: String) -> ComputeError { ComputeError(.invalidArgument, "beams: \(text)") }
        guard case .exact(let shape, _) = reuse else { throw refused("the model keeps no rows of a prompt") }
        guard pages.shape == shape else { throw refused("pages are of \(pages.shape), the model has \(shape)") }
        guard tokens.count == layout.rows, groups.count == layout.count, storedBehind.count == layout.count else {
            throw refused(
                "\(tokens.count) tokens, \(groups.count) groups and \(storedBehind.count) places for \(layout.count) requests"
            )
        }
    }
}

/// A decoder over tokens: it gives the probability of any token after any row with a question.
package protocol TokenDecoder: DecoderModel {
    /// Rows of the item table: tokens.
    var vocabulary: Int { get }

    /// Whether items are tuples of tokens; otherwise each is a row of the table, and there are no token probabilities.
    var hasTokens: Bool { get }

    /// log p of some tokens after each of some queries.
    ///
    /// - Parameters:
    ///   - queries: (R, D), of `encode`.
    ///   - tokens: of query r those from `offsets[r]` to `offsets[r + 1]`, ascending.
    ///   - normalizations: one per query.
    /// - Returns: the ticket for the stream's `logProbabilities` once it has been synchronised.
    func scoreTokens(
        after queries: Tensor,
        tokens: [Int32],
        offsets: [Int],
        normalizations: [TokenNormalization],
        on stream: any Stream
    ) throws(ComputeError) -> TokenScoresTicket
}

/// The rows that a token's score is the product with, in blocks: scores of a whole vocabulary are never in memory at
/// once.
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
