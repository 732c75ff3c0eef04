// The operations that beam search over tokens needs in addition to those of every decoder: attention of rows that share
// a prompt, and log-probabilities of a few tokens of a vocabulary.

/// The beams of one request, which follow its prompt.
package struct BeamGroup: Sendable, Equatable {
    /// The pages of earlier beam rows: row r is in page `beamPages[r / pageRows]`.
    package var beamPages: [Int32]
    /// The ancestors of each row of the group, in row order: numbers of rows in `beamPages`, oldest first. All rows
    /// have the same number.
    package var ancestors: [Int32]

    package init(beamPages: [Int32], ancestors: [Int32]) {
        self.beamPages = beamPages
        self.ancestors = ancestors
    }
}

/// Softmax attention of beams: a row attends to every row of its request's prompt, its ancestors, and itself. Prompt
/// rows are processed in blocks from the first row on, and the other rows as the last block, so that the result does
/// not depend on the rest of the batch.
package struct BeamAttentionOperation {
    /// The beam rows of each request, all of them queries, without bias or first-row weights. The prefix holds the
    /// prompts, each with at least one row.
    package var attention: AttentionOperation
    /// One group per request.
    package var groups: [BeamGroup]

    package init(_ attention: AttentionOperation, groups: [BeamGroup]) {
        self.attention = attention
        self.groups = groups
    }

    package var layout: Jagged { attention.layout }

    /// The most ancestors of a row.
    package static let mostAncestors = 63

    /// Ancestors of each row of a group.
    package func depth(of group: Int) -> Int {
        layout.length(of: group) > 0 ? groups[group].ancestors.count / layout.length(of: group) : 0
    }

    /// - Parameter own: returns the prompts' pool as an instance of its device's own class.
    /// - Returns: the shape of the attention, and the prompts.
    /// - Throws: `ComputeError.invalidArgument` unless all parts fit each other, and the errors of `own`.
    package func checked<Pages: KeyValuePages>(
        own: (any KeyValuePages) throws(ComputeError) -> Pages
    ) throws(ComputeError) -> (shape: AttentionShape<Pages>, prompts: CheckedPrefix<Pages>) {
        func refused(_ text: String) -> ComputeError { ComputeError(.invalidArgument, "beam attention: \(text)") }
        let shape = try attention.checkedShape(own: own)
        guard let prompts = shape.prefix, attention.weights == .softmax, attention.queryRows == .all else {
            throw refused("it needs prompts and softmax attention of all rows")
        }
        guard groups.count == layout.count else {
            throw refused("there are \(groups.count) groups, but the batch has \(layout.count)")
        }
        let pool = prompts.pages
        for (number, group) in groups.enumerated() {
            let count = layout.length(of: number)
            guard group.ancestors.count % count == 0, group.ancestors.count / count <= Self.mostAncestors else {
                throw refused("group \(number) has \(count) rows and \(group.ancestors.count) ancestors")
            }
            guard prompts.sequences[number].rows > 0 else { throw refused("group \(number) has no prompt") }
            for page in group.beamPages where page < 0 || Int(page) >= pool.pageCount {
                throw refused("group \(number) has page \(page) of a pool of \(pool.pageCount)")
            }
            for row in group.ancestors where row < 0 || Int(row) / pool.pageRows >= group.beamPages.count {
                throw refused("group \(number) has ancestor \(row) on \(group.beamPages.count) pages")
            }
        }
        return (shape, prompts)
    }
}

/// The set over which the probabilities of a row's tokens sum to 1.
package enum TokenNormalization: Sendable, Equatable {
    /// All tokens in a range: the vocabulary, or the codes of a level.
    case tokens(Range<Int>)
    /// The row's own tokens.
    case candidates
}

/// log p of some tokens after each row: `x_t − log Σ_u e^{x_u}` with `x_t = query · head row t`, natural logarithm.
package struct TokenScoresOperation {
    /// (R, D)
    package var queries: Tensor
    /// The head's rows: block b starts at row b · `blockRows` and maps D to `blockRows` outputs; the last may have
    /// fewer.
    package var blocks: [any LinearWeights]
    package var blockRows: Int
    /// The tokens to score after row r are `tokens[offsets[r] ..< offsets[r + 1]]`, ascending.
    package var tokens: [Int32]
    package var offsets: [Int]
    /// One normalisation per row.
    package var normalizations: [TokenNormalization]

    package init(
        queries: Tensor,
        blocks: [any LinearWeights],
        blockRows: Int,
        tokens: [Int32],
        offsets: [Int],
        normalizations: [TokenNormalization]
    ) {
        self.queries = queries
        self.blocks = blocks
        self.blockRows = blockRows
        self.tokens = tokens
        self.offsets = offsets
        self.normalizations = normalizations
    }

    /// Rows of the head.
    package var vocabulary: Int { blocks.isEmpty ? 0 : (blocks.count - 1) * blockRows + (blocks.last?.outputs ?? 0) }

    /// - Throws: `ComputeError.invalidArgument` unless all parts fit each other.
    package func check() throws(ComputeError) {
        func refused(_ text: String) -> ComputeError { ComputeError(.invalidArgument, "token scores: \(text)") }
        try queries.require(
            .float32,
            rows: queries.rows,
            columns: queries.columns,
            in: "token scores",
            as: "query tensor"
        )
        guard blockRows > 0, blocks.dropLast().allSatisfy({ $0.outputs == blockRows }),
            blocks.allSatisfy({ $0.inputs == queries.columns && $0.outputs <= blockRows })
        else { throw refused("the head's blocks do not fit queries of \(queries.columns) columns") }
        guard offsets.count == queries.rows + 1, normalizations.count == queries.rows, offsets.first == 0,
            offsets.last == tokens.count, zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 })
        else { throw refused("offsets and normalizations are not those of \(queries.rows) rows") }
        for row in 0..<queries.rows {
            var last: Int32 = -1
            for token in tokens[offsets[row]..<offsets[row + 1]] {
                guard token > last, Int(token) < vocabulary else {
                    throw refused("row \(row) has token \(token) after \(last), of a vocabulary of \(vocabulary)")
                }
                last = token
            }
            if case .tokens(let range) = normalizations[row] {
                guard range.lowerBound >= 0, range.upperBound <= vocabulary, !range.isEmpty else {
                    throw refused("row \(row) sums over \(range) of a vocabulary of \(vocabulary)")
                }
            }
        }
    }

    /// Whether any row needs a score of a block.
    package func needs(block: Int) -> Bool {
        let own = block * blockRows..<block * blockRows + blocks[block].outputs
        for row in normalizations.indices {
            if case .tokens(let range) = normalizations[row], range.overlaps(own) { return true }
            if tokens[offsets[row]..<offsets[row + 1]].contains(where: { own.contains(Int($0)) }) { return true }
        }
        return false
    }

    /// The log-probabilities of a row's tokens, from their scores.
    package static func logProbabilities(_ scores: ArraySlice<Float>, logSum: Double) -> [Float] {
        scores.map { Float(Double($0) - logSum) }
    }
}

/// The result of `tokenScores`, available once the stream has been synchronised.
package struct TokenScoresTicket: Sendable, Equatable {
    package let id: Int

    package init(id: Int) {
        self.id = id
    }
}
