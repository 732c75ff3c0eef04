// Invalid calls: a device refuses them as invalid arguments, does not crash, and stays usable.

internal import Compute

/// Runs a call that must be refused as an invalid argument.
func mustRefuse(_ what: String, _ call: () throws(ComputeError) -> Void) -> [String] {
    do throws(ComputeError) {
        try call()
        return ["\(what) is accepted"]
    } catch {
        if error.code != .invalidArgument { return ["\(what) is refused as \(error.code.rawValue)"] }
        return error.message.isEmpty ? ["\(what) is refused without a word"] : []
    }
}

extension HostWeights {
    /// A tensor of ones.
    fileprivate func ones(_ shape: [Int]) -> HostTensor {
        tensor("w", dtype: .float32, shape: shape, values: [Float](repeating: 1, count: shape.reduce(1, *)))
    }
}

extension DeviceConformance {
    /// Calls that a device refuses.
    package static let misuseCases: [ConformanceCase] = [
        ConformanceCase("weights that do not fit", .linear) { (device, host) throws(ComputeError) in
            weightMisuse(device, host)
        },
        ConformanceCase("operands that do not fit", .linear, .embed, .normalize, .gatherRows) {
            (device, host) throws(ComputeError) in try operandMisuse(device, host)
        },
        ConformanceCase("attention that does not fit", .hstuAttention) { (device, host) throws(ComputeError) in
            try attentionMisuse(device, host)
        },
        ConformanceCase("softmax attention that does not fit", .softmaxAttention) {
            (device, host) throws(ComputeError) in try softmaxMisuse(device, host)
        },
        ConformanceCase("rotations that do not fit", .rotate) { (device, host) throws(ComputeError) in
            try rotateMisuse(device, host)
        },
        ConformanceCase("rows to zero that are not there", .zeroRows) { (device, _) throws(ComputeError) in
            try zeroMisuse(device)
        },
        ConformanceCase("selections that do not fit", .selectTopK) { (device, host) throws(ComputeError) in
            try selectionMisuse(device, host)
        },
    ]

    private static func weightMisuse(_ device: any Device, _ host: HostWeights) -> [String] {
        let matrix = host.ones([4, 6])
        let short = HostTensor(name: "short", dtype: .float32, shape: [4, 7], bytes: matrix.bytes)
        let whole = HostTensor(name: "ids", dtype: .int32, shape: [4, 6], bytes: matrix.bytes)
        let vast = HostTensor(name: "vast", dtype: .float32, shape: [.max, 6], bytes: matrix.bytes)
        let negative = HostTensor(name: "negative", dtype: .float32, shape: [-4, -6], bytes: matrix.bytes)
        var failures: [String] = []
        func linear(
            _ what: String,
            _ tensor: HostTensor,
            columns: [Range<Int>]? = nil,
            bias: HostTensor? = nil
        ) {
            failures += mustRefuse(what) { () throws(ComputeError) in
                _ = try device.makeLinear(tensor, layout: .inputMajor, columns: columns, bias: bias)
            }
        }
        linear("a matrix of rank 1", host.ones([24]))
        linear("a matrix of integers", whole)
        linear("a matrix with too few bytes", short)
        linear("a matrix larger than memory", vast)
        linear("a matrix of negative extents", negative)
        linear("a matrix without elements", host.ones([0, 6]))
        linear("columns that are not there", matrix, columns: [0..<7])
        linear("no columns", matrix, columns: [])
        linear("a bias of another length", matrix, bias: host.ones([5]))
        linear("a bias of rank 2", matrix, bias: host.ones([1, 6]))
        failures += mustRefuse("a table of rank 3") { () throws(ComputeError) in
            _ = try device.makeTable(host.ones([1, 4, 6]))
        }
        failures += mustRefuse("a vector of rank 2") { () throws(ComputeError) in
            _ = try device.makeVector(matrix)
        }
        failures += mustRefuse("a catalogue with too few eligible bits") { () throws(ComputeError) in
            _ = try device.makeCatalogue(host.ones([65, 2]), normalization: nil, eligible: [.max])
        }
        return failures
    }

    private static func operandMisuse(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let matrix = host.ones([4, 6])
        let weights = try device.makeLinear(matrix, layout: .inputMajor, columns: nil, bias: nil)
        let table = try device.makeTable(matrix)
        let stream = try device.makeStream()
        try stream.begin()
        let x = try stream.makeTensor(rows: 3, columns: 4, dtype: .float32)
        let y = try stream.makeTensor(rows: 3, columns: 6, dtype: .float32)
        let z = try stream.makeTensor(rows: 2, columns: 6, dtype: .float32)
        let whole = try stream.makeTensor(rows: 3, columns: 4, dtype: .int32)
        var failures: [String] = []
        func linear(_ what: String, _ input: LinearInput, residual: Tensor? = nil, output: Tensor) {
            failures += mustRefuse(what) { () throws(ComputeError) in
                try stream.linear(LinearOperation(input: input, weights: weights, residual: residual, output: output))
            }
        }
        let norm = Normalization.layerNorm(epsilon: 1e-6)
        linear("an input of another width", .plain(y), output: y)
        linear("an input of integers", .plain(whole), output: y)
        linear("an output of other rows", .plain(x), output: z)
        linear("a residual of other rows", .plain(x), residual: z, output: y)
        linear("a gate of another shape", .gated(gate: y, values: x, norm), output: y)
        linear("a concatenation of another width", .concatenatedGate(gate: x, values: x, norm), output: y)
        linear("a SwiGLU gate of another shape", .swiGLU(gate: y, values: x), output: y)
        let (fits, long) = (try device.makeVector(host.ones([4])), try device.makeVector(host.ones([5])))
        let unfit: [(String, Normalization)] = [
            ("an RMS norm of another width", .rms(epsilon: 1e-6, scale: long)),
            ("a layer norm with a scale of another width", .affineLayerNorm(epsilon: 1e-6, scale: long, shift: fits)),
            ("a layer norm with a shift of another width", .affineLayerNorm(epsilon: 1e-6, scale: fits, shift: long)),
        ]
        for (what, norm) in unfit {
            linear(what, .normalized(x, norm), output: y)
            failures += mustRefuse(what) { () throws(ComputeError) in try stream.normalize(x, norm, output: x) }
        }

        func embed(_ what: String, _ ids: [Int32], output: Tensor) throws(ComputeError) {
            let tensor = try stream.upload(ids, dtype: .int32)
            failures += mustRefuse(what) { () throws(ComputeError) in
                try stream.embed(
                    EmbedOperation(ids: tensor, table: table, scale: 1, positions: nil, output: output)
                )
            }
        }
        try embed("an id behind the table", [0, 4, 1], output: y)
        try embed("a negative id", [0, -1, 1], output: y)
        try embed("too few ids", [0, 1], output: y)
        try embed("an embedding of another width", [0, 1, 2], output: x)
        failures += mustRefuse("a norm into another shape") { () throws(ComputeError) in
            try stream.normalize(x, norm, output: y)
        }
        failures += mustRefuse("gathering a row that is not there") { () throws(ComputeError) in
            try stream.gatherRows(
                x,
                rows: [0, 3, 1],
                output: try stream.makeTensor(rows: 3, columns: 4, dtype: .float32)
            )
        }
        failures += mustRefuse("a tensor of negative extent") { () throws(ComputeError) in
            _ = try stream.makeTensor(rows: -1, columns: 4, dtype: .float32)
        }
        return failures
    }

    private static func attentionMisuse(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let position = try device.makeVector(host.ones([9]))
        let time = try device.makeVector(host.ones([129]))
        let stream = try device.makeStream()
        try stream.begin()
        let x = try stream.makeTensor(rows: 6, columns: 8, dtype: .float32)
        let y = try stream.makeTensor(rows: 6, columns: 8, dtype: .float32)
        let times = try stream.upload([Int64](repeating: 0, count: 7), dtype: .int64)
        let valid = AttentionOperation(
            .silu,
            layout: Jagged(lengths: [6]),
            queryRows: .all,
            query: x,
            key: x,
            value: x,
            output: y,
            heads: 2,
            scale: 1,
            bias: nil
        )
        let bias = RelativeBias(position: position, time: time, maximumLength: 5, timestamps: times, applies: [true])
        var failures: [String] = []
        func refuse(_ what: String, _ change: (inout AttentionOperation) -> Void) {
            var operation = valid
            change(&operation)
            failures += mustRefuse(what) { () throws(ComputeError) in try stream.attention(operation) }
        }
        refuse("a width that the heads do not divide") { $0.heads = 3 }
        refuse("no heads") { $0.heads = 0 }
        refuse("a layout of other rows") { $0.layout = Jagged(lengths: [5]) }
        refuse("an empty sequence") { $0.layout = Jagged(lengths: [6, 0]) }
        refuse("all rows for the last") { $0.queryRows = .last }
        refuse("a sequence longer than the bias reaches") { $0.bias = bias }
        refuse("a bias of another length than said") { operation in
            operation.bias = bias
            operation.bias?.maximumLength = 6
        }
        refuse("a bias for other sequences") { operation in
            operation.bias = bias
            operation.bias?.applies = []
        }
        refuse("timestamps of another count") { operation in
            operation.layout = Jagged(lengths: [3, 3])
            operation.bias = bias
            operation.bias?.applies = [true, true]
        }
        return failures
    }

    private static func softmaxMisuse(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let position = try device.makeVector(host.ones([9]))
        let time = try device.makeVector(host.ones([129]))
        let stream = try device.makeStream()
        try stream.begin()
        let x = try stream.makeTensor(rows: 6, columns: 24, dtype: .float32)
        let y = try stream.makeTensor(rows: 6, columns: 24, dtype: .float32)
        let whole = try stream.makeTensor(rows: 6, columns: 24, dtype: .int32)
        let times = try stream.upload([Int64](repeating: 0, count: 7), dtype: .int64)
        let valid = AttentionOperation(
            .softmax,
            layout: Jagged(lengths: [6]),
            queryRows: .all,
            query: x,
            key: x.columns(0..<8),
            value: x.columns(8..<16),
            output: y,
            heads: 6,
            keyHeads: 2,
            scale: 1
        )
        let bias = RelativeBias(position: position, time: time, maximumLength: 5, timestamps: times, applies: [true])
        try stream.attention(valid)
        var failures: [String] = []
        func refuse(_ what: String, _ change: (inout AttentionOperation) -> Void) {
            var operation = valid
            change(&operation)
            failures += mustRefuse(what) { () throws(ComputeError) in try stream.attention(operation) }
        }
        refuse("a width that the heads do not divide") { $0.heads = 10 }
        refuse("no heads") { $0.heads = 0 }
        refuse("no key heads") { $0.keyHeads = 0 }
        refuse("fewer than no key heads") { $0.keyHeads = -2 }
        refuse("key heads that do not divide the heads") { $0.keyHeads = 4 }
        refuse("more key heads than heads") { $0.keyHeads = 12 }
        refuse("keys of another width") { $0.key = x.columns(0..<12) }
        refuse("values of another width") { $0.value = x.columns(0..<16) }
        refuse("an output of another width") { $0.output = y.columns(0..<8) }
        refuse("a query of integers") { $0.query = whole }
        refuse("a layout of other rows") { $0.layout = Jagged(lengths: [5]) }
        refuse("an empty sequence") { $0.layout = Jagged(lengths: [6, 0]) }
        refuse("all rows for the last") { $0.queryRows = .last }
        refuse("weights of other sequences") { $0.firstRowWeights = [0, 0] }
        refuse("no weights of a sequence") { $0.firstRowWeights = [] }
        refuse("a weight that is no number") { $0.firstRowWeights = [.nan] }
        refuse("a weight that leaves no key") { $0.firstRowWeights = [-.infinity] }
        refuse("a sequence longer than the bias reaches") { $0.bias = bias }
        refuse("a bias without times of another length than said") { operation in
            operation.bias = bias
            operation.bias?.time = nil
            operation.bias?.maximumLength = 6
        }
        refuse("timestamps of another count") { operation in
            operation.layout = Jagged(lengths: [3, 3])
            operation.bias = bias
            operation.bias?.applies = [true, true]
        }
        return failures
    }

    private static func rotateMisuse(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let frequencies = try device.makeVector(host.ones([4]))
        let stream = try device.makeStream()
        try stream.begin()
        let valid = RotateOperation(
            tensor: try stream.makeTensor(rows: 3, columns: 16, dtype: .float32),
            positions: try stream.upload([0, 1, 2] as [Int32], dtype: .int32),
            frequencies: frequencies,
            heads: 2,
            pairing: .halves
        )
        let whole = try stream.makeTensor(rows: 3, columns: 16, dtype: .int32)
        let few = try stream.upload([0, 1] as [Int32], dtype: .int32)
        let long = try stream.upload([0, 1, 2] as [Int64], dtype: .int64)
        var failures: [String] = []
        func refuse(_ what: String, _ change: (inout RotateOperation) -> Void) {
            var operation = valid
            change(&operation)
            failures += mustRefuse(what) { () throws(ComputeError) in try stream.rotate(operation) }
        }
        refuse("heads of another width than the frequencies") { $0.heads = 4 }
        refuse("no heads") { $0.heads = 0 }
        refuse("fewer than no heads") { $0.heads = -2 }
        refuse("more heads than can be counted") { $0.heads = .max }
        refuse("a tensor of integers") { $0.tensor = whole }
        refuse("too few positions") { $0.positions = few }
        refuse("positions of 64 bits") { $0.positions = long }
        return failures
    }

    private static func zeroMisuse(_ device: any Device) throws(ComputeError) -> [String] {
        let stream = try device.makeStream()
        try stream.begin()
        let x = try stream.upload(Matrix(rows: 2, columns: 2, values: [1, 2, 3, 4]))
        let whole = try stream.makeTensor(rows: 2, columns: 2, dtype: .int32)
        var failures: [String] = []
        for row in [2, -1, .max, .min] as [Int32] {
            failures += mustRefuse("row \(row) of two") { () throws(ComputeError) in
                try stream.zeroRows(x, rows: [0, row])
            }
        }
        failures += mustRefuse("a tensor of integers") { () throws(ComputeError) in
            try stream.zeroRows(whole, rows: [0])
        }
        try stream.synchronize()
        return failures + bitDifferences(try stream.read(x), [1, 2, 3, 4], "a refused call changes rows")
    }

    private static func selectionMisuse(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let catalogue = try device.makeCatalogue(host.ones([70, 4]), normalization: nil, eligible: [.max, .max])
        let stream = try device.makeStream()
        try stream.begin()
        let queries = try stream.upload(Matrix(rows: 1, columns: 4, values: [1, 2, 3, 4]))
        let wide = try stream.upload(Matrix(rows: 1, columns: 5, values: [1, 2, 3, 4, 5]))
        var failures: [String] = []
        func refuse(
            _ what: String,
            queries: Tensor,
            masks: [SelectionMask] = [SelectionMask()],
            counts: [Int] = [3]
        ) {
            failures += mustRefuse(what) { () throws(ComputeError) in
                _ = try stream.selectTopK(
                    TopKOperation(queries: queries, catalogue: catalogue, masks: masks, counts: counts)
                )
            }
        }
        refuse("a query of another width", queries: wide)
        refuse("too few masks", queries: queries, masks: [])
        refuse("too many counts", queries: queries, counts: [1, 2])
        refuse("a count of zero", queries: queries, counts: [0])
        refuse("a mask that is too short", queries: queries, masks: [SelectionMask(allowed: [0])])
        refuse("excluded rows out of order", queries: queries, masks: [SelectionMask(excluded: [5, 4])])
        refuse("an excluded row twice", queries: queries, masks: [SelectionMask(excluded: [5, 5])])
        refuse("an excluded row behind the catalogue", queries: queries, masks: [SelectionMask(excluded: [70])])
        return failures
    }
}
