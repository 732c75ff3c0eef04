// Checks the tensors of a weight file and packs them.

internal import CKernels
package import Compute
internal import Glibc

extension CPUDevice {
    package func makeLinear(
        _ matrix: HostTensor,
        layout: LinearLayout,
        columns: [Range<Int>]?,
        bias: HostTensor?
    ) throws(ComputeError) -> any LinearWeights {
        let source = try FloatSource(matrix, rank: 2, for: "a projection")
        let transposed = layout == .outputMajor
        let depth = matrix.shape[transposed ? 1 : 0]
        let available = matrix.shape[transposed ? 0 : 1]
        let ranges = columns ?? [0..<available]
        let taken = try matrix.columnCount(ranges, of: available)
        let biasSource: FloatSource?
        if let bias {
            biasSource = try FloatSource(bias, rank: 1, for: "a projection's bias")
            try bias.requireEntries(forColumns: taken)
        } else {
            biasSource = nil
        }

        // Sums of int8 products are int32.
        guard dtype != .int8 || depth <= Self.deepestInt8 else {
            throw ComputeError(
                .unsupported,
                "\(matrix.name): \(depth) inputs are more than the \(Self.deepestInt8) that int8 sums hold"
            )
        }

        let full = kernels.pointee.gemm_columns
        let packedColumns = gk_packed_columns(taken, full)
        let (count, overflow) = packedColumns.multipliedReportingOverflow(by: gk_packed_depth(dtype, depth))
        guard !overflow else { throw ComputeError(.outOfMemory, "\(matrix.name) is too large to be packed") }
        let packed = try weights.block(zeroedFloats: count, for: matrix.name)
        var quantization: ColumnQuantization?
        if dtype == .int8 {
            quantization = ColumnQuantization(
                columns: packedColumns,
                memory: try weights.block(zeroedFloats: 2 * packedColumns, for: matrix.name)
            )
        }
        var packing = gk_packing()
        packing.source_dtype = source.dtype
        packing.source = source.base
        packing.row_step = transposed ? 1 : available
        packing.column_step = transposed ? depth : 1
        packing.depth = depth
        packing.columns = taken
        packing.full = full
        packing.packed_dtype = dtype
        packing.packed = packed.base
        for range in ranges where !range.isEmpty {
            packing.first_source = range.lowerBound
            packing.count = range.count
            if let quantization {
                packing.scales = quantization.scales + packing.first
                packing.sums = quantization.firstSums + packing.first
            }
            gk_pack(&packing)
            packing.first += range.count
        }
        if let quantization {
            for column in 0..<taken { quantization.firstSums[column] *= -kernels.pointee.s8_zero }
        }
        var packedBias: WeightMemory?
        if let bias, let biasSource {
            let entries = try weights.block(zeroedFloats: packedColumns, for: bias.name)
            gk_widen(biasSource.dtype, biasSource.base, taken, entries.floats)
            packedBias = entries
        }
        return CPULinear(
            inputs: depth,
            outputs: taken,
            device: identity,
            matrix: packed,
            bias: packedBias,
            quantization: quantization
        )
    }

    /// The deepest int8 product whose sum an int32 holds: 2³¹ / (255 · 127), rounded down to a power of two.
    static let deepestInt8 = 65_536

    /// A float32 table is read in place.
    package func makeTable(_ rows: HostTensor) throws(ComputeError) -> any EmbeddingTable {
        let source = try FloatSource(rows, rank: 2, for: "a table")
        try rows.requireAddressableRows()
        let values: UnsafePointer<Float>
        var copy: WeightMemory?
        if source.isPlainFloats {
            values = source.base.assumingMemoryBound(to: Float.self)
        } else {
            let widened = try weights.block(zeroedFloats: source.count, for: rows.name)
            gk_widen(source.dtype, source.base, source.count, widened.floats)
            values = UnsafePointer(widened.floats)
            copy = widened
        }
        return CPUTable(
            rows: rows.shape[0],
            columns: rows.shape[1],
            device: identity,
            values: values,
            owner: copy ?? rows.owner
        )
    }

    package func makeVector(_ entries: HostTensor) throws(ComputeError) -> any DeviceVector {
        let source = try FloatSource(entries, rank: 1, for: "a vector")
        let values = [Float](unsafeUninitializedCapacity: source.count) { buffer, count in
            gk_widen(source.dtype, source.base, source.count, buffer.baseAddress)
            count = source.count
        }
        let memory = try weights.block(zeroedFloats: CPUVector.floatCount(entries: source.count), for: entries.name)
        return CPUVector(entries: values, device: identity, memory: memory)
    }

    package func makeCatalogue(
        _ rows: HostTensor,
        normalization: Normalization?,
        eligible: [UInt64]
    ) throws(ComputeError) -> any CatalogueWeights {
        let source = try FloatSource(rows, rank: 2, for: "a catalogue")
        let (count, columns) = (rows.shape[0], rows.shape[1])
        let bits = try rows.selectableRows(eligible)

        let block = gk_block_rows
        let padded = bits.count * block
        let packedDtype = catalogueDtype
        let (floats, overflow) = padded.multipliedReportingOverflow(by: gk_packed_depth(packedDtype, columns))
        guard !overflow else { throw ComputeError(.outOfMemory, "\(rows.name) is too large to be packed") }
        var norm: gk_normalization?
        if let normalization { norm = try kernelForm(of: normalization, columns: columns, in: "make catalogue") }
        let packed = try weights.block(zeroedFloats: floats, for: rows.name)
        let scratch = try AlignedMemory(zeroedFloats: block * columns, for: rows.name)
        var packing = rowPacking(columns: columns, rows: padded, into: packed)
        packing.source = UnsafeRawPointer(scratch.base)
        var (copy, copyState) = CatalogueCopy.begun(rows: padded, columns: columns, on: self)
        for first in stride(from: 0, to: count, by: block) {
            let taken = min(block, count - first)
            gk_widen(
                source.dtype,
                source.base + first * columns * source.byteCount,
                taken * columns,
                scratch.floats
            )
            normalize(scratch.floats, rows: taken, columns: columns, norm, of: normalization)
            packing.count = taken
            packing.first = first
            gk_pack(&packing)
            copy?.add(UnsafePointer(scratch.floats), rows: taken, at: first)
        }
        if let made = copy { copyState = made.finish(beside: packed, example: scratch) }
        if copyState != .used { copy = nil }
        return CPUCatalogue(
            rows: count,
            columns: columns,
            device: identity,
            items: packed,
            dtype: packedDtype,
            eligible: bits,
            normalization: normalization,
            copy: copy,
            copyState: copyState
        )
    }

    package func append(_ rows: [[Float]], to table: any EmbeddingTable) throws(ComputeError) {
        let table = try own(table, as: CPUTable.self, in: "append rows")
        try AddedRows.check(rows, columns: table.columns)
        let columns = table.columns
        try table.added.append(rows) { () throws(ComputeError) in
            try pageMemory(words: gk_page_items * columns)
        } write: { page, place, rows in
            for (index, row) in rows.enumerated() {
                (page.floats + (place + index) * columns).update(from: row, count: columns)
            }
        }
    }

    package func append(_ rows: [[Float]], to catalogue: any CatalogueWeights) throws(ComputeError) {
        let catalogue = try own(catalogue, as: CPUCatalogue.self, in: "append rows")
        let columns = catalogue.columns
        try AddedRows.check(rows, columns: columns)
        var norm: gk_normalization?
        if let normalization = catalogue.normalization {
            norm = try kernelForm(of: normalization, columns: columns, in: "append rows")
        }
        let scratch = try AlignedMemory(zeroedFloats: columns, for: "added rows")
        try catalogue.added.append(rows) { () throws(ComputeError) in
            try pageMemory(words: gk_page_items * gk_packed_depth(catalogue.dtype, columns))
        } write: { page, place, rows in
            var packing = rowPacking(columns: columns, rows: gk_page_items, into: page)
            packing.source = UnsafeRawPointer(scratch.base)
            packing.count = 1
            for (index, row) in rows.enumerated() {
                scratch.floats.update(from: row, count: columns)
                normalize(scratch.floats, rows: 1, columns: columns, norm, of: catalogue.normalization)
                packing.first = place + index
                gk_pack(&packing)
            }
        }
    }

    private func pageMemory(words: Int) throws(ComputeError) -> WeightMemory {
        try weights.block(zeroedFloats: words, for: "added rows")
    }

    /// The packing of float32 rows as columns of a catalogue.
    private func rowPacking(columns: Int, rows: Int, into packed: WeightMemory) -> gk_packing {
        var packing = gk_packing()
        packing.row_step = 1
        packing.column_step = columns
        packing.depth = columns
        packing.columns = rows
        packing.full = kernels.pointee.gemm_columns
        packing.packed_dtype = catalogueDtype
        packing.packed = packed.base
        return packing
    }

    /// Normalises contiguous rows in place.
    private func normalize(
        _ values: UnsafeMutablePointer<Float>,
        rows: Int,
        columns: Int,
        _ norm: gk_normalization?,
        of normalization: Normalization?
    ) {
        guard var norm else { return }
        withExtendedLifetime(normalization) {
            gk_normalize(kernels, &norm, rows, columns, values, columns, nil, 0, values, columns)
        }
    }

    /// The type of packed catalogue rows. bfloat16 on int8 devices, because one scale per item is too coarse for
    /// comparing scores.
    private var catalogueDtype: gk_dtype { dtype == .float32 ? .float32 : .bfloat16 }
}

extension CPUDevice {
    /// The norm of rows of `columns` columns in the kernels' form. It points into the vectors of `normalization`, which
    /// the caller must retain.
    func kernelForm(
        of normalization: Normalization,
        columns: Int,
        in operation: StaticString
    ) throws(ComputeError) -> gk_normalization {
        func entries(_ vector: any DeviceVector, _ role: StaticString) throws(ComputeError) -> UnsafePointer<Float> {
            let own = try own(vector, as: CPUVector.self, in: operation)
            guard own.count == columns else {
                throw ComputeError(
                    .invalidArgument,
                    "\(operation): the norm's \(role) has \(own.count) entries, but the rows have \(columns) columns"
                )
            }
            return own.entries
        }
        switch normalization {
        case .layerNorm(let epsilon):
            return gk_normalization(norm: .layer, epsilon: epsilon, scale: nil, shift: nil)
        case .affineLayerNorm(let epsilon, let scale, let shift):
            return gk_normalization(
                norm: .layer,
                epsilon: epsilon,
                scale: try entries(scale, "scale"),
                shift: try entries(shift, "shift")
            )
        case .rms(let epsilon, let scale):
            return gk_normalization(norm: .rms, epsilon: epsilon, scale: try entries(scale, "scale"), shift: nil)
        case .l2(let epsilon):
            return gk_normalization(norm: .l2, epsilon: epsilon, scale: nil, shift: nil)
        }
    }

    /// Casts an object to this device's own class, or throws.
    func own<Made: DeviceOwned>(
        _ made: AnyObject,
        as type: Made.Type,
        in operation: StaticString
    ) throws(ComputeError) -> Made {
        try identity.own(made, as: type, in: operation)
    }
}

/// A host tensor whose shape and bytes agree, with elements that can be widened to float32.
private struct FloatSource {
    let dtype: gk_dtype
    let base: UnsafeRawPointer
    let count: Int
    /// Bytes of an element.
    let byteCount: Int

    init(_ tensor: HostTensor, rank: Int, for use: String) throws(ComputeError) {
        (base, count) = try tensor.floats(rank: rank, for: use)
        byteCount = tensor.dtype.byteCount
        dtype =
            switch tensor.dtype {
            case .float16: .float16
            case .bfloat16: .bfloat16
            default: .float32
            }
    }

    /// Whether the elements can be read as floats in place.
    var isPlainFloats: Bool {
        dtype == .float32 && UInt(bitPattern: base) % UInt(MemoryLayout<Float>.alignment) == 0
    }
}
