// Rotary position embedding. Cosines and sines come from a table by position, or are uploaded with the batch if a
// position is beyond the largest table.

package import Compute
internal import Glibc

/// Cosines and sines of the angles of positions 0 ..< rows, each (rows, pairs) float32.
final class AngleTable {
    let rows: Int
    let cosines: View
    let sines: View
    private let block: DeviceBlock

    /// The most positions in a table. The angles of other positions are uploaded with the batch.
    static let mostRows = 1 << 16

    init(rows: Int, frequencies: [Float], context: AscendContext) throws(ComputeError) {
        self.rows = rows
        let (cosines, sines) = Self.values((0..<Int32(rows)), frequencies)
        let size = cosines.count * MemoryLayout<Float>.stride
        // Kernels read past the end of a tensor, so the second one starts after the bytes reserved for the first.
        guard let second = Alignment.reserved(size) else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(rows) positions")
        }
        block = try DeviceBlock(byteCount: second + size, use: .weights, context: context, for: "rotary angles")
        var packed = [Float](repeating: 0, count: (second + size) / MemoryLayout<Float>.stride)
        packed.replaceSubrange(0..<cosines.count, with: cosines)
        packed.replaceSubrange(second / MemoryLayout<Float>.stride..<packed.count, with: sines)
        try block.fill(packed)
        self.cosines = View(block.address, .float32, [rows, frequencies.count])
        self.sines = View(block.address.advanced(byBytes: second), .float32, [rows, frequencies.count])
    }

    /// Cosines and sines of the angles position · frequency; the product is rounded to float32.
    static func values(_ positions: some Sequence<Int32>, _ frequencies: [Float]) -> (cosines: [Float], sines: [Float])
    {
        var cosines: [Float] = []
        var sines: [Float] = []
        for position in positions {
            for frequency in frequencies {
                let angle = Double(Float(position) * frequency)
                cosines.append(Float(cos(angle)))
                sines.append(Float(sin(angle)))
            }
        }
        return (cosines, sines)
    }
}

extension AscendStream {
    package func rotate(_ operation: RotateOperation) throws(ComputeError) {
        let frequencies = try device.own(operation.frequencies, as: AscendVector.self, in: "rotate")
        let tensor = operation.tensor
        let (width, overflow) = operation.heads.multipliedReportingOverflow(by: 2 * frequencies.count)
        guard operation.heads > 0, !overflow else {
            throw ComputeError(.invalidArgument, "rotate: \(operation.heads) heads of \(2 * frequencies.count) columns")
        }
        try tensor.require(.float32, rows: tensor.rows, columns: width, in: "rotate", as: "tensor")
        try operation.positions.require(.int32, rows: 1, columns: tensor.rows, in: "rotate", as: "positions")
        guard tensor.rows > 0 else { return }
        guard let positions = hostValues(operation.positions, as: Int32.self) else {
            throw ComputeError(.invalidArgument, "rotate: the positions were not uploaded in this batch")
        }
        let (rows, pairs, heads) = (tensor.rows, frequencies.count, operation.heads)
        try withTemporaries { () throws(ComputeError) in
            let (cosines, sines) = try angles(
                of: positions,
                View(operation.positions.address, .int32, [rows]),
                frequencies
            )
            // The two members of every pair, as (rows, heads, pairs).
            let isHalves = operation.pairing == .halves
            let step = isHalves ? 1 : 2
            func members(_ first: Int) -> View {
                View(
                    tensor.address.advanced(byBytes: first * MemoryLayout<Float>.stride),
                    .float32,
                    [rows, heads, pairs],
                    strides: [tensor.rowStride, 2 * pairs, step]
                )
            }
            let (a, b) = (members(0), members(isHalves ? pairs : 1))
            let dims = [rows, heads, pairs]
            let (c, s) = (cosines.shaped([rows, 1, pairs]), sines.shaped([rows, 1, pairs]))
            let ac = try temporary(.float32, dims)
            let bs = try temporary(.float32, dims)
            let first = try temporary(.float32, dims)
            note { (calls) throws(ComputeError) in
                try calls.multiply(a, c, ac)
                try calls.multiply(b, s, bs)
                try calls.subtract(ac, bs, first)
                try calls.multiply(a, s, ac)
                try calls.multiply(b, c, bs)
                try calls.add(bs, to: ac)
                try calls.copy(first, to: a)
                try calls.copy(ac, to: b)
            }
        }
    }

    /// (rows, pairs) each.
    private func angles(
        of positions: UnsafeBufferPointer<Int32>,
        _ index: View,
        _ frequencies: AscendVector
    ) throws(ComputeError) -> (cosines: View, sines: View) {
        let dims = [positions.count, frequencies.count]
        let (least, most) = positions.reduce((Int32.max, Int32.min)) { (min($0.0, $1), max($0.1, $1)) }
        guard least >= 0, most < Int32(AngleTable.mostRows) else {
            let values = AngleTable.values(positions, frequencies.entries)
            return (try input(values.cosines, .float32, dims), try input(values.sines, .float32, dims))
        }
        var table: AngleTable
        if let known = frequencies.angles, known.rows > Int(most) {
            table = known
        } else {
            var rows = 256
            while rows <= Int(most) { rows *= 2 }
            table = try AngleTable(rows: rows, frequencies: frequencies.entries, context: device.context)
            // Recorded steps retain the smaller table.
            frequencies.angles = table
        }
        let cosines = try temporary(.float32, dims)
        let sines = try temporary(.float32, dims)
        note { [table] (calls) throws(ComputeError) in
            try withExtendedLifetime(table) { () throws(ComputeError) in
                try calls.gather(table.cosines, index, cosines)
                try calls.gather(table.sines, index, sines)
            }
        }
        return (cosines, sines)
    }
}
