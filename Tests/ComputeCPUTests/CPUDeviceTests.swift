// Properties of the CPU device itself: its choice of kernels, its memory, its threads, and results that do not depend
// on them.

import Compute
import ComputeCPU
import Testing

/// Host memory of float32 weights; a test keeps it alive longer than the objects made from it.
private final class HostFloats {
    private var blocks: [UnsafeMutableBufferPointer<Float>] = []

    deinit {
        for block in blocks { block.deallocate() }
    }

    func tensor(_ name: String, _ shape: [Int], _ value: (Int) -> Float) -> HostTensor {
        let block = UnsafeMutableBufferPointer<Float>.allocate(capacity: shape.reduce(1, *))
        blocks.append(block)
        for index in block.indices { block.initializeElement(at: index, to: value(index)) }
        return HostTensor(name: name, dtype: .float32, shape: shape, bytes: UnsafeRawBufferPointer(block))
    }
}

/// A pseudorandom number in -1 ..< 1, a function of the arguments.
private func number(_ index: Int, _ seed: Int) -> Float {
    var z = UInt64(truncatingIfNeeded: index &* 1_000_003 &+ seed) &* 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 29)) &* 0xbf58_476d_1ce4_e5b9
    return Float(Int(z >> 40) - 8_388_608) / 8_388_608
}

/// A layer of HSTU and a selection, as a model would run them; every intermediate result in one array.
private struct Layer {
    let lengths: [Int]
    let width = 50
    let heads = 2

    func run(threads: Int) throws -> (values: [Float], last: [Float], lastOfAll: [Float], selected: [ScoredRow]) {
        let host = HostFloats()
        defer { withExtendedLifetime(host) {} }
        let device = try CPUDevice(threads: threads)
        let uvqk = host.tensor("uvqk", [width, 4 * width]) { number($0, 1) }
        let out = host.tensor("o", [width, width]) { number($0, 2) }
        let bias = host.tensor("o_bias", [width]) { number($0, 3) }
        let position = host.tensor("pos_w", [2 * 300 - 1]) { number($0, 4) }
        let time = host.tensor("ts_w", [129]) { number($0, 5) }
        let items = host.tensor("items", [3000, width]) { number($0, 6) }
        let projection = try device.makeLinear(uvqk, layout: .inputMajor, columns: nil, bias: nil)
        let output = try device.makeLinear(out, layout: .outputMajor, columns: nil, bias: bias)
        let positionBias = try device.makeVector(position)
        let timeBias = try device.makeVector(time)
        let catalogue = try device.makeCatalogue(
            items,
            normalization: .l2(epsilon: 1e-6),
            eligible: [UInt64](repeating: .max, count: 47)
        )
        let table = try device.makeTable(items)

        let stream = try device.makeStream()
        let layout = Jagged(lengths: lengths)
        let rows = layout.rows
        try stream.begin()
        let x = try stream.makeTensor(rows: rows, columns: width, dtype: .float32)
        let ids = (0..<rows).map { Int32($0 * 37 % 3000) }
        try stream.embed(
            EmbedOperation(
                ids: try stream.upload(ids, dtype: .int32),
                table: table,
                scale: 7,
                positions: nil,
                output: x
            )
        )
        let z = try stream.makeTensor(rows: rows, columns: 4 * width, dtype: .float32)
        let norm = Normalization.layerNorm(epsilon: 1e-6)
        try stream.linear(
            LinearOperation(input: .normalized(x, norm), weights: projection, activation: .silu, output: z)
        )
        let y = try stream.makeTensor(rows: rows, columns: width, dtype: .float32)
        let times = (0..<rows + lengths.count).map { Int64($0 * $0 * 97) }
        var attention = AttentionOperation(
            .silu,
            layout: layout,
            queryRows: .all,
            query: z.columns(2 * width..<3 * width),
            key: z.columns(3 * width..<4 * width),
            value: z.columns(width..<2 * width),
            output: y,
            heads: heads,
            scale: 1.0 / 311,
            bias: RelativeBias(
                position: positionBias,
                time: timeBias,
                maximumLength: 300,
                timestamps: try stream.upload(times, dtype: .int64),
                applies: lengths.map { $0 % 3 != 0 }
            )
        )
        try stream.attention(attention)
        let lastRows = layout.offsets.dropFirst().map { $0 - 1 }
        attention.queryRows = .last
        attention.query = try stream.makeTensor(rows: layout.count, columns: width, dtype: .float32)
        attention.output = try stream.makeTensor(rows: layout.count, columns: width, dtype: .float32)
        try stream.gatherRows(z.columns(2 * width..<3 * width), rows: lastRows, output: attention.query)
        try stream.attention(attention)
        let lastOfAll = try stream.makeTensor(rows: layout.count, columns: width, dtype: .float32)
        try stream.gatherRows(y, rows: lastRows, output: lastOfAll)

        try stream.linear(
            LinearOperation(
                input: .gated(gate: z.columns(0..<width), values: y, norm),
                weights: output,
                residual: x,
                output: x
            )
        )
        let users = try stream.makeTensor(rows: layout.count, columns: width, dtype: .float32)
        try stream.gatherRows(x, rows: lastRows, output: users)
        try stream.normalize(users, .l2(epsilon: 1e-6), output: users)
        let ticket = try stream.selectTopK(
            TopKOperation(
                queries: users,
                catalogue: catalogue,
                masks: lengths.map { SelectionMask(excluded: [Int32($0)]) },
                counts: lengths.map { 5 + $0 }
            )
        )
        try stream.synchronize()
        let selected = lengths.indices.flatMap { stream.selected(ticket, query: $0) }
        return (
            try stream.read(z) + stream.read(y) + stream.read(x) + stream.read(users),
            try stream.read(attention.output), try stream.read(lastOfAll), selected
        )
    }
}

/// A layer of Llama without its MLP's width: RMS norms, rotation, grouped softmax attention, SwiGLU.
private struct LlamaLayer {
    let lengths: [Int]
    let width = 48

    func run(threads: Int) throws -> (values: [Float], last: [Float], lastOfAll: [Float]) {
        let host = HostFloats()
        defer { withExtendedLifetime(host) {} }
        let device = try CPUDevice(threads: threads)
        let matrix = host.tensor("qkv", [width, 2 * width]) { number($0, 11) / 4 }
        let gates = host.tensor("gate_up", [width, 2 * width]) { number($0, 12) }
        let scale = host.tensor("norm", [width]) { number($0, 13) }
        let frequencies = host.tensor("inv_freq", [6]) { 1 / Float(1 + $0 * $0) }
        let projection = try device.makeLinear(matrix, layout: .inputMajor, columns: nil, bias: nil)
        let gateProjection = try device.makeLinear(gates, layout: .inputMajor, columns: nil, bias: nil)
        let down = try device.makeLinear(matrix, layout: .inputMajor, columns: [0..<width], bias: nil)
        let norm = Normalization.rms(epsilon: 1e-6, scale: try device.makeVector(scale))
        let angles = try device.makeVector(frequencies)

        let stream = try device.makeStream()
        let layout = Jagged(lengths: lengths)
        let rows = layout.rows
        try stream.begin()
        let flat = try stream.upload((0..<rows * width).map { number($0, 14) }, dtype: .float32)
        let x = Tensor(address: flat.address, dtype: .float32, rows: rows, columns: width)
        let z = try stream.makeTensor(rows: rows, columns: 2 * width, dtype: .float32)
        try stream.linear(LinearOperation(input: .normalized(x, norm), weights: projection, output: z))
        let positions = try stream.upload(lengths.flatMap { 0..<Int32($0) }, dtype: .int32)
        for (part, heads) in [(0..<width, 4), (width..<width + width / 2, 2)] {
            try stream.rotate(
                RotateOperation(
                    tensor: z.columns(part),
                    positions: positions,
                    frequencies: angles,
                    heads: heads,
                    pairing: .halves
                )
            )
        }
        let y = try stream.makeTensor(rows: rows, columns: width, dtype: .float32)
        var attention = AttentionOperation(
            .softmax,
            layout: layout,
            queryRows: .all,
            query: z.columns(0..<width),
            key: z.columns(width..<width + width / 2),
            value: z.columns(width + width / 2..<2 * width),
            output: y,
            heads: 4,
            keyHeads: 2,
            scale: 0.29,
            firstRowWeights: lengths.map { Float($0 % 3) }
        )
        try stream.attention(attention)
        let lastRows = layout.offsets.dropFirst().map { $0 - 1 }
        attention.queryRows = .last
        attention.query = try stream.makeTensor(rows: layout.count, columns: width, dtype: .float32)
        attention.output = try stream.makeTensor(rows: layout.count, columns: width, dtype: .float32)
        try stream.gatherRows(z.columns(0..<width), rows: lastRows, output: attention.query)
        try stream.attention(attention)
        let lastOfAll = try stream.makeTensor(rows: layout.count, columns: width, dtype: .float32)
        try stream.gatherRows(y, rows: lastRows, output: lastOfAll)

        let hidden = try stream.makeTensor(rows: rows, columns: 2 * width, dtype: .float32)
        try stream.linear(
            LinearOperation(input: .normalized(y, norm), weights: gateProjection, activation: .geluTanh, output: hidden)
        )
        let (gate, up) = (hidden.columns(0..<width), hidden.columns(width..<2 * width))
        try stream.linear(
            LinearOperation(input: .swiGLU(gate: gate, values: up), weights: down, residual: x, output: x)
        )
        try stream.normalize(x, norm, output: x)
        try stream.synchronize()
        return (
            try stream.read(z) + stream.read(y) + stream.read(hidden) + stream.read(x),
            try stream.read(attention.output), try stream.read(lastOfAll)
        )
    }
}

struct CPUDeviceTests {
    @Test(arguments: [[200], [1, 30, 300, 7, 64, 15, 16, 17], [3, 5]])
    func givesASoftmaxLayerTheSameBits_WithAnyNumberOfThreads(_ lengths: [Int]) throws {
        let layer = LlamaLayer(lengths: lengths)
        let one = try layer.run(threads: 1)
        for threads in [2, 5] {
            let several = try layer.run(threads: threads)
            #expect(several.values.map(\.bitPattern) == one.values.map(\.bitPattern))
            #expect(several.last.map(\.bitPattern) == one.last.map(\.bitPattern))
        }
    }

    @Test
    func givesTheLastRowOfASoftmaxLayerTheSameBits_WhetherOrNotTheOthersAsk() throws {
        let result = try LlamaLayer(lengths: [200, 1, 31, 16, 290, 128, 129]).run(threads: 2)
        #expect(result.last.map(\.bitPattern) == result.lastOfAll.map(\.bitPattern))
    }

    @Test(arguments: [[200], [1, 30, 300, 7, 64, 15, 16, 17], [3, 5]])
    func givesTheSameBits_WithAnyNumberOfThreads(_ lengths: [Int]) throws {
        let layer = Layer(lengths: lengths)
        let one = try layer.run(threads: 1)
        for threads in [2, 5] {
            let several = try layer.run(threads: threads)
            #expect(several.values.map(\.bitPattern) == one.values.map(\.bitPattern))
            #expect(several.last.map(\.bitPattern) == one.last.map(\.bitPattern))
            #expect(several.selected == one.selected)
        }
    }

    @Test
    func givesTheLastRowTheSameBits_WhetherOrNotTheOthersAsk() throws {
        let result = try Layer(lengths: [200, 1, 31, 16, 290]).run(threads: 2)
        #expect(result.last.map(\.bitPattern) == result.lastOfAll.map(\.bitPattern))
    }

    @Test
    func describesItself() throws {
        let device = try CPUDevice(threads: 2, isa: .scalar)
        let description = DeviceDescription(name: "cpu", architecture: "scalar", dtype: .float32, threads: 2)
        #expect(device.description == description)
    }

    @Test(arguments: [0, -1, 1025])
    func refuses_ANumberOfThreadsThatMakesNoSense(_ threads: Int) {
        #expect(throws: ComputeError(.invalidArgument, "")) { try CPUDevice(threads: threads) }
    }

    @Test
    func refuses_WeightsOfAnotherDevice() throws {
        let first = try CPUDevice(threads: 1)
        let second = try CPUDevice(threads: 1)
        let host = HostFloats()
        defer { withExtendedLifetime(host) {} }
        let matrix = host.tensor("w", [2, 3]) { Float($0) }
        let weights = try second.makeLinear(matrix, layout: .inputMajor, columns: nil, bias: nil)
        let stream = try first.makeStream()
        try stream.begin()
        let x = try stream.makeTensor(rows: 1, columns: 2, dtype: .float32)
        let y = try stream.makeTensor(rows: 1, columns: 3, dtype: .float32)
        #expect(throws: ComputeError(.invalidArgument, "")) {
            try stream.linear(LinearOperation(input: .plain(x), weights: weights, output: y))
        }
    }

    @Test
    func refuses_VectorsOfAnotherDevice() throws {
        let first = try CPUDevice(threads: 1)
        let second = try CPUDevice(threads: 1)
        let host = HostFloats()
        defer { withExtendedLifetime(host) {} }
        let entries = host.tensor("v", [4]) { Float($0) }
        let vector = try second.makeVector(entries)
        let stream = try first.makeStream()
        try stream.begin()
        let x = try stream.makeTensor(rows: 1, columns: 4, dtype: .float32)
        #expect(throws: ComputeError(.invalidArgument, "")) {
            try stream.normalize(x, .rms(epsilon: 1e-6, scale: vector), output: x)
        }
        let wide = try stream.makeTensor(rows: 1, columns: 8, dtype: .float32)
        let positions = try stream.upload([0] as [Int32], dtype: .int32)
        #expect(throws: ComputeError(.invalidArgument, "")) {
            try stream.rotate(
                RotateOperation(tensor: wide, positions: positions, frequencies: vector, heads: 1, pairing: .halves)
            )
        }
    }

    @Test
    func keepsTheAnglesOfPositions_ThatItHasSeen() throws {
        let device = try CPUDevice(threads: 1)
        let host = HostFloats()
        defer { withExtendedLifetime(host) {} }
        let entries = host.tensor("inv_freq", [4]) { 1 / Float(1 + $0) }
        let vector = try device.makeVector(entries)
        let stream = try device.makeStream()
        var bytes: [Int] = []
        for last in [9, 255, 3, 256, 300, 40_000_000, -1] as [Int32] {
            try stream.begin()
            let x = try stream.makeTensor(rows: 2, columns: 8, dtype: .float32)
            let positions = try stream.upload([0, last], dtype: .int32)
            try stream.rotate(
                RotateOperation(tensor: x, positions: positions, frequencies: vector, heads: 1, pairing: .halves)
            )
            bytes.append(device.memory.weightBytes)
        }
        // One table of 256 positions, then one of 512 that replaces it, and none for positions beyond the limit.
        #expect(bytes[1] == bytes[0] && bytes[2] == bytes[0])
        #expect(bytes[3] == bytes[0] + 256 * 8 * 4)
        #expect(Set(bytes[3...]).count == 1)
    }

    @Test
    func countsItsMemory_WhileWeightsAndStreamsLive() throws {
        let device = try CPUDevice(threads: 1)
        let host = HostFloats()
        defer { withExtendedLifetime(host) {} }
        let matrix = host.tensor("w", [64, 64]) { Float($0) }
        do {
            let linear = try device.makeLinear(matrix, layout: .inputMajor, columns: nil, bias: nil)
            // A float32 table is used in place.
            let table = try device.makeTable(matrix)
            #expect(device.memory.weightBytes == 64 * 64 * 4)
            let stream = try device.makeStream()
            #expect(device.memory.workspaceBytes == 0)
            _ = try stream.makeTensor(rows: 10, columns: 10, dtype: .float32)
            #expect(device.memory.workspaceBytes >= 400)
            withExtendedLifetime((linear, table, stream)) {}
        }
        #expect(device.memory == DeviceMemory(weightBytes: 0, workspaceBytes: 0))
    }

    @Test
    func takesNoMoreMemory_ForABatchLikeTheLast() throws {
        let device = try CPUDevice(threads: 2)
        let stream = try device.makeStream()
        var after: [Int] = []
        for _ in 0..<4 {
            try stream.begin()
            for _ in 0..<20 { _ = try stream.makeTensor(rows: 500, columns: 70, dtype: .float32) }
            after.append(device.memory.workspaceBytes)
        }
        #expect(Set(after.dropFirst()).count == 1)
    }

    @Test
    func usesTheMemoryOfTemporariesAgain_AndKeepsWhatWasMadeBefore() throws {
        let stream = try CPUDevice(threads: 1).makeStream()
        try stream.begin()
        let before = try stream.upload([1, 2, 3] as [Float], dtype: .float32)
        var addresses: [DeviceAddress] = []
        for _ in 0..<3 {
            try stream.withTemporaries { () throws(ComputeError) in
                let temporary = try stream.makeTensor(rows: 100, columns: 100, dtype: .float32)
                try stream.zeroRows(temporary, rows: Array(0..<100))
                addresses.append(temporary.address)
            }
        }
        #expect(Set(addresses).count == 1)
        #expect(try stream.read(before) == [1, 2, 3])
        // Also when the body fails.
        #expect(throws: ComputeError(.invalidArgument, "")) {
            try stream.withTemporaries { () throws(ComputeError) in
                addresses.append(try stream.makeTensor(rows: 1, columns: 1, dtype: .float32).address)
                try stream.zeroRows(before, rows: [1])
            }
        }
        #expect(Set(addresses).count == 1)
    }
}

struct InstructionSetTests {
    @Test
    func choosesTheBest_WithoutAnOverride() throws {
        #expect(try InstructionSet.selected(override: nil) == InstructionSet.available.last)
    }

    @Test(arguments: InstructionSet.available)
    func obeysTheOverride(_ isa: InstructionSet) throws {
        #expect(try InstructionSet.selected(override: isa.rawValue) == isa)
    }

    @Test(arguments: ["", "AVX2", "sse", "avx1024"])
    func refuses_ANameThatDoesNotExist(_ name: String) {
        #expect(throws: ComputeError(.unsupported, "")) { try InstructionSet.selected(override: name) }
    }

    @Test(arguments: InstructionSet.allCases.filter { !$0.isAvailable })
    func refuses_ALevelThatTheHostDoesNotHave(_ isa: InstructionSet) {
        #expect(throws: ComputeError(.unsupported, "")) { try InstructionSet.selected(override: isa.rawValue) }
        #expect(throws: ComputeError(.unsupported, "")) { try CPUDevice(threads: 1, isa: isa) }
    }
}
