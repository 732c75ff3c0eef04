// Projections: what is fused into their input, and how the work is divided among the threads.

internal import CKernels
package import Compute

extension CPUStream {
    package func linear(_ operation: LinearOperation) throws(ComputeError) {
        let weights = try own(operation.weights, as: CPULinear.self, in: "linear")
        let input = operation.input.parts
        let values = input.values
        try values.require(.float32, in: "linear", as: "input")
        if let gate = input.gate {
            try gate.require(.float32, rows: values.rows, columns: values.columns, in: "linear", as: "gate")
        }
        let (depth, overflow) = values.columns.multipliedReportingOverflow(by: input.kind == .concatenated ? 3 : 1)
        guard !overflow, depth == weights.inputs else {
            throw ComputeError(
                .invalidArgument,
                "linear: the input has \(depth) columns, but the weights take \(weights.inputs)"
            )
        }
        let output = operation.output
        try output.require(.float32, rows: values.rows, columns: weights.outputs, in: "linear", as: "output")
        if let residual = operation.residual {
            try residual.require(.float32, rows: values.rows, columns: weights.outputs, in: "linear", as: "residual")
        }
        var norm = gk_normalization()
        if let normalization = input.normalization {
            norm = try device.kernelForm(of: normalization, columns: values.columns, in: "linear")
        }
        guard values.rows > 0 else { return }

        let mark = arena.mark
        defer { arena.release(to: mark) }
        let blocks = blocks(rows: values.rows, columns: weights.outputs, depth: depth)
        var job = gk_linear()
        job.kernels = device.kernels
        job.input = input.kind
        job.norm = norm
        job.x = UnsafePointer(values.floats)
        job.x_stride = values.rowStride
        job.x_columns = values.columns
        if let gate = input.gate {
            job.gate = UnsafePointer(gate.floats)
            job.gate_stride = gate.rowStride
        }
        job.rows = values.rows
        job.depth = depth
        job.columns = weights.outputs
        job.dtype = device.dtype
        job.weights = UnsafeRawPointer(weights.matrix.base)
        if let quantization = weights.quantization {
            job.column_scales = UnsafePointer(quantization.scales)
            job.`init` = UnsafePointer(quantization.firstSums)
        }
        job.bias = weights.bias.map { UnsafePointer($0.floats) }
        job.activation = operation.activation.kernel(of: device.dtype)
        if let residual = operation.residual {
            job.residual = UnsafePointer(residual.floats)
            job.residual_stride = residual.rowStride
        }
        job.output = output.floats
        job.output_stride = output.rowStride
        job.block_rows = blocks.rows
        job.block_columns = blocks.columns
        let scratch = try allocateScratch(floats: gk_linear_scratch(&job))
        job.scratch = scratch.base
        job.scratch_stride = scratch.stride
        withExtendedLifetime((weights, input.normalization)) {
            pool.run(gk_linear_run, job: &job, count: gk_linear_tasks(&job))
        }
    }

    /// Rows and columns of a task. Results do not depend on them.
    private func blocks(rows: Int, columns: Int, depth: Int) -> (rows: Int, columns: Int) {
        let tileRows = device.kernels.pointee.gemm_rows
        let tileColumns = device.kernels.pointee.gemm_columns
        // As many rows as let the prepared input fit into half of a usual level-2 cache.
        let cachedRows = max(tileRows, 65_536 / max(depth, 1) / tileRows * tileRows)
        let threads = pool.threads
        let work = Double(rows) * Double(columns) * Double(depth)
        // Less work than this is done before a worker has woken.
        guard threads > 1, work > 200_000 else { return (min(cachedRows, 96), columns) }
        // About four tasks per thread, so that a delayed thread leaves its share to the others.
        let wantedTasks = threads * 4
        let rowTiles = (rows + tileRows - 1) / tileRows
        // A bfloat16 panel is widened once for all rows of a task, so tasks keep many rows and columns are divided
        // instead.
        let takesPanelsApart = device.dtype == .bfloat16 && device.kernels.pointee.bf16_words == 2
        let evenTiles = takesPanelsApart ? rowTiles : rowTiles / wantedTasks
        let mostTiles = max(1, min(evenTiles, min(cachedRows, 96) / tileRows))
        // A multiple of the threads, so that no thread has an extra block at the end.
        let evenBlocks = ((rowTiles + mostTiles - 1) / mostTiles + threads - 1) / threads * threads
        let tilesOfBlock = (rowTiles + evenBlocks - 1) / evenBlocks
        let rowBlocks = (rowTiles + tilesOfBlock - 1) / tilesOfBlock
        guard rowBlocks < wantedTasks else { return (tilesOfBlock * tileRows, columns) }
        // There are few rows, so the columns are divided too.
        let columnTiles = (columns + tileColumns - 1) / tileColumns
        let columnBlocks = min(columnTiles, (wantedTasks + rowBlocks - 1) / rowBlocks)
        let tilesOfColumnBlock = (columnTiles + columnBlocks - 1) / columnBlocks
        return (tilesOfBlock * tileRows, tilesOfColumnBlock * tileColumns)
    }
}

extension LinearInput {
    /// The input in the kernels' form.
    fileprivate var parts: (kind: gk_input, values: Tensor, gate: Tensor?, normalization: Normalization?) {
        switch self {
        case .plain(let values): (.plain, values, nil, nil)
        case .normalized(let values, let normalization): (.normalized, values, nil, normalization)
        case .gated(let gate, let values, let normalization): (.gated, values, gate, normalization)
        case .concatenatedGate(let gate, let values, let normalization): (.concatenated, values, gate, normalization)
        case .swiGLU(let gate, let values): (.swiglu, values, gate, nil)
        }
    }
}

extension Activation {
    /// The kernels' activation, in the precision of products of this dtype.
    fileprivate func kernel(of dtype: gk_dtype) -> gk_activation {
        switch self {
        case .none: .none
        case .silu: dtype == .float32 ? .silu : .silu_bf16
        case .relu: .relu
        case .geluTanh: .gelu_tanh
        }
    }
}
