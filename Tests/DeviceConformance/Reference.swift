// The operations in double precision, directly from their formulas, each with a bound on float32's errors: the number
// of roundings times the unit of rounding times the sum of the magnitudes added.

internal import Compute
internal import Glibc

enum Reference {
    /// Half a unit in the last place of 1 in float32.
    static let unit = 0x1p-24

    static func silu(_ x: Double) -> Double { x / (1 + exp(-x)) }

    static func geluTanh(_ x: Double) -> Double {
        0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    }

    /// The rows of a matrix, normalised.
    static func normalized(_ input: Matrix, _ norm: Norm) -> [[Double]] {
        let scale = norm.scale(columns: input.columns).map(Double.init)
        let shift = norm.shift(columns: input.columns).map(Double.init)
        return (0..<input.rows).map { row in
            let x = input.row(row).map(Double.init)
            let (mean, divisor) = centre(of: x, norm)
            return x.indices.map { (x[$0] - mean) / divisor * scale[$0] + shift[$0] }
        }
    }

    /// The norm's subtrahend and divisor for the elements of a row.
    private static func centre(of x: [Double], _ norm: Norm) -> (mean: Double, divisor: Double) {
        let squares = x.reduce(0) { $0 + $1 * $1 }
        switch norm {
        case .layer(let epsilon), .affineLayer(let epsilon):
            let mean = x.reduce(0, +) / Double(x.count)
            let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
            return (mean, (variance + Double(epsilon)).squareRoot())
        case .rms(let epsilon): return (0, (squares / Double(x.count) + Double(epsilon)).squareRoot())
        case .l2(let epsilon): return (0, max(squares.squareRoot(), Double(epsilon)))
        }
    }

    static func normalize(_ input: Matrix, _ norm: Norm) -> Expected {
        var expected = Expected(rows: input.rows, columns: input.columns)
        for (row, values) in normalized(input, norm).enumerated() {
            for (column, value) in values.enumerated() {
                expected.set(row, column, value, within: normTolerance(of: input, row: row, norm))
            }
        }
        return expected
    }

    /// The largest error of one normalised element: the mean and the variance each lose some roundings of the largest
    /// element, and the mean's error is divided by the deviation. The affine part magnifies the error, and rounds once
    /// more.
    private static func normTolerance(of input: Matrix, row: Int, _ norm: Norm) -> Double {
        let x = input.row(row).map(Double.init)
        let largest = x.reduce(0) { max($0, abs($1)) }
        let lost = (Double(x.count).squareRoot() + 8) * unit
        let divisor = centre(of: x, norm).divisor
        let largestScale = norm.scale(columns: x.count).reduce(0) { max($0, Double(abs($1))) }
        switch norm {
        case .layer: return lost * (4 * largest / divisor + 4)
        case .affineLayer: return lost * (4 * largest / divisor + 4) * largestScale + 4 * unit
        case .rms: return lost * 4 * (largest / divisor) * largestScale
        case .l2: return lost * 4
        }
    }

    /// `activation(rows · weights + bias) + residual`; `rows` may have an error of `inputTolerance` per element. Rows
    /// without error are float32 numbers that the device rounds to its precision; for other rows, the effect of
    /// rounding is bounded.
    static func linear(
        rows: [[Double]],
        inputTolerance: [Double],
        weights: Matrix,
        precision: Precision,
        bias: [Float]?,
        activation: Activation,
        residual: Matrix?
    ) -> Expected {
        var expected = Expected(rows: rows.count, columns: weights.columns)
        let columns = (0..<weights.columns).map { column in
            precision.rounded((0..<weights.rows).map { weights[$0, column] })
        }
        for (row, given) in rows.enumerated() {
            let isExact = inputTolerance[row] == 0
            let x = isExact ? precision.rounded(given.map { Float($0) }) : given
            let moved = given.map { isExact ? 0 : precision.roundingTolerance($0, in: given) }
            for column in 0..<weights.columns {
                var sum = bias.map { Double($0[column]) } ?? 0
                var magnitude = abs(sum)
                var inherited = 0.0
                for k in 0..<weights.rows {
                    let weight = columns[column][k]
                    sum += x[k] * weight
                    magnitude += abs(x[k] * weight)
                    inherited += abs(weight) * (inputTolerance[row] + moved[k])
                }
                // Numbers below 2^-126 may count as 0.
                var tolerance =
                    magnitude * (Double(weights.rows + 4) * unit + Rounding.product) + inherited + 0x1p-120
                var value = sum
                switch activation {
                case .none: break
                case .silu:
                    // The derivative of SiLU is below 1.1.
                    value = silu(sum)
                    tolerance = 1.1 * tolerance + precision.siluTolerance * abs(value) + 0x1p-110
                case .relu: value = max(sum, 0)
                case .geluTanh:
                    // The derivative of GELU is below 1.2.
                    value = geluTanh(sum)
                    tolerance = 1.2 * tolerance + max(12 * unit * abs(value), 0x1p-25)
                }
                if let residual {
                    value += Double(residual[row, column])
                    tolerance += 2 * unit * (abs(value) + abs(Double(residual[row, column])))
                }
                expected.set(row, column, value, within: tolerance)
            }
        }
        return expected
    }

    /// The input rows of a projection, and the largest error of each element.
    static func projected(
        _ input: ConformanceInput,
        values: Matrix,
        gate: Matrix
    ) -> (rows: [[Double]], tolerance: [Double]) {
        func tolerances(_ norm: Norm, _ factor: Double) -> [Double] {
            (0..<values.rows).map { normTolerance(of: values, row: $0, norm) * factor }
        }
        switch input {
        case .plain:
            return (
                (0..<values.rows).map { values.row($0).map(Double.init) }, [Double](repeating: 0, count: values.rows)
            )
        case .normalized(let norm):
            return (normalized(values, norm), tolerances(norm, 1))
        case .gated(let norm):
            let rows = normalized(values, norm).enumerated().map { row, x in
                x.enumerated().map { $1 * Double(gate[row, $0]) }
            }
            return (rows, tolerances(norm, 2))
        case .concatenated(let norm):
            let rows = normalized(values, norm).enumerated().map { row, x in
                gate.row(row).map(Double.init) + x + x.enumerated().map { $1 * Double(gate[row, $0]) }
            }
            return (rows, tolerances(norm, 2))
        case .swiGLU:
            let rows = (0..<values.rows).map { row in
                zip(gate.row(row), values.row(row)).map { silu(Double($0)) * Double($1) }
            }
            // No element is greater than 1.
            return (rows, [Double](repeating: 8 * unit, count: values.rows))
        }
    }
}

/// The kinds of input of a projection, without their tensors.
enum ConformanceInput: Sendable, CustomStringConvertible {
    case plain
    case normalized(Norm)
    case gated(Norm)
    case concatenated(Norm)
    case swiGLU

    var description: String {
        switch self {
        case .plain: "plain"
        case .normalized(let norm): "normalized by \(norm)"
        case .gated(let norm): "gated \(norm)"
        case .concatenated(let norm): "concatenated \(norm)"
        case .swiGLU: "swiglu"
        }
    }

    var norm: Norm? {
        switch self {
        case .plain, .swiGLU: nil
        case .normalized(let norm), .gated(let norm), .concatenated(let norm): norm
        }
    }
}
