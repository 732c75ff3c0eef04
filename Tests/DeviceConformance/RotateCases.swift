// Rotation: both pairings, widths around a vector, positions near and far.

internal import Compute
internal import Glibc
internal import Random

private struct RotateCase {
    var rows = 21
    var heads = 2
    /// Half the width of a head.
    var pairs: Int
    var pairing: RotateOperation.Pairing
    var positions = Positions.ordinary

    enum Positions: String, Sendable {
        case ordinary = "ordinary positions"
        case far = "far positions"
        case negative = "negative positions"
        case beyondTables = "positions beyond any table"
    }

    var name: String { "rotate \(rows) rows \(heads) × \(2 * pairs) \(pairing.rawValue) \(positions.rawValue)" }

    private func position(_ row: Int) -> Int32 {
        switch positions {
        case .ordinary: Int32(row * 5 % 211)
        case .far: Int32(row * 1009 % 8192)
        case .negative: Int32(row) - 7
        case .beyondTables: row % 2 == 0 ? .max - Int32(row) : Int32(row)
        }
    }

    func run(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        var random = SplitMix64(seed: UInt64(pairs))
        let input = Matrix(rows: rows, columns: heads * 2 * pairs, random: &random)
        let frequencies = (0..<pairs).map { Float(pow(10_000, -Double($0) / Double(pairs))) }
        let stored = host.tensor("inv_freq", vector: frequencies)
        let vector = try device.makeVector(stored)
        let stream = try device.makeStream()
        try stream.begin()
        let tensor = try stream.uploadStrided(input)
        let operation = RotateOperation(
            tensor: tensor,
            positions: try stream.upload((0..<rows).map(position), dtype: .int32),
            frequencies: vector,
            heads: heads,
            pairing: pairing
        )
        try stream.rotate(operation)
        // Twice: angles that a device caches must serve again.
        var again = operation
        again.tensor = try stream.upload(input)
        try stream.rotate(again)
        try stream.synchronize()
        let expected = expected(input, frequencies)
        return expected.failures(of: try stream.readMatrix(tensor))
            + bitDifferences(try stream.read(tensor), try stream.read(again.tensor), "rotated again")
    }

    private func expected(_ input: Matrix, _ frequencies: [Float]) -> Expected {
        var expected = Expected(rows: rows, columns: input.columns)
        for row in 0..<rows {
            for head in 0..<heads {
                for pair in 0..<pairs {
                    let first = head * 2 * pairs + (pairing == .halves ? pair : 2 * pair)
                    let second = first + (pairing == .halves ? pairs : 1)
                    // The angle is float32's own product: its rounding is part of the model.
                    let angle = Double(Float(position(row)) * frequencies[pair])
                    let (a, b) = (Double(input[row, first]), Double(input[row, second]))
                    let tolerance = 6 * Reference.unit * (abs(a) + abs(b))
                    expected.set(row, first, a * cos(angle) - b * sin(angle), within: tolerance)
                    expected.set(row, second, a * sin(angle) + b * cos(angle), within: tolerance)
                }
            }
        }
        return expected
    }
}

extension DeviceConformance {
    /// Rotation.
    package static let rotateCases: [ConformanceCase] = {
        var cases: [RotateCase] = []
        for pairing in RotateOperation.Pairing.allCases {
            for pairs in [1, 2, 3, 4, 8, 12, 15, 16, 17, 25, 32, 40, 64] {
                cases.append(RotateCase(pairs: pairs, pairing: pairing))
            }
            for heads in [1, 3, 8] { cases.append(RotateCase(heads: heads, pairs: 16, pairing: pairing)) }
            for positions in [RotateCase.Positions.far, .negative, .beyondTables] {
                cases.append(RotateCase(rows: 300, pairs: 9, pairing: pairing, positions: positions))
            }
            cases.append(RotateCase(rows: 0, pairs: 4, pairing: pairing))
            cases.append(RotateCase(rows: 1000, heads: 4, pairs: 16, pairing: pairing))
        }
        return cases.map { rotateCase in
            ConformanceCase(rotateCase.name, .rotate) { (device, host) throws(ComputeError) in
                try rotateCase.run(device, host)
            }
        }
    }()
}
