// Checks the optional features on small problems when the device is made: fused attention, because public descriptions
// of the operators contradict each other and their releases differ; weights in FRACTAL_NZ, because public sources round
// such products to half precision; and captured batches, because no public document says which operators may be
// captured.

internal import CAscend
internal import Compute
internal import Glibc

/// Seeded numbers from −1 to 1.
private struct Numbers {
    var state: UInt64

    mutating func next() -> Float {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(state >> 40) / Float(1 << 23) - 1
    }

    mutating func values(_ count: Int) -> [Float] { (0..<count).map { _ in next() } }
}

extension AscendDevice {
    /// Runs a check of a feature. If the device refuses a call, that is the reason against the feature.
    ///
    /// - Returns: the reason against it; nil if there is none.
    /// - Throws: the device's other failures.
    private func reason(
        against trial: Trial,
        _ check: () throws(ComputeError) -> String?
    ) throws(ComputeError) -> String? {
        do throws(ComputeError) {
            return try trials.attempt(trial, check)
        } catch {
            guard error.code == .unsupported else { throw error }
            return error.message
        }
    }

    /// Whether Topk distinguishes float32 values that are equal in half precision, to which it casts them on the first
    /// generation (ops-nn, aclnn_topk.cpp).
    func doesRankExactly() throws(ComputeError) -> Bool {
        guard support.has(.topk) else { return true }
        let stream = try AscendStream(device: self, captures: false)
        try stream.begin()
        let best = Float(1).nextUp
        let scores = try stream.input((0..<16).map { $0 == 11 ? best : 1 }, .float32, [1, 16])
        let values = try stream.temporary(.float32, [1, 8])
        let indices = try stream.temporary(.int64, [1, 8])
        stream.note { (calls) throws(ComputeError) in
            try calls.topk(scores, count: 8, values: values, indices: indices)
        }
        try stream.synchronize()
        let first: [Float] = try stream.readBack(values.address, count: 1)
        return first == [best]
    }

    /// Decides whether HSTU attention is fused, and by which operator: the first whose result agrees with the host's.
    ///
    /// - Returns: the decision and its reason, as a line for people.
    func decideFusion(isWanted: Bool) throws(ComputeError) -> String {
        guard isWanted else { return compose("as requested") }
        guard context.chip.hasJaggedAttention else {
            return compose("\(context.chip.name) has the fused operator for padded rows only")
        }
        if let missing = missing(for: .hstuAttention) { return compose(missing) }
        var reasons: [String] = []
        for variant in FusedVariant.allCases {
            let text = variant.text(context.library.functions.hstu)
            guard variant.launch(context.library.functions.hstu) != nil else {
                reasons.append(text)
                continue
            }
            let refusal = try reason(against: .fusedAttention(variant)) { () throws(ComputeError) -> String? in
                let sample = try Sample(on: self)
                provenFusion = variant
                defer { provenFusion = nil }
                let fused = try sample.attend(on: AscendStream(device: self, captures: false))
                let expected = sample.expected(in: description.dtype)
                let greatest = expected.reduce(0) { max($0, abs($1)) }
                // Eight roundings of the greatest element. An error in a row of the mask or bias makes a hundred.
                let bound = (description.dtype == .float16 ? 0x1p-8 : 0x1p-5) * greatest
                let isFinite = fused.allSatisfy { $0.isFinite }
                let difference = isFinite ? zip(expected, fused).reduce(0) { max($0, abs($1.0 - $1.1)) } : .infinity
                guard difference <= bound else {
                    return "\(text) differs by \(difference / greatest) of the greatest element"
                }
                return nil
            }
            guard let refusal else {
                provenFusion = variant
                return "HSTU attention is fused: \(variant.name) of \(text)"
            }
            reasons.append(refusal.hasPrefix("\(variant.name)") ? refusal : "\(variant.name): \(refusal)")
        }
        return compose(reasons.joined(separator: "; "))
    }

    private func compose(_ reason: String) -> String { "HSTU attention is composed: \(reason)" }

    /// Why batches are not captured; nil if a captured batch gives the same results as one that runs operator by
    /// operator, even with other inputs than the capture's.
    func reasonNotToCapture() throws(ComputeError) -> String? {
        if let missing = missing(for: .hstuAttention) { return missing }
        return try reason(against: .capture) { () throws(ComputeError) -> String? in
            let stream = try AscendStream(device: self, captures: true)
            guard let captured = stream.captured else { return "this CANN has no aclmdlRICaptureBegin" }
            let sample = try Sample(on: self)
            // The first run grows the memory, which changes the key. The second is remembered, the third captured.
            for _ in 0..<3 { _ = try sample.attend(on: stream) }
            if let refusal = captured.refusal { return refusal.message }
            let plain = try sample.attend(on: AscendStream(device: self, captures: false), seed: 2)
            guard captured.count == 1, try sample.attend(on: stream, seed: 2) == plain else {
                return "a captured batch gives different results"
            }
            return nil
        }
    }

    /// Why weights are not in FRACTAL_NZ; nil if products with them equal those with plain weights bit for bit.
    ///
    /// The check sums integers, so that the order of summation does not matter. Some sums have more digits than half
    /// precision, and some are beyond its range: ops-nn, matmul_util.cpp, rounds a product with such weights to their
    /// type before it is widened.
    func reasonNotToBlock() throws(ComputeError) -> String? {
        if let missing = support.missing[.transMatmulWeight] ?? missing(for: .linear) { return missing }
        return try reason(against: .blockedWeights) { () throws(ComputeError) -> String? in
            let (rows, depth, columns) = (3, 40, 24)
            let rounding = HalfRounding(dtype: description.dtype)
            let weights = (0..<depth * columns).map { rounding.bits(Float(($0 * 37 + 11) % 127 - 40)) }
            let left = (0..<rows * depth).map { Float(($0 * 29 + 5) % 61 * ($0 / depth) + 1) }
            var products: [[Float]] = []
            for isBlocked in [false, true] {
                let linear = try makeLinear(
                    weights,
                    [depth, columns],
                    bias: nil,
                    isBlocked: isBlocked,
                    named: "a sample"
                )
                let stream = try AscendStream(device: self, captures: false)
                try stream.begin()
                let flat = try stream.upload(left, dtype: .float32)
                let input = Tensor(address: flat.address, dtype: .float32, rows: rows, columns: depth)
                let output = try stream.makeTensor(rows: rows, columns: columns, dtype: .float32)
                try stream.linear(LinearOperation(input: .plain(input), weights: linear, output: output))
                try stream.synchronize()
                products.append(try stream.read(output))
            }
            return products[0] == products[1] ? nil : "products with FRACTAL_NZ give different results"
        }
    }
}

/// A small problem of attention: three sequences, of which two have a bias by position and time.
private struct Sample {
    private struct Inputs {
        var query: [Float]
        var key: [Float]
        var value: [Float]
        var times: [Int64]
    }

    private let layout = Jagged(lengths: [3, 40, 17])
    private let applies = [true, false, true]
    private let heads = 2
    private let columns = 32
    private let maximum = 64
    private let position: AscendVector
    private let time: AscendVector

    private var width: Int { heads * columns }
    private var scale: Float { 1 / Float(maximum) }

    init(on device: AscendDevice) throws(ComputeError) {
        var random = Numbers(state: 1)
        func vector(_ count: Int) throws(ComputeError) -> AscendVector {
            let values = random.values(count)
            let block = try device.upload(values, named: "a sample")
            return AscendVector(entries: values, block: block, device: device.identity)
        }
        position = try vector(2 * maximum - 1)
        time = try vector(65)
    }

    private func inputs(_ seed: UInt64) -> Inputs {
        var random = Numbers(state: seed)
        let count = layout.rows * width
        let (query, key, value) = (random.values(count), random.values(count), random.values(count))
        // An hour apart on average, so that buckets of all sizes occur.
        let times = (0..<layout.rows + layout.count).map { Int64($0) * 3600 + Int64(random.next() * 3000) }
        return Inputs(query: query, key: key, value: value, times: times)
    }

    /// The attention of the seed's inputs as the device computes it now.
    func attend(on stream: AscendStream, seed: UInt64 = 1) throws(ComputeError) -> [Float] {
        let inputs = self.inputs(seed)
        try stream.begin()
        func rows(_ values: [Float]) throws(ComputeError) -> Tensor {
            let flat = try stream.upload(values, dtype: .float32)
            return Tensor(address: flat.address, dtype: .float32, rows: layout.rows, columns: width)
        }
        let (query, key, value) = (try rows(inputs.query), try rows(inputs.key), try rows(inputs.value))
        let output = try stream.makeTensor(rows: layout.rows, columns: width, dtype: .float32)
        try stream.attention(
            AttentionOperation(
                .silu,
                layout: layout,
                queryRows: .all,
                query: query,
                key: key,
                value: value,
                output: output,
                heads: heads,
                scale: scale,
                bias: RelativeBias(
                    position: position,
                    time: time,
                    maximumLength: maximum,
                    timestamps: try stream.upload(inputs.times, dtype: .int64),
                    applies: applies
                )
            )
        )
        try stream.synchronize()
        return try stream.read(output)
    }

    /// The same attention on the host, by HSTU's definition and from operands rounded as on the device: the sum of
    /// silu(q · k + bias) · scale · v over the rows up to each.
    func expected(in half: DType, seed: UInt64 = 1) -> [Float] {
        let inputs = self.inputs(seed)
        let rounding = HalfRounding(dtype: half)
        let query = inputs.query.map(rounding.value)
        let (key, value) = (inputs.key.map(rounding.value), inputs.value.map(rounding.value))
        var result = [Float](repeating: 0, count: layout.rows * width)
        for sequence in 0..<layout.count {
            let first = Int(layout.offsets[sequence])
            for row in 0..<layout.length(of: sequence) {
                for other in 0...row {
                    var bias: Float = 0
                    if applies[sequence] {
                        let (later, earlier) = (first + sequence + row + 1, first + sequence + other)
                        let bucket = TimeBuckets.bucket(inputs.times[later], inputs.times[earlier], count: time.count)
                        bias = position.entries[maximum - 1 + other - row] + time.entries[Int(bucket)]
                    }
                    for head in 0..<heads {
                        let (left, right) = (
                            (first + row) * width + head * columns, (first + other) * width + head * columns
                        )
                        var score = bias
                        for column in 0..<columns { score += query[left + column] * key[right + column] }
                        let weight = score / (1 + exp(-score)) * scale
                        for column in 0..<columns { result[left + column] += weight * value[right + column] }
                    }
                }
            }
        }
        return result
    }
}
