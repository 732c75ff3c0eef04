// Checks the tensors of a weight file before a device packs them.

extension HostTensor {
    /// The address and number (at least 1) of the elements of a floating-point tensor of this rank.
    ///
    /// - Parameter use: what is made from the tensor, for errors: "a table".
    /// - Throws: `ComputeError.invalidArgument` for another rank, an element type that is not floating-point, an empty
    ///   tensor, or a byte count that does not match the shape.
    package func floats(rank: Int, for use: String) throws(ComputeError) -> (base: UnsafeRawPointer, count: Int) {
        switch dtype {
        case .float32, .float16, .bfloat16: break
        case .int8, .uint8, .bool, .int32, .int64:
            throw ComputeError(.invalidArgument, "\(name): \(use) cannot be made from \(dtype.rawValue)")
        }
        guard shape.count == rank else {
            throw ComputeError(.invalidArgument, "\(name): \(use) has rank \(rank), but the shape is \(shape)")
        }
        var size = dtype.byteCount
        for extent in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow else {
                throw ComputeError(.invalidArgument, "\(name): the shape \(shape) is not valid")
            }
            size = product
        }
        guard size == bytes.count else {
            throw ComputeError(.invalidArgument, "\(name): \(bytes.count) bytes for \(shape) of \(dtype.rawValue)")
        }
        guard size > 0, let base = bytes.baseAddress else {
            throw ComputeError(.invalidArgument, "\(name): \(use) cannot be made from an empty tensor")
        }
        return (base, count)
    }

    /// The number of columns that a projection takes from the `available` columns of this matrix.
    ///
    /// - Throws: `ComputeError.invalidArgument` if columns are missing, or none are taken.
    package func columnCount(_ ranges: [Range<Int>], of available: Int) throws(ComputeError) -> Int {
        var taken = 0
        for range in ranges {
            guard range.lowerBound >= 0, range.upperBound <= available else {
                throw ComputeError(
                    .invalidArgument,
                    "\(name): columns \(range) are requested, but the matrix has \(available)"
                )
            }
            let (sum, overflow) = taken.addingReportingOverflow(range.count)
            guard !overflow else { throw ComputeError(.invalidArgument, "\(name): too many columns are requested") }
            taken = sum
        }
        guard taken > 0 else { throw ComputeError(.invalidArgument, "\(name): a projection takes no columns") }
        return taken
    }

    /// Throws `ComputeError.invalidArgument` unless this bias has an entry for each of `columns` columns.
    package func requireEntries(forColumns columns: Int) throws(ComputeError) {
        guard shape[0] == columns else {
            throw ComputeError(.invalidArgument, "\(name): \(shape[0]) entries for a projection to \(columns) columns")
        }
    }

    /// Throws `ComputeError.invalidArgument` if int32 ids cannot address all rows of this table.
    package func requireAddressableRows() throws(ComputeError) {
        guard shape[0] <= Int(Int32.max) else {
            throw ComputeError(.invalidArgument, "\(name): a table of \(shape[0]) rows is too long")
        }
    }

    /// One bit per catalogue row that may be selected: `eligible` without row 0 and without bits beyond the last row.
    ///
    /// - Throws: `ComputeError.invalidArgument` for too many rows or the wrong number of words.
    package func selectableRows(_ eligible: [UInt64]) throws(ComputeError) -> [UInt64] {
        let rows = shape[0]
        guard rows <= Int(Int32.max) - 64 else {
            throw ComputeError(.invalidArgument, "\(name): a catalogue of \(rows) rows is too long")
        }
        let words = (rows + 63) / 64
        guard eligible.count == words else {
            throw ComputeError(
                .invalidArgument,
                "\(name): \(eligible.count) words of eligible rows for \(rows) rows, but \(words) are needed"
            )
        }
        var bits = eligible
        if rows % 64 != 0 { bits[words - 1] &= (1 << UInt64(rows % 64)) - 1 }
        bits[0] &= ~1
        return bits
    }
}
