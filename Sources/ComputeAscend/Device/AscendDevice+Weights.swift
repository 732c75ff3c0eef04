// Copies weights to the device in the form that its products read.

package import Compute

extension AscendDevice {
    package func makeLinear(
        _ matrix: HostTensor,
        layout: LinearLayout,
        columns: [Range<Int>]?,
        bias: HostTensor?
    ) throws(ComputeError) -> any LinearWeights {
        let source = try HostFloats(matrix, rank: 2, for: "a projection")
        let isTransposed = layout == .outputMajor
        let (depth, available) = (matrix.shape[isTransposed ? 1 : 0], matrix.shape[isTransposed ? 0 : 1])
        let ranges = columns ?? [0..<available]
        _ = try matrix.columnCount(ranges, of: available)
        let taken = ranges.flatMap(Array.init)
        var biasBlock: DeviceBlock?
        if let bias {
            let entries = try HostFloats(bias, rank: 1, for: "a projection's bias")
            try bias.requireEntries(forColumns: taken.count)
            biasBlock = try upload((0..<taken.count).map { entries[$0] }, named: bias.name)
        }
        let rounding = HalfRounding(dtype: description.dtype)
        var packed = [UInt16](repeating: 0, count: depth * taken.count)
        for k in 0..<depth {
            for (n, column) in taken.enumerated() {
                packed[k * taken.count + n] = rounding.bits(
                    source[isTransposed ? column * depth + k : k * available + column]
                )
            }
        }
        return try makeLinear(
            packed,
            [depth, taken.count],
            bias: biasBlock,
            isBlocked: blocksWeights,
            named: matrix.name
        )
    }

    /// Makes a projection from the bits of a (k, n) matrix in half precision, in FRACTAL_NZ or plain.
    func makeLinear(
        _ packed: [UInt16],
        _ dims: [Int],
        bias biasBlock: DeviceBlock?,
        isBlocked: Bool,
        named name: String
    ) throws(ComputeError) -> AscendLinear {
        let elements = isBlocked ? max(try blockedCount(dims), packed.count) : packed.count
        let block = try upload(packed, elements: elements, named: name)
        var view = View(block.address, description.dtype, dims)
        if isBlocked {
            try self.block(view)
            view.isBlocked = true
        }
        return AscendLinear(matrix: view, in: block, bias: biasBlock, device: identity)
    }

    package func makeTable(_ rows: HostTensor) throws(ComputeError) -> any EmbeddingTable {
        let source = try HostFloats(rows, rank: 2, for: "a table")
        try rows.requireAddressableRows()
        let rounding = HalfRounding(dtype: description.dtype)
        let block = try upload((0..<source.count).map { rounding.bits(source[$0]) }, named: rows.name)
        return AscendTable(
            rows: rows.shape[0],
            columns: rows.shape[1],
            dtype: description.dtype,
            block: block,
            device: identity
        )
    }

    package func makeVector(_ entries: HostTensor) throws(ComputeError) -> any DeviceVector {
        let source = try HostFloats(entries, rank: 1, for: "a vector")
        let values = (0..<source.count).map { source[$0] }
        return AscendVector(entries: values, block: try upload(values, named: entries.name), device: identity)
    }

    package func makeCatalogue(
        _ rows: HostTensor,
        normalization: Normalization?,
        eligible: [UInt64]
    ) throws(ComputeError) -> any CatalogueWeights {
        let source = try HostFloats(rows, rank: 2, for: "a catalogue")
        let (count, columns) = (rows.shape[0], rows.shape[1])
        let bits = try rows.selectableRows(eligible)
        let norm = try normalization.map { (norm) throws(ComputeError) in
            try HostNorm(norm, columns: columns, device: self, in: "make catalogue")
        }
        let rounding = HalfRounding(dtype: description.dtype)
        var packed = [UInt16](repeating: 0, count: count * columns)
        var row = [Float](repeating: 0, count: columns)
        for index in 0..<count {
            for column in 0..<columns { row[column] = source[index * columns + column] }
            norm?.apply(to: &row)
            for column in 0..<columns { packed[column * count + index] = rounding.bits(row[column]) }
        }
        return AscendCatalogue(
            rows: count,
            columns: columns,
            dtype: description.dtype,
            eligible: bits,
            norm: norm,
            block: try upload(packed, named: rows.name),
            device: identity
        )
    }

    /// A block with these values at its start and room for `elements` of them; nil: for all values.
    func upload<Element: BitwiseCopyable>(
        _ values: [Element],
        elements: Int? = nil,
        named name: String
    ) throws(ComputeError) -> DeviceBlock {
        let size = (elements ?? values.count) * MemoryLayout<Element>.stride
        let block = try DeviceBlock(byteCount: max(size, 1), use: .weights, context: context, for: name)
        try block.fill(values)
        return block
    }
}

/// A norm of rows on the host, in float32, for catalogue rows, which are normalised once.
struct HostNorm {
    private let normalization: Normalization
    private let scale: [Float]?
    private let shift: [Float]?

    /// - Throws: `ComputeError.invalidArgument` for vectors of another length or device.
    init(
        _ normalization: Normalization,
        columns: Int,
        device: AscendDevice,
        in operation: StaticString
    ) throws(ComputeError) {
        self.normalization = normalization
        switch normalization {
        case .layerNorm, .l2: (scale, shift) = (nil, nil)
        case .affineLayerNorm(_, let scale, let shift):
            self.scale = try device.vector(scale, entries: columns, role: "scale", in: operation).entries
            self.shift = try device.vector(shift, entries: columns, role: "shift", in: operation).entries
        case .rms(_, let scale):
            self.scale = try device.vector(scale, entries: columns, role: "scale", in: operation).entries
            shift = nil
        }
    }

    func apply(to row: inout [Float]) {
        let count = Float(row.count)
        switch normalization {
        case .layerNorm(let epsilon), .affineLayerNorm(let epsilon, _, _):
            let mean = row.reduce(0, +) / count
            for index in row.indices { row[index] -= mean }
            let factor = 1 / (row.reduce(0) { $0 + $1 * $1 } / count + epsilon).squareRoot()
            for index in row.indices { row[index] *= factor }
        case .rms(let epsilon, _):
            let factor = 1 / (row.reduce(0) { $0 + $1 * $1 } / count + epsilon).squareRoot()
            for index in row.indices { row[index] *= factor }
        case .l2(let epsilon):
            let factor = 1 / max(row.reduce(0) { $0 + $1 * $1 }.squareRoot(), epsilon)
            for index in row.indices { row[index] *= factor }
        }
        if let scale { for index in row.indices { row[index] *= scale[index] } }
        if let shift { for index in row.indices { row[index] += shift[index] } }
    }
}

extension AscendDevice {
    /// A norm's vector, checked to have one entry per column.
    func vector(
        _ vector: any DeviceVector,
        entries: Int,
        role: StaticString,
        in operation: StaticString
    ) throws(ComputeError) -> AscendVector {
        let own = try own(vector, as: AscendVector.self, in: operation)
        guard own.count == entries else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): the norm's \(role) has \(own.count) entries, but the rows have \(entries) columns"
            )
        }
        return own
    }
}
