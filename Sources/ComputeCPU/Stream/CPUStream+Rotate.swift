// Rotary positions: checks, and the table of cosines and sines that outlives a batch.

internal import CKernels
package import Compute

extension CPUStream {
    package func rotate(_ operation: RotateOperation) throws(ComputeError) {
        let tensor = operation.tensor
        let heads = operation.heads
        try tensor.require(.float32, in: "rotate", as: "tensor")
        let frequencies = try own(operation.frequencies, as: CPUVector.self, in: "rotate")
        let (width, tooWide) = frequencies.count.multipliedReportingOverflow(by: 2)
        let (columns, overflow) = width.multipliedReportingOverflow(by: heads)
        guard heads > 0, !tooWide, !overflow, tensor.columns == columns else {
            throw ComputeError(
                .invalidArgument,
                """
                rotate: rows of \(tensor.columns) columns are not \(heads) heads of twice \(frequencies.count) \
                frequencies
                """
            )
        }
        try operation.positions.require(.int32, rows: 1, columns: tensor.rows, in: "rotate", as: "positions tensor")
        guard tensor.rows > 0 else { return }

        let mark = arena.mark
        defer { arena.release(to: mark) }
        let positions = operation.positions.int32s
        var least: Int32 = 0
        var most: Int32 = 0
        gk_id_range(positions, tensor.rows, &least, &most)
        var job = gk_rotation()
        job.kernels = device.kernels
        job.rows = tensor.rows
        job.heads = heads
        job.pairs = frequencies.count
        // A task takes about ten microseconds.
        job.block_rows = max(1, 16_384 / columns)
        job.pairing = operation.pairing == .halves ? .halves : .interleaved
        job.x = tensor.floats
        job.x_stride = tensor.rowStride
        if least >= 0, Int(most) < AngleTable.mostFloats / width {
            let table = try angles(of: frequencies, positions: Int(most) + 1)
            job.table = UnsafePointer(table.memory.floats)
            job.table_rows = positions
        } else {
            // No table reaches these positions, so only the angles of these rows are computed.
            let (floats, overflow) = tensor.rows.multipliedReportingOverflow(by: width)
            let (byteCount, tooLarge) = floats.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
            guard !overflow, !tooLarge else {
                throw ComputeError(
                    .outOfMemory,
                    "rotate: there is not enough memory for the angles of \(tensor.rows) rows"
                )
            }
            let table = try allocate(byteCount: byteCount).assumingMemoryBound(to: Float.self)
            fillAngles(of: frequencies, positions: positions, rows: tensor.rows, table: table)
            job.table = UnsafePointer(table)
        }
        withExtendedLifetime(frequencies) {
            pool.run(
                gk_rotation_run,
                job: &job,
                count: (tensor.rows + job.block_rows - 1) / job.block_rows
            )
        }
    }
}

extension AngleTable {
    /// The largest table of one vector of frequencies: 64 MiB, enough for 131 072 positions with heads of 128 columns.
    fileprivate static let mostFloats = 16 << 20
    /// Positions of the first table. A table grows to at least twice as many.
    fileprivate static let leastRows = 256
}

extension CPUStream {
    /// Finds the frequencies' table for at least positions 0 ..< `positions`; makes or extends it if needed.
    private func angles(of frequencies: CPUVector, positions: Int) throws(ComputeError) -> AngleTable {
        if let table = frequencies.angles, table.rows >= positions { return table }
        let width = 2 * frequencies.count
        let rows = min(
            max(positions, 2 * (frequencies.angles?.rows ?? 0), AngleTable.leastRows),
            AngleTable.mostFloats / width
        )
        let memory = try device.weights.block(zeroedFloats: rows * width, for: "rotary angles")
        let table = AngleTable(rows: rows, memory: memory)
        fillAngles(of: frequencies, positions: nil, rows: rows, table: table.memory.floats)
        frequencies.angles = table
        return table
    }

    /// Fills `rows` rows of a table, for `positions` or, if nil, for 0, 1, 2 ….
    private func fillAngles(
        of frequencies: CPUVector,
        positions: UnsafePointer<Int32>?,
        rows: Int,
        table: UnsafeMutablePointer<Float>
    ) {
        // A task takes about ten microseconds.
        var job = gk_angles(
            pairs: frequencies.count,
            frequencies: frequencies.entries,
            positions: positions,
            rows: rows,
            block_rows: max(1, 512 / frequencies.count),
            table: table
        )
        withExtendedLifetime(frequencies) {
            pool.run(gk_angles_run, job: &job, count: (rows + job.block_rows - 1) / job.block_rows)
        }
    }
}
