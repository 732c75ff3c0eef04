// What is used only where it proves itself when the device is made, on one small problem: the fused attention, because public
// descriptions of the operator contradict each other and its releases differ; and captured batches, because no public text says
// which operators may be captured.

internal import CAscend
internal import Compute

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
    /// Decides whether HSTU's attention is fused.
    ///
    /// - Returns: the decision and its reason, as a line for people.
    /// - Throws: what the device fails with; that the operator refuses the problem is no failure.
    func decideFusion(isWanted: Bool) throws(ComputeError) -> String {
        let package = context.library.functions.hstu
        let text = withUnsafeBytes(of: package.text) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard isWanted else { return compose("it was asked for") }
        guard package.launch != nil else { return compose(text) }
        guard context.hasBFloat16 else {
            // Padded to multiples of 128 rows, with a dense mask: more work than composing for the lengths that are served.
            return compose("\(context.chip) has the fused operator for padded rows alone")
        }
        guard supports(.hstuAttention) else { return compose(missing(for: .hstuAttention) ?? "") }
        do throws(ComputeError) {
            let sample = try Sample(on: self)
            let composed = try sample.attend(on: AscendStream(device: self, captures: false))
            isFusionProven = true
            let fused = try sample.attend(on: AscendStream(device: self, captures: false))
            let greatest = composed.reduce(0) { max($0, abs($1)) }
            let difference = zip(composed, fused).reduce(0) { max($0, abs($1.0 - $1.1)) }
            // Eight roundings of the greatest element; a row of the mask or of the bias that is off is a hundred.
            let unit: Float = description.dtype == .float16 ? 0x1p-11 : 0x1p-8
            guard difference <= 8 * unit * greatest else {
                return compose("\(text) answers otherwise by \(difference / greatest) of the greatest element")
            }
            return "HSTU attention is fused: aclnnHstuDenseForward of \(text)"
        } catch {
            guard error.code == .unsupported else { throw error }
            return compose(error.message)
        }
    }

    private func compose(_ reason: String) -> String {
        isFusionProven = false
        return "HSTU attention is composed: \(reason)"
    }

    /// Whether captured batches compute what they compute operator by operator, with inputs other than those of the capture;
    /// nil: they do.
    func reasonNotToCapture() throws(ComputeError) -> String? {
        guard supports(.hstuAttention) else { return missing(for: .hstuAttention) }
        let stream = try AscendStream(device: self, captures: true)
        guard let captured = stream.captured else { return "this CANN has no aclmdlRICaptureBegin" }
        let sample = try Sample(on: self)
        // Memory settles with the first; one is seen, one captured, one run again.
        for _ in 0..<3 { _ = try sample.attend(on: stream) }
        if let refusal = captured.refusal { return refusal.message }
        let plain = try sample.attend(on: AscendStream(device: self, captures: false), seed: 2)
        guard captured.count == 1, try sample.attend(on: stream, seed: 2) == plain else {
            return "a captured batch answers otherwise than one that is not"
        }
        return nil
    }
}

/// A small problem of attention: three sequences, of which two have a bias by position and time.
private struct Sample {
    private let lengths = [3, 40, 17]
    private let heads = 2
    private let columns = 32
    private let maximum = 64
    private let position: any DeviceVector
    private let time: any DeviceVector

    init(on device: AscendDevice) throws(ComputeError) {
        var random = Numbers(state: 1)
        func vector(_ count: Int) throws(ComputeError) -> any DeviceVector {
            let values = random.values(count)
            let block = try device.upload(values, named: "a sample")
            return AscendVector(entries: values, block: block, device: device.identity)
        }
        position = try vector(2 * maximum - 1)
        time = try vector(65)
    }

    /// The attention as the device does it now, of values that the seed determines.
    func attend(on stream: AscendStream, seed: UInt64 = 1) throws(ComputeError) -> [Float] {
        let layout = Jagged(lengths: lengths)
        let width = heads * columns
        var random = Numbers(state: seed)
        try stream.begin()
        func rows() throws(ComputeError) -> Tensor {
            let flat = try stream.upload(random.values(layout.rows * width), dtype: .float32)
            return Tensor(address: flat.address, dtype: .float32, rows: layout.rows, columns: width)
        }
        let (query, key, value) = (try rows(), try rows(), try rows())
        let output = try stream.makeTensor(rows: layout.rows, columns: width, dtype: .float32)
        // Times an hour apart on average: buckets of all sizes.
        let times = (0..<layout.rows + layout.count).map { Int64($0) * 3600 + Int64(random.next() * 3000) }
        try stream.hstuAttention(
            HSTUAttentionOperation(
                layout: layout,
                queryRows: .all,
                query: query,
                key: key,
                value: value,
                output: output,
                heads: heads,
                scale: 1 / Float(maximum),
                bias: RelativeBias(
                    position: position,
                    time: time,
                    maximumLength: maximum,
                    timestamps: try stream.upload(times, dtype: .int64),
                    applies: [true, false, true]
                )
            )
        )
        try stream.synchronize()
        return try stream.read(output)
    }
}
