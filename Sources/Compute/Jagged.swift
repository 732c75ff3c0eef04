// The layout of a batch's sequences in a jagged tensor.

/// The layout of a jagged batch: sequence b owns rows `offsets[b] ..< offsets[b + 1]`.
///
/// Host values, because every device plans its work from them (work split on the CPU; shape buckets and descriptors on
/// an NPU). A device that needs them in its own memory uploads them with the batch's other inputs.
package struct Jagged {
    /// B + 1 row offsets, starting at 0, never decreasing.
    package let offsets: [Int32]

    package init(offsets: [Int32]) {
        precondition(offsets.first == 0, "jagged offsets start at 0")
        self.offsets = offsets
    }

    /// The layout of sequences with these lengths, in order.
    package init(lengths: some Collection<Int>) {
        var offsets: [Int32] = [0]
        offsets.reserveCapacity(lengths.count + 1)
        var end: Int32 = 0
        for length in lengths {
            end += Int32(length)
            offsets.append(end)
        }
        self.offsets = offsets
    }

    /// Number of sequences, B.
    package var count: Int { offsets.count - 1 }
    /// Number of rows of all sequences together, R.
    package var rows: Int { Int(offsets[count]) }

    /// Number of rows of one sequence.
    package func length(of sequence: Int) -> Int { Int(offsets[sequence + 1] - offsets[sequence]) }

    /// The layout of whole sequences, with cached and own rows. Timestamps and positions are counted by it.
    package func extended(by cached: CachedRows?) -> Jagged {
        guard let cached else { return self }
        return Jagged(lengths: (0..<count).map { length(of: $0) + cached.sequences[$0].rows })
    }
}
