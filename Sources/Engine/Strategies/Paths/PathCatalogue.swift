// The items of a model with semantic ids: paths of tokens, laid out for prompts and sorted into a trie for searches.

package import Catalogue
internal import Compute
package import Models

/// A catalogue of token paths. Immutable; built once for a bundle and shared by all its catalogue snapshots.
package final class PathCatalogue: Sendable {
    package let ids: SemanticIDs
    package let trie: PathTrie
    /// Position sets shared by the filters of requests.
    package let positionSets = PositionSets()
    /// Rows of the decoder's table.
    package let vocabulary: Int
    /// The most tokens that the decoder reads.
    package let window: Int
    /// The most items that share one path.
    package let largestPath: Int
    /// How long it took to build the trie.
    package let buildNanoseconds: UInt64

    /// - Parameter catalogue: its rows have paths of `ids.levels` tokens.
    package init(_ catalogue: Catalogue, _ ids: SemanticIDs, vocabulary: Int, window: Int) {
        let start = Instant.now()
        self.ids = ids
        self.vocabulary = vocabulary
        self.window = window
        trie = PathTrie(tokens: catalogue.tokens, levels: ids.levels)
        buildNanoseconds = Instant.now().nanoseconds(since: start)
        largestPath = trie.largestPath
    }

    /// The catalogue of a bundle; nil if its items are rows of the table.
    package convenience init?(_ bundle: ModelBundle) {
        guard let ids = bundle.configuration.semanticIDs else { return nil }
        let model = bundle.architecture.configuration
        self.init(bundle.catalogue, ids, vocabulary: model.rows, window: model.maxSequenceLength)
    }

    /// Tokens of the longest prompt that leaves room for a path and the tail.
    package var longestPrompt: Int { window - ids.levels - ids.template.tail.count }

    /// The tokens scored after every path.
    var tail: [Int32] { ids.scoreTail ? ids.template.tail : [] }

    /// The prompt of a history of these items, oldest first.
    func prompt(_ items: some Sequence<Int32>) -> [Int32] { ids.template.prompt(items.map { trie.path(of: $0) }) }

    /// The number of complete items among the first `count` tokens of a prompt.
    func items(inTokens count: Int) -> Int {
        let template = ids.template
        let item = template.open.count + ids.levels + template.close.count
        let left = count - template.before.count
        return left < item ? 0 : 1 + (left - item) / (item + template.between.count)
    }

    /// The normalisation of the token probabilities of a level or, if `level` is nil, of the tail.
    func normalization(level: Int?) -> TokenNormalization {
        guard let level else { return .tokens(0..<vocabulary) }
        switch ids.normalization {
        case .vocabulary: return .tokens(0..<vocabulary)
        case .allowed: return .candidates
        case .level:
            guard let range = ids.ranges?[level] else { return .tokens(0..<vocabulary) }
            return .tokens(range.first..<range.first + range.count)
        }
    }
}
