// Whether the fused attention is used, decided when the device is made: one small problem both ways. Public descriptions of the
// operator contradict each other, and its releases differ; what is not the same here is not used.

internal import CAscend
internal import Compute

/// Seeded numbers from −1 to 1.
private struct Numbers {
    private var state: UInt64 = 1

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
            let composed = try attendToSample()
            isFusionProven = true
            let fused = try attendToSample()
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

    /// Attention over three sequences, of which two have a bias by position and time, as it is done now.
    private func attendToSample() throws(ComputeError) -> [Float] {
        let (lengths, heads, columns, maximum) = ([3, 40, 17], 2, 32, 64)
        let layout = Jagged(lengths: lengths)
        let width = heads * columns
        var random = Numbers()
        let stream = try AscendStream(device: self)
        try stream.begin()
        func rows() throws(ComputeError) -> Tensor {
            let flat = try stream.upload(random.values(layout.rows * width), dtype: .float32)
            return Tensor(address: flat.address, dtype: .float32, rows: layout.rows, columns: width)
        }
        let (query, key, value) = (try rows(), try rows(), try rows())
        let output = try stream.makeTensor(rows: layout.rows, columns: width, dtype: .float32)
        // Times an hour apart on average: buckets of all sizes.
        let times = (0..<layout.rows + layout.count).map { Int64($0) * 3600 + Int64(random.next() * 3000) }
        let (position, time) = (try vector(random.values(2 * maximum - 1)), try vector(random.values(65)))
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

    private func vector(_ values: [Float]) throws(ComputeError) -> any DeviceVector {
        AscendVector(entries: values, block: try upload(values, named: "a sample"), device: identity)
    }
}
