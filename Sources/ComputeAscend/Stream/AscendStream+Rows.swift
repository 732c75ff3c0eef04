// Operations that work row by row: embedding, norms, gathering, zeroing.

package import Compute

extension AscendStream {
    package func embed(_ operation: EmbedOperation) throws(ComputeError) {
        let table = try device.own(operation.table, as: AscendTable.self, in: "embed")
        let output = operation.output
        let rows = output.rows
        try output.require(.float32, rows: rows, columns: table.columns, in: "embed", as: "output")
        try check(operation.ids, rows: rows, table: table, role: "ids")
        var positionTable: AscendTable?
        if let positions = operation.positions {
            let own = try device.own(positions.table, as: AscendTable.self, in: "embed")
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
        try withTemporaries { () throws(ComputeError) in
            let shape = [rows, table.columns]
            let gathered = try temporary(half, shape)
            let target = View(output)
            let sum = target.isContiguous ? target : try temporary(.float32, shape)
            let scale = operation.scale
            try gather(operation.ids, of: table, into: gathered)
            note { (calls) throws(ComputeError) in
                try calls.cast(gathered, sum)
                if scale != 1 { try calls.multiply(sum, by: scale) }
            }
            if let positionTable, let positions = operation.positions {
                let widened = try temporary(.float32, shape)
                let positionIds = View(positions.ids.address, .int32, [rows])
                note { (calls) throws(ComputeError) in
                    try calls.gather(positionTable.view, positionIds, gathered)
                    try calls.cast(gathered, widened)
                    try calls.add(widened, to: sum)
                }
            }
            if !sum.isSame(as: target) { note { (calls) throws(ComputeError) in try calls.copy(sum, to: target) } }
        }
    }

    /// Records `out[i] = table[ids[i]]`. Rows of the table and of each page are gathered separately, then put in order.
    private func gather(_ ids: Tensor, of table: AscendTable, into out: View) throws(ComputeError) {
        let rows = out.dims[0]
        guard table.added.count > 0, let values = hostValues(ids, as: Int32.self),
            values.contains(where: { Int($0) >= table.added.first })
        else {
            let ids = View(ids.address, .int32, [rows])
            note { (calls) throws(ComputeError) in try calls.gather(table.view, ids, out) }
            return
        }
        let sources = [table.view] + table.added.views(table.added.count)
        let sorted = BySource(values, table.added, sources: sources.count)
        let joined = try temporary(out.dtype, out.dims)
        var parts: [View] = []
        for (source, own) in zip(sources, sorted.rows) where !own.isEmpty {
            let index = try input(own, .int32, [own.count])
            let part = try temporary(out.dtype, [own.count, table.columns])
            parts.append(part)
            note { (calls) throws(ComputeError) in try calls.gather(source, index, part) }
        }
        let order = try input(sorted.places, .int32, [rows])
        note { (calls) throws(ComputeError) in
            try calls.concatenate(parts, axis: 0, joined)
            try calls.gather(joined, order, out)
        }
    }

    /// Checks ids on the host, because operators use them without a check.
    private func check(_ ids: Tensor, rows: Int, table: AscendTable, role: StaticString) throws(ComputeError) {
        try ids.require(.int32, rows: 1, columns: rows, in: "embed", as: role)
        guard rows > 0 else { return }
        guard let values = hostValues(ids, as: Int32.self) else {
            throw ComputeError(.invalidArgument, "embed: the \(role) were not uploaded in this batch")
        }
        for id in values where id < 0 || Int(id) >= table.rows {
            throw ComputeError(
                .invalidArgument,
                "embed: the \(role) contain \(id), but the table has \(table.rows) rows"
            )
        }
        // There may be unused numbers between the table's own rows and the added ones.
        for id in values where Int(id) >= table.view.dims[0] && Int(id) < table.added.first {
            throw ComputeError(.invalidArgument, "embed: the \(role) contain row \(id), which the table does not have")
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
        let norm = try CheckedNorm(normalization, columns: columns, device: device, in: "normalize")
        guard input.rows > 0, input.columns > 0 else { return }
        try withTemporaries { () throws(ComputeError) in
            guard groups == 1 else {
                try normalizeGroups(input, groups: groups, columns: columns, norm, output)
                return
            }
            let (x, target) = (View(input), View(output))
            let result = target.isContiguous && !target.isSame(as: x) ? target : try temporary(.float32, x.dims)
            try normalize(x, norm, result)
            if !result.isSame(as: target) {
                note { (calls) throws(ComputeError) in try calls.copy(result, to: target) }
            }
        }
    }

    /// Normalises the groups of all rows as separate rows.
    private func normalizeGroups(
        _ input: Tensor,
        groups: Int,
        columns: Int,
        _ norm: CheckedNorm,
        _ output: Tensor
    ) throws(ComputeError) {
        func parts(_ tensor: Tensor) -> View {
            View(
                tensor.address,
                .float32,
                [tensor.rows, groups, columns],
                strides: [tensor.rowStride, columns, 1]
            )
        }
        let dims = [input.rows, groups, columns]
        let (x, result) = (try temporary(.float32, dims), try temporary(.float32, dims))
        let rows = [input.rows * groups, columns]
        note { (calls) throws(ComputeError) in try calls.copy(parts(input), to: x) }
        try normalize(x.shaped(rows), norm, result.shaped(rows))
        note { (calls) throws(ComputeError) in try calls.copy(result, to: parts(output)) }
    }

    /// Records `out = norm(x)`; both are (rows, columns) float32, and `out` is contiguous and does not overlap `x`.
    /// Norms that the chip lacks are composed: a layer norm is the RMS norm of x minus its mean, and x / √(mean x² + ε)
    /// is x · √K / ‖[x, √(K·ε)]‖₂.
    func normalize(_ x: View, _ norm: CheckedNorm, _ out: View) throws(ComputeError) {
        let rows = x.dims[0]
        let columns = x.dims[1]
        let perRow = try temporary(.float32, [rows, 1])
        // 310P's RMS norm requires rows of at least 32 bytes.
        let hasRMSNorm = device.support.has(.rmsNorm) && columns >= 8
        func composedRMS(_ x: View, epsilon: Float, scale: AscendVector?) throws(ComputeError) {
            let extended = try temporary(.float32, [rows, columns + 1])
            let constant = (epsilon * Float(columns)).squareRoot()
            let last = try input([Float](repeating: constant, count: rows), .float32, [rows, 1])
            note { (calls) throws(ComputeError) in
                try calls.concatenate([x, last], axis: 1, extended)
                try calls.norm(extended, perRow)
                try calls.divide(x, perRow, out)
                try calls.multiply(out, by: Float(columns).squareRoot())
                if let scale { try calls.multiply(out, by: scale.view) }
            }
        }
        switch norm {
        case .layer(let epsilon, let scale, let shift):
            if device.support.has(.layerNorm) {
                note { (calls) throws(ComputeError) in
                    try calls.layerNorm(
                        x,
                        columns: columns,
                        weight: scale?.view,
                        bias: shift?.view,
                        epsilon: epsilon,
                        out
                    )
                }
                return
            }
            let centred = try temporary(.float32, [rows, columns])
            let mean = try temporary(.float32, [rows, 1])
            note { (calls) throws(ComputeError) in
                try calls.mean(x, mean)
                try calls.subtract(x, mean, centred)
            }
            try composedRMS(centred, epsilon: epsilon, scale: scale)
            if let shift { note { (calls) throws(ComputeError) in try calls.add(shift.view, to: out) } }
        case .rms(let epsilon, let scale):
            guard hasRMSNorm else { return try composedRMS(x, epsilon: epsilon, scale: scale) }
            note { (calls) throws(ComputeError) in
                try calls.rmsNorm(x, gamma: scale.view, epsilon: epsilon, out, rstd: perRow)
            }
        case .l2(let epsilon):
            let bounded = try temporary(.float32, [rows, 1])
            note { (calls) throws(ComputeError) in
                try calls.norm(x, perRow)
                try calls.clamp(perRow, atLeast: epsilon, bounded)
                try calls.divide(x, bounded, out)
            }
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
        guard !rows.isEmpty, source.columns > 0 else { return }
        let index = try input(rows, .int32, [rows.count])
        try withTemporaries { () throws(ComputeError) in
            let target = View(output)
            let result = target.isContiguous ? target : try temporary(.float32, target.dims)
            note { (calls) throws(ComputeError) in
                try calls.gather(View(source), index, result)
                if !result.isSame(as: target) { try calls.copy(result, to: target) }
            }
        }
    }

    package func zeroRows(_ tensor: Tensor, rows: [Int32]) throws(ComputeError) {
        try tensor.require(.float32, in: "zero rows", as: "tensor")
        var flags = [UInt8](repeating: 0, count: tensor.rows)
        for row in rows {
            guard row >= 0, Int(row) < tensor.rows else {
                throw ComputeError(
                    .invalidArgument,
                    "zero rows: row \(row) is out of range, the tensor has \(tensor.rows)"
                )
            }
            flags[Int(row)] = 1
        }
        guard !rows.isEmpty, tensor.columns > 0 else { return }
        let mask = try input(flags, .bool, [tensor.rows, 1])
        note { (calls) throws(ComputeError) in try calls.fill(View(tensor), where: mask, 0) }
    }
}

/// Rows of a table and its pages, sorted by source.
struct BySource {
    /// For each source, the table first, the rows to take from it.
    private(set) var rows: [[Int32]]
    /// The index of each row in the concatenation of `rows`.
    private(set) var places: [Int32] = []

    init(_ numbers: some Collection<Int32>, _ added: AscendAddedRows, sources: Int) {
        rows = Array(repeating: [], count: sources)
        var found: [(source: Int, place: Int)] = []
        for number in numbers {
            var source = 0
            var row = number
            if Int(number) >= added.first {
                let (page, place) = added.place(of: Int(number))
                (source, row) = (page + 1, Int32(place))
            }
            found.append((source, rows[source].count))
            rows[source].append(row)
        }
        var starts = [0]
        for own in rows { starts.append(starts[starts.count - 1] + own.count) }
        places = found.map { Int32(starts[$0.source] + $0.place) }
    }
}

/// A norm whose vectors belong to this device and have one entry per column.
enum CheckedNorm {
    case layer(epsilon: Float, scale: AscendVector?, shift: AscendVector?)
    case rms(epsilon: Float, scale: AscendVector)
    case l2(epsilon: Float)

    init(
        _ normalization: Normalization,
        columns: Int,
        device: AscendDevice,
        in operation: StaticString
    ) throws(ComputeError) {
        switch normalization {
        case .layerNorm(let epsilon): self = .layer(epsilon: epsilon, scale: nil, shift: nil)
        case .affineLayerNorm(let epsilon, let scale, let shift):
            self = .layer(
                epsilon: epsilon,
                scale: try device.vector(scale, entries: columns, role: "scale", in: operation),
                shift: try device.vector(shift, entries: columns, role: "shift", in: operation)
            )
        case .rms(let epsilon, let scale):
            self = .rms(
                epsilon: epsilon,
                scale: try device.vector(scale, entries: columns, role: "scale", in: operation)
            )
        case .l2(let epsilon): self = .l2(epsilon: epsilon)
        }
    }
}
