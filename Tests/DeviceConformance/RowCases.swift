// Embedding, norms of whole tensors, gathering, zeroing.

internal import Compute
internal import Random

extension DeviceConformance {
    /// Operations that work row by row.
    package static let rowCases: [ConformanceCase] = embedCases + normalizeCases + gatherCases + zeroCases

    private static let embedCases: [ConformanceCase] = {
        var cases: [ConformanceCase] = []
        for dtype in [DType.float32, .float16, .bfloat16] {
            for width in [1, 4, 15, 16, 25, 50, 64, 100] {
                for hasPositions in [false, true] {
                    let name = "embed width \(width) \(dtype.rawValue)\(hasPositions ? " with positions" : "")"
                    cases.append(
                        ConformanceCase(name, .embed) { (device, host) throws(ComputeError) in
                            try embed(device, host, width: width, rows: 37, dtype: dtype, hasPositions: hasPositions)
                        }
                    )
                }
            }
        }
        cases.append(
            ConformanceCase("embed no rows", .embed) { (device, host) throws(ComputeError) in
                try embed(device, host, width: 8, rows: 0, dtype: .float32, hasPositions: true)
            }
        )
        return cases
    }()

    private static func embed(
        _ device: any Device,
        _ host: HostWeights,
        width: Int,
        rows: Int,
        dtype: DType,
        hasPositions: Bool
    ) throws(ComputeError) -> [String] {
        var random = SplitMix64(seed: UInt64(width))
        var items = Matrix(rows: 29, columns: width, random: &random)
        items.values = items.values.map { HostWeights.rounded($0, to: dtype) }
        let positions = Matrix(rows: 41, columns: width, random: &random)
        let ids = (0..<rows).map { _ in Int32(random.integer(in: 0...28)) }
        let places = (0..<rows).map { _ in Int32(random.integer(in: 0...40)) }
        let scale = Float(width).squareRoot()

        let storedItems = host.tensor("items", items, dtype: dtype)
        let storedPositions = host.tensor("positions", positions)
        let table = try device.makeTable(storedItems)
        let positionTable = try device.makeTable(storedPositions)
        let stream = try device.makeStream()
        try stream.begin()
        let output = try stream.makeTensor(rows: rows, columns: width, dtype: .float32)
        let placeTensor = try stream.upload(places, dtype: .int32)
        try stream.embed(
            EmbedOperation(
                ids: try stream.upload(ids, dtype: .int32),
                table: table,
                scale: scale,
                positions: hasPositions ? (positionTable, placeTensor) : nil,
                output: output
            )
        )
        try stream.synchronize()
        var expected = Expected(rows: rows, columns: width)
        for row in 0..<rows {
            for column in 0..<width {
                let item = Double(scale) * Double(items[Int(ids[row]), column])
                let position = hasPositions ? Double(positions[Int(places[row]), column]) : 0
                expected.set(
                    row,
                    column,
                    item + position,
                    within: (0x1p-22 + Rounding.half) * (abs(item) + abs(position))
                )
            }
        }
        return expected.failures(of: try stream.readMatrix(output))
    }

    private static let normalizeCases: [ConformanceCase] = {
        var cases: [ConformanceCase] = []
        for normalization in [
            Norm.layer(epsilon: 1e-6), .l2(epsilon: 1e-6), .layer(epsilon: 0.1), .affineLayer(epsilon: 1e-5),
            .affineLayer(epsilon: 1e-8), .rms(epsilon: 1e-6), .rms(epsilon: 1e-5),
        ] {
            for width in [1, 2, 8, 15, 16, 17, 50, 64, 256, 300] {
                cases.append(
                    ConformanceCase("normalize \(normalization) width \(width)", .normalize) {
                        (device, host) throws(ComputeError) in
                        var random = SplitMix64(seed: UInt64(width))
                        return try normalize(
                            device,
                            host,
                            Matrix(rows: 11, columns: width, random: &random),
                            normalization
                        )
                    }
                )
            }
            cases.append(
                ConformanceCase("normalize \(normalization) zeros, equal and tiny rows", .normalize) {
                    (device, host) throws(ComputeError) in
                    try normalize(
                        device,
                        host,
                        Matrix(
                            rows: 4,
                            columns: 4,
                            values: [0, 0, 0, 0, 3, 3, 3, 3, 1e-9, -1e-9, 2e-9, 0, 1e-3, -1e-3, 2e-3, 5e-4]
                        ),
                        normalization
                    )
                }
            )
        }
        for norm in [Norm.rms(epsilon: 1e-6), .affineLayer(epsilon: 1e-5), .l2(epsilon: 1e-6)] {
            for (groups, width) in [(2, 1), (3, 8), (4, 16), (5, 25), (16, 64), (2, 128)] {
                cases.append(
                    ConformanceCase("normalize \(norm) \(groups) groups of \(width)", .normalize) {
                        (device, host) throws(ComputeError) in
                        try normalizeGroups(device, host, norm, groups: groups, width: width)
                    }
                )
            }
        }
        cases.append(
            ConformanceCase("normalize a large mean", .normalize) { (device, host) throws(ComputeError) in
                var random = SplitMix64(seed: 5)
                var input = Matrix(rows: 5, columns: 50, random: &random)
                input.values = input.values.map { 100 + $0 }
                return try normalize(device, host, input, .layer(epsilon: 1e-6))
                    + normalize(device, host, input, .affineLayer(epsilon: 1e-6))
                    + normalize(device, host, input, .rms(epsilon: 1e-6))
            }
        )
        cases.append(
            ConformanceCase("normalize many rows", .normalize) { (device, host) throws(ComputeError) in
                var random = SplitMix64(seed: 6)
                return try normalize(
                    device,
                    host,
                    Matrix(rows: 1000, columns: 40, random: &random),
                    .affineLayer(epsilon: 1e-6)
                )
            }
        )
        return cases
    }()

    private static func normalize(
        _ device: any Device,
        _ host: HostWeights,
        _ input: Matrix,
        _ norm: Norm
    ) throws(ComputeError) -> [String] {
        let normalization = try norm.made(on: device, host, columns: input.columns)
        let stream = try device.makeStream()
        try stream.begin()
        let expected = Reference.normalize(input, norm)
        let x = try stream.uploadStrided(input)
        let output = try stream.makeTensor(rows: input.rows, columns: input.columns, dtype: .float32)
        try stream.normalize(x, normalization, output: output)
        // Also in place.
        try stream.normalize(x, normalization, output: x)
        try stream.synchronize()
        return expected.failures(of: try stream.readMatrix(output))
            + expected.failures(of: try stream.readMatrix(x)).map { "in place: \($0)" }
    }

    /// Heads among other columns: compared with the reference, which treats each head as a separate row, and, to the
    /// bit, with the head normalised alone.
    private static func normalizeGroups(
        _ device: any Device,
        _ host: HostWeights,
        _ norm: Norm,
        groups: Int,
        width: Int
    ) throws(ComputeError) -> [String] {
        let rows = 7
        var random = SplitMix64(seed: UInt64(groups + width))
        let input = Matrix(rows: rows, columns: groups * width, random: &random)
        let parts = Matrix(rows: rows * groups, columns: width, values: input.values)
        let normalization = try norm.made(on: device, host, columns: width)
        let stream = try device.makeStream()
        try stream.begin()
        let x = try stream.uploadStrided(input)
        let output = try stream.makeTensor(rows: rows, columns: input.columns, dtype: .float32)
        let apart = try stream.upload(parts)
        try stream.normalize(x, normalization, groups: groups, output: output)
        try stream.normalize(x, normalization, groups: groups, output: x)
        try stream.normalize(apart, normalization, output: apart)
        try stream.synchronize()
        let values = try stream.read(output)
        return Reference.normalize(parts, norm).failures(
            of: Matrix(rows: parts.rows, columns: width, values: values)
        ) + bitDifferences(values, try stream.read(x), "in place")
            + bitDifferences(values, try stream.read(apart), "groups as rows")
    }

    private static let gatherCases: [ConformanceCase] = [1, 3, 50, 64].map { width in
        ConformanceCase("gather rows width \(width)", .gatherRows) { (device, _) throws(ComputeError) in
            var random = SplitMix64(seed: UInt64(width))
            let source = Matrix(rows: 20, columns: width, random: &random)
            let rows: [Int32] = [19, 0, 7, 7, 3]
            let stream = try device.makeStream()
            try stream.begin()
            let output = try stream.makeTensor(rows: rows.count, columns: width, dtype: .float32)
            try stream.gatherRows(try stream.uploadStrided(source), rows: rows, output: output)
            let none = try stream.makeTensor(rows: 0, columns: width, dtype: .float32)
            try stream.gatherRows(try stream.upload(source), rows: [], output: none)
            try stream.synchronize()
            return bitDifferences(try stream.read(output), rows.flatMap { source.row(Int($0)) }, "gathered rows")
        }
    }

    private static let zeroCases: [ConformanceCase] = [1, 3, 50, 64].map { width in
        ConformanceCase("zero rows width \(width)", .zeroRows) { (device, _) throws(ComputeError) in
            var random = SplitMix64(seed: UInt64(width))
            var source = Matrix(rows: 20, columns: width, random: &random)
            source[4, 0] = .nan
            let stream = try device.makeStream()
            try stream.begin()
            // The rows lie among other columns, which must stay as they are.
            let wide = try stream.upload(source)
            let tensor = wide.columns(width / 3..<width - width / 3)
            try stream.zeroRows(tensor, rows: [19, 0, 4, 4])
            try stream.zeroRows(tensor, rows: [])
            try stream.synchronize()
            for row in [19, 0, 4] {
                for column in width / 3..<width - width / 3 { source[row, column] = 0 }
            }
            return bitDifferences(try stream.read(wide), source.values, "rows")
        }
    }
}
