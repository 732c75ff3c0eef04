// Operations that work row by row: embedding, norms, gathering, zeroing.

internal import CKernels
package import Compute
internal import Glibc

extension CPUStream {
    package func embed(_ operation: EmbedOperation) throws(ComputeError) {
        let table = try own(operation.table, as: CPUTable.self, in: "embed")
        let output = operation.output
        let rows = output.rows
        try output.require(.float32, rows: rows, columns: table.columns, in: "embed", as: "output")
        try check(operation.ids, rows: rows, table: table, role: "ids")
        var positionTable: CPUTable?
        if let positions = operation.positions {
            let own = try own(positions.table, as: CPUTable.self, in: "embed")
            guard own.columns == table.columns else {
                throw ComputeError(
                    .invalidArgument,
                    "embed: positions have \(own.columns) columns, but the table has \(table.columns)"
                )
            }
            try check(positions.ids, rows: rows, table: own, role: "position ids")
            positionTable = own
        }
        guard rows > 0 else { return }
        // A task takes about ten microseconds.
        let blockRows = max(1, 16_384 / table.columns)
        var job = gk_embedding()
        job.kernels = device.kernels
        job.rows = rows
        job.columns = table.columns
        job.block_rows = blockRows
        job.ids = operation.ids.int32s
        job.table = table.values
        job.scale = operation.scale
        job.position_ids = operation.positions?.ids.int32s
        job.positions = positionTable?.values
        job.output = output.floats
        job.output_stride = output.rowStride
        table.added.pages.withUnsafeBufferPointer { pages in
            // Row numbers fit 32 bits.
            job.first_paged = Int32(clamping: table.added.first)
            if !pages.isEmpty { job.pages = pages.baseAddress }
            pool.run(gk_embedding_run, job: &job, count: (rows + blockRows - 1) / blockRows)
        }
        withExtendedLifetime((table, positionTable)) {}
    }

    /// Ids are used as addresses, so they are checked here even though callers have checked them.
    private func check(_ ids: Tensor, rows: Int, table: CPUTable, role: StaticString) throws(ComputeError) {
        try ids.require(.int32, rows: 1, columns: rows, in: "embed", as: role)
        guard rows > 0 else { return }
        var least: Int32 = 0
        var most: Int32 = 0
        gk_id_range(ids.int32s, rows, &least, &most)
        guard least >= 0, Int(most) < table.rows else {
            throw ComputeError(
                .invalidArgument,
                "embed: \(role) run from \(least) to \(most), but the table has \(table.rows) rows"
            )
        }
        // There may be unused numbers between the table's own rows and the added ones.
        guard Int(most) >= table.ownRows else { return }
        for row in UnsafeBufferPointer(start: ids.int32s, count: rows)
        where Int(row) >= table.ownRows && Int(row) < table.added.first {
            throw ComputeError(.invalidArgument, "embed: \(role) contain row \(row), which the table does not have")
        }
    }

    package func normalize(
        _ input: Tensor,
        _ normalization: Normalization,
        groups: Int,
        output: Tensor
    ) throws(ComputeError) {
        try input.require(.float32, in: "normalize", as: "input")
        try output.require(.float32, rows: input.rows, columns: input.columns, in: "normalize", as: "output")
        let columns = try input.columns(ofGroups: groups, in: "normalize")
        let norm = try device.kernelForm(of: normalization, columns: columns, in: "normalize")
        guard input.rows > 0, input.columns > 0 else { return }
        // A task takes about ten microseconds.
        let blockRows = max(1, 16_384 / input.columns)
        var job = gk_rows(
            kernels: device.kernels,
            norm: norm,
            rows: input.rows,
            columns: columns,
            groups: groups,
            block_rows: blockRows,
            x: input.floats,
            x_stride: input.rowStride,
            output: output.floats,
            output_stride: output.rowStride
        )
        withExtendedLifetime(normalization) {
            pool.run(gk_rows_run, job: &job, count: (input.rows + blockRows - 1) / blockRows)
        }
    }

    package func gatherRows(_ source: Tensor, rows: [Int32], output: Tensor) throws(ComputeError) {
        try source.require(.float32, in: "gather rows", as: "source")
        try output.require(.float32, rows: rows.count, columns: source.columns, in: "gather rows", as: "output")
        for row in rows where row < 0 || Int(row) >= source.rows {
            throw ComputeError(
                .invalidArgument,
                "gather rows: row \(row) is out of range, the source has \(source.rows)"
            )
        }
        let (from, to) = (source.floats, output.floats)
        for (index, row) in rows.enumerated() {
            memcpy(
                to + index * output.rowStride,
                from + Int(row) * source.rowStride,
                source.columns * MemoryLayout<Float>.stride
            )
        }
    }

    package func zeroRows(_ tensor: Tensor, rows: [Int32]) throws(ComputeError) {
        try tensor.require(.float32, in: "zero rows", as: "tensor")
        for row in rows where row < 0 || Int(row) >= tensor.rows {
            throw ComputeError(.invalidArgument, "zero rows: row \(row) is out of range, the tensor has \(tensor.rows)")
        }
        let floats = tensor.floats
        for row in rows {
            memset(floats + Int(row) * tensor.rowStride, 0, tensor.columns * MemoryLayout<Float>.stride)
        }
    }
}
