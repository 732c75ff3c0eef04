// Log-probabilities of tokens. The products of the vocabulary's blocks stay on the device until the batch has run; then
// the host sums their exponentials in float64.

package import Compute
internal import Glibc

/// Token scores of a batch.
struct TokenScores {
    let operation: TokenScoresOperation
    /// (R, block) float32 for each block; nil if nothing of the block is needed.
    let scores: [View?]
    var logProbabilities: [Float] = []
}

extension AscendStream {
    package func tokenScores(_ operation: TokenScoresOperation) throws(ComputeError) -> TokenScoresTicket {
        try operation.check()
        var scores: [View?] = []
        for block in operation.blocks.indices {
            guard operation.needs(block: block) else {
                scores.append(nil)
                continue
            }
            let weights = operation.blocks[block]
            let output = try makeTensor(rows: operation.queries.rows, columns: weights.outputs, dtype: .float32)
            try linear(LinearOperation(input: .plain(operation.queries), weights: weights, output: output))
            scores.append(View(output))
        }
        tokenResults.append(TokenScores(operation: operation, scores: scores))
        return TokenScoresTicket(id: tokenResults.count - 1)
    }

    /// Computes the log-probabilities once the batch has run.
    func finishTokenScores() throws(ComputeError) {
        for number in tokenResults.indices {
            tokenResults[number].logProbabilities = try finished(tokenResults[number])
        }
    }

    private func finished(_ scores: TokenScores) throws(ComputeError) -> [Float] {
        let operation = scores.operation
        var kept = [Float](repeating: 0, count: operation.tokens.count)
        var next = Array(operation.offsets.dropLast())
        var sums = [(most: Double, total: Double)](repeating: (-.infinity, 0), count: operation.queries.rows)
        for (block, view) in scores.scores.enumerated() {
            guard let view else { continue }
            let columns = operation.blocks[block].outputs
            let begin = block * operation.blockRows
            let values: [Float] = try readBack(view.address, count: view.count)
            for row in 0..<operation.queries.rows {
                let own = values[row * columns..<(row + 1) * columns]
                while next[row] < operation.offsets[row + 1], Int(operation.tokens[next[row]]) < begin + columns {
                    kept[next[row]] = own[own.startIndex + Int(operation.tokens[next[row]]) - begin]
                    next[row] += 1
                }
                guard case .tokens(let range) = operation.normalizations[row] else { continue }
                let part = range.clamped(to: begin..<begin + columns)
                Self.add(
                    own[own.startIndex + part.lowerBound - begin..<own.startIndex + part.upperBound - begin],
                    to: &sums[row]
                )
            }
        }
        for row in 0..<operation.queries.rows {
            let own = operation.offsets[row]..<operation.offsets[row + 1]
            if operation.normalizations[row] == .candidates { Self.add(kept[own], to: &sums[row]) }
            let logSum = sums[row].most + log(sums[row].total)
            kept.replaceSubrange(own, with: TokenScoresOperation.logProbabilities(kept[own], logSum: logSum))
        }
        return kept
    }

    /// Adds exponentials of scores to a sum that is stored relative to its greatest score: `total` · e^`most`.
    private static func add(_ scores: ArraySlice<Float>, to sum: inout (most: Double, total: Double)) {
        guard let greatest = scores.max() else { return }
        if Double(greatest) > sum.most {
            sum.total *= exp(sum.most - Double(greatest))
            sum.most = Double(greatest)
        }
        for score in scores { sum.total += exp(Double(score) - sum.most) }
    }

    package func logProbabilities(_ ticket: TokenScoresTicket) -> [Float] { tokenResults[ticket.id].logProbabilities }
}
