// The suite's host-side values: matrices, a seeded random source, weights in host memory, and comparison.

internal import Compute
internal import Random

/// A row-major matrix on the host.
struct Matrix {
    var rows: Int
    var columns: Int
    var values: [Float]

    init(rows: Int, columns: Int, values: [Float]) {
        precondition(values.count == rows * columns, "a matrix has rows × columns values")
        self.rows = rows
        self.columns = columns
        self.values = values
    }

    /// Numbers in -1 ..< 1.
    init(rows: Int, columns: Int, random: inout SplitMix64) {
        self.init(rows: rows, columns: columns, values: (0..<rows * columns).map { _ in random.signed() })
    }

    subscript(row: Int, column: Int) -> Float {
        get { values[row * columns + column] }
        set { values[row * columns + column] = newValue }
    }

    func row(_ row: Int) -> [Float] { Array(values[row * columns..<(row + 1) * columns]) }

    /// The columns of a range.
    func columns(_ range: Range<Int>) -> Matrix {
        Matrix(
            rows: rows,
            columns: range.count,
            values: (0..<rows).flatMap { row in range.map { self[row, $0] } }
        )
    }

    var transposed: Matrix {
        Matrix(rows: columns, columns: rows, values: (0..<columns).flatMap { c in (0..<rows).map { self[$0, c] } })
    }
}

extension SplitMix64 {
    /// In -1 ..< 1, a multiple of 2^-15: exact in half precision as used here, and in products of two.
    mutating func signed() -> Float { Float(Int(next() >> 48) - 32_768) / 32_768 }

    /// In the range.
    mutating func integer(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
}

/// The host memory of a case's weights. It outlives every device object of the case, as a mapped file would.
final class HostWeights {
    private var blocks: [UnsafeMutableRawBufferPointer] = []

    deinit {
        for block in blocks { block.deallocate() }
    }

    /// A tensor of these values, rounded to the type.
    func tensor(_ name: String, dtype: DType, shape: [Int], values: [Float]) -> HostTensor {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: values.count * dtype.byteCount, alignment: 64)
        blocks.append(block)
        for (index, value) in values.enumerated() {
            switch dtype {
            case .float32:
                block.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
            case .float16:
                block.storeBytes(of: Float16(value), toByteOffset: 2 * index, as: Float16.self)
            case .bfloat16:
                block.storeBytes(of: UInt16(value.bitPattern >> 16), toByteOffset: 2 * index, as: UInt16.self)
            case .int8, .uint8, .bool, .int32, .int64:
                preconditionFailure("the suite has weights of floating-point types alone")
            }
        }
        return HostTensor(name: name, dtype: dtype, shape: shape, bytes: UnsafeRawBufferPointer(block))
    }

    func tensor(_ name: String, _ matrix: Matrix, dtype: DType = .float32) -> HostTensor {
        tensor(name, dtype: dtype, shape: [matrix.rows, matrix.columns], values: matrix.values)
    }

    func tensor(_ name: String, vector: [Float]) -> HostTensor {
        tensor(name, dtype: .float32, shape: [vector.count], values: vector)
    }

    /// The value as stored in the type.
    static func rounded(_ value: Float, to dtype: DType) -> Float {
        switch dtype {
        case .float16: Float(Float16(value))
        case .bfloat16: Float(bitPattern: value.bitPattern & 0xffff_0000)
        case .float32, .int8, .uint8, .bool, .int32, .int64: value
        }
    }
}

extension Compute.Stream {
    /// A matrix in the stream's memory; its rows are contiguous.
    func upload(_ matrix: Matrix) throws(ComputeError) -> Tensor {
        let flat = try upload(matrix.values, dtype: .float32)
        return Tensor(address: flat.address, dtype: .float32, rows: matrix.rows, columns: matrix.columns)
    }

    /// A matrix among foreign columns, so that its row stride exceeds its width.
    func uploadStrided(_ matrix: Matrix, before: Int = 3, after: Int = 5) throws(ComputeError) -> Tensor {
        let columns = before + matrix.columns + after
        var wide = Matrix(
            rows: matrix.rows,
            columns: columns,
            values: [Float](repeating: .nan, count: matrix.rows * columns)
        )
        for row in 0..<matrix.rows {
            for column in 0..<matrix.columns { wide[row, before + column] = matrix[row, column] }
        }
        return try upload(wide).columns(before..<before + matrix.columns)
    }

    func readMatrix(_ tensor: Tensor) throws(ComputeError) -> Matrix {
        Matrix(rows: tensor.rows, columns: tensor.columns, values: try read(tensor))
    }
}

/// A reference result: the value, and the allowed error of a float32 device.
struct Expected {
    var rows: Int
    var columns: Int
    var values: [Double]
    var tolerances: [Double]

    init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        values = [Double](repeating: 0, count: rows * columns)
        tolerances = values
    }

    mutating func set(_ row: Int, _ column: Int, _ value: Double, within tolerance: Double) {
        values[row * columns + column] = value
        tolerances[row * columns + column] = tolerance
    }

    /// At most three sentences about elements that differ.
    func failures(of actual: Matrix) -> [String] {
        guard actual.rows == rows, actual.columns == columns else {
            return ["the result is \(actual.rows) × \(actual.columns), expected \(rows) × \(columns)"]
        }
        var found: [String] = []
        for index in values.indices {
            let value = Double(actual.values[index])
            if abs(value - values[index]) <= tolerances[index] { continue }
            if value.isNaN && values[index].isNaN { continue }
            found.append(
                """
                element (\(index / columns), \(index % columns)) is \(value), expected \(values[index]) \
                ± \(tolerances[index])
                """
            )
            if found.count == 3 { break }
        }
        return found
    }
}

/// Sentences about rows with different bits.
func bitDifferences(_ left: [Float], _ right: [Float], _ what: String) -> [String] {
    guard left.count == right.count else { return ["\(what): \(left.count) values against \(right.count)"] }
    for index in left.indices where left[index].bitPattern != right[index].bitPattern {
        return ["\(what): value \(index) is \(left[index]) against \(right[index])"]
    }
    return []
}
