// Checks the tensors of an operation before a device uses them.

extension Tensor {
    /// Throws `ComputeError.invalidArgument` unless the tensor has the dtype and its row stride is at least its
    /// columns.
    package func require(_ dtype: DType, in operation: StaticString, as role: StaticString) throws(ComputeError) {
        guard self.dtype == dtype else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): the \(role) is \(self.dtype.rawValue), but must be \(dtype.rawValue)"
            )
        }
        guard rows >= 0, columns >= 0, rowStride >= columns else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): the \(role) is \(rows) × \(columns) with row stride \(rowStride), which is not a tensor"
            )
        }
    }

    /// The columns of one of `groups` equal parts of a row.
    ///
    /// - Throws: `ComputeError.invalidArgument` if rows cannot be split into such parts.
    package func columns(ofGroups groups: Int, in operation: StaticString) throws(ComputeError) -> Int {
        guard groups > 0, columns % groups == 0 else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): rows of \(columns) columns cannot be split into \(groups) groups"
            )
        }
        return columns / groups
    }

    /// Throws `ComputeError.invalidArgument` unless the tensor is (rows, columns) of the dtype.
    package func require(
        _ dtype: DType,
        rows: Int,
        columns: Int,
        in operation: StaticString,
        as role: StaticString
    ) throws(ComputeError) {
        try require(dtype, in: operation, as: role)
        guard self.rows == rows, self.columns == columns else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): the \(role) is \(self.rows) × \(self.columns), but must be \(rows) × \(columns)"
            )
        }
    }
}
