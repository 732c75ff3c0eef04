// RecSDK's fused HSTU attention, if its package is installed: one operator for whole sequences, on jagged rows, with
// the mask built in. Compute requires cached rows to give the same bits as all rows computed together, so nothing is
// fused on a device that caches rows. The limits are from RecSDK's documentation for Atlas A2.

internal import CAscend
internal import Compute

/// The operators of RecSDK, in the order of trial.
enum FusedVariant: CaseIterable {
    /// aclnnHstuJaggedForward, since 2026.
    case jagged
    /// aclnnHstuDenseForward of older packages, in its layout "jagged".
    case dense

    var name: StaticString {
        switch self {
        case .jagged: "aclnnHstuJaggedForward"
        case .dense: "aclnnHstuDenseForward"
        }
    }

    func launch(_ package: CAscend_hstu) -> CAscend_launchHstu? {
        switch self {
        case .jagged: package.launchJagged
        case .dense: package.launch
        }
    }

    /// The operator's library, or a sentence if it is not installed or its call is unknown.
    func text(_ package: CAscend_hstu) -> String {
        func string(_ text: some Any) -> String {
            withUnsafeBytes(of: text) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
        }
        switch self {
        case .jagged: return string(package.textJagged)
        case .dense: return string(package.text)
        }
    }

    /// Whether the operator adds to the output's previous content, which it does unless a call requests determinism.
    func addsToOutput(_ package: CAscend_hstu) -> Bool { self == .dense && package.planDeterministic == nil }
}

/// The limits of the fused operator.
enum FusedLimits {
    static let sequences = 2048
    static let rows = 20_480
    static let heads = 16
    static let columns = 512
    static let columnUnit = 16
    /// The most bytes for a batch's dense bias and the tensors it is computed from.
    static let biasBytes = 256 << 20

    /// Whether heads of these widths can be fused at all.
    static func take(heads: Int, keyHeads: Int, queryColumns: Int, valueColumns: Int) -> Bool {
        heads <= Self.heads && heads % keyHeads == 0 && max(queryColumns, valueColumns) <= columns
    }

    /// Columns of a head, padded to the operator's unit.
    static func padded(_ columns: Int) -> Int { (columns + columnUnit - 1) / columnUnit * columnUnit }

    /// Whether one call may compute this many sequences.
    static func allow(_ sequences: Int, longest: Int, heads: Int, isBiased: Bool) -> Bool {
        guard sequences <= Self.sequences, longest <= rows else { return false }
        let slots = AttentionPlan.slots(longest)
        return !isBiased || biasBytes(sequences: sequences, heads: heads, longest: slots) <= biasBytes
    }

    /// Bytes of the dense bias, (sequences, heads, longest, longest) in half precision, together with the indices of
    /// its entries (two int32), their values (two float32) and the time differences they come from (int64, float32).
    static func biasBytes(sequences: Int, heads: Int, longest: Int) -> Int {
        sequences * longest * longest * (2 * heads + 28)
    }
}

/// Sequences that one call of the fused operator computes, as numbers on the host.
struct FusedCall: Equatable {
    var sequences: [Int]
    var isBiased: Bool
    /// The extent of the dense bias: at least the rows of the longest sequence.
    var longest: Int
    var rows: Int

    /// The calls that compute every sequence that is within the limits by itself. Whether a sequence is fused must not
    /// depend on the batch, because fused and composed attention round differently. Biased sequences get separate
    /// calls, because a call's dense bias applies to all its sequences. The bias grows with the square of the longest
    /// sequence, so a call takes only as many sequences as the memory limit allows.
    static func calls(lengths: [Int], isBiased: [Bool], heads: Int) -> [FusedCall] {
        var calls: [FusedCall] = []
        for biased in [true, false] {
            var sequences = lengths.indices.filter {
                isBiased[$0] == biased && FusedLimits.allow(1, longest: lengths[$0], heads: heads, isBiased: biased)
            }
            // In one call, sequences stay in order, which saves gathering them. In several calls, similar lengths are
            // grouped.
            let longest = sequences.reduce(0) { max($0, lengths[$1]) }
            if !FusedLimits.allow(sequences.count, longest: longest, heads: heads, isBiased: biased) {
                sequences.sort { (lengths[$0], $1) > (lengths[$1], $0) }
            }
            var call: FusedCall?
            for sequence in sequences {
                let length = lengths[sequence]
                if var grown = call {
                    grown.take(sequence, length: length)
                    if FusedLimits.allow(
                        grown.sequences.count,
                        longest: grown.longest,
                        heads: heads,
                        isBiased: biased
                    ) {
                        call = grown
                        continue
                    }
                    calls.append(call ?? grown)
                }
                call = FusedCall(sequences: [], isBiased: biased, longest: 0, rows: 0)
                call?.take(sequence, length: length)
            }
            if let call { calls.append(call) }
        }
        return calls
    }

    private mutating func take(_ sequence: Int, length: Int) {
        sequences.append(sequence)
        longest = max(longest, min(AttentionPlan.slots(length), FusedLimits.rows))
        rows += length
    }
}

extension PlannedAttention {
    /// A call of the fused operator in device memory.
    struct Fused {
        var call: FusedCall
        /// (rows) int32; nil: every row of the batch in order.
        var rows: View?
        /// (sequences + 1) int32: row offsets of queries and of keys.
        var offsets: View
        /// (sequences) int32, zeros: numbers of context rows and of targets of each sequence.
        var counts: View
        /// (1, longest, longest) int32: entries of the positional bias.
        var positions: View?
        /// (sequences, longest, longest) int32: entries of the time bias.
        var buckets: View?
    }
}

extension AscendStream {
    /// The part of this attention that the fused operator can compute; empty if it is not used or does not fit.
    func fusedCalls(_ attention: AttentionOperation, _ shape: AttentionShape<AscendKeyValuePages>) -> [FusedCall] {
        guard device.fusion != nil, attention.weights == .silu, attention.queryRows == .all, attention.prefix == nil,
            FusedLimits.take(
                heads: attention.heads,
                keyHeads: attention.keyHeads,
                queryColumns: shape.queryColumns,
                valueColumns: shape.valueColumns
            )
        else { return [] }
        let layout = attention.layout
        return FusedCall.calls(
            lengths: (0..<layout.count).map(layout.length),
            isBiased: attention.bias?.applies ?? [Bool](repeating: false, count: layout.count),
            heads: attention.heads
        )
    }

    /// The inputs of a call, and the part of its bias that all layers share.
    func prepared(
        _ call: FusedCall,
        _ attention: AttentionOperation,
        _ shape: AttentionShape<AscendKeyValuePages>
    ) throws(ComputeError) -> PlannedAttention.Fused {
        let layout = attention.layout
        var offsets: [Int32] = [0]
        var rows: [Int32] = []
        for sequence in call.sequences {
            offsets.append(offsets[offsets.count - 1] + Int32(layout.length(of: sequence)))
            rows += layout.offsets[sequence]..<layout.offsets[sequence + 1]
        }
        var made = PlannedAttention.Fused(
            call: call,
            rows: call.rows == layout.rows ? nil : try input(rows, .int32, [rows.count]),
            offsets: try input(offsets, .int32, [offsets.count]),
            counts: try input([Int32](repeating: 0, count: call.sequences.count), .int32, [call.sequences.count])
        )
        guard call.isBiased, let bias = attention.bias else { return made }
        // One group for all sequences, with a slot per row of the longest.
        let slots = call.longest
        let square = AttentionPlan.Group(
            items: call.sequences.map { sequence in
                AttentionPlan.Item(sequence: sequence, first: 0, queries: layout.length(of: sequence), cached: 0)
            },
            isBiased: true,
            querySlots: slots,
            cachedSlots: 0,
            ownSlots: slots
        )
        let every = (0..<Int32(slots)).map { $0 }
        made.positions = try positionEntries(queries: every, keys: every, [1, slots, slots], bias.maximumLength)
        if let time = bias.time {
            made.buckets = try buckets(square, bias, entries: time.count, attention.name, shape.whole)
        }
        return made
    }

    /// Records a call; `output` is (rows, H · dv) float32, contiguous.
    func attend(
        _ fused: PlannedAttention.Fused,
        _ attention: AttentionOperation,
        _ shape: AttentionShape<AscendKeyValuePages>,
        _ biases: (position: AscendVector, time: AscendVector?)?,
        query: View,
        key: View,
        value: View,
        into output: View
    ) throws(ComputeError) {
        let call = fused.call
        let (heads, keyHeads, longest) = (attention.heads, attention.keyHeads, call.longest)
        func rows(of all: View, heads: Int, columns: Int) throws(ComputeError) -> View {
            let taken = try fused.rows.map { (index) throws(ComputeError) in try gathered(all, index) } ?? all
            return try padded(taken.shaped([call.rows, heads, columns]))
        }
        let q = try rows(of: query, heads: heads, columns: shape.queryColumns)
        let k = try rows(of: key, heads: keyHeads, columns: shape.queryColumns)
        let v = try rows(of: value, heads: keyHeads, columns: shape.valueColumns)
        var dense: View?
        if let biases, let positions = fused.positions {
            let made = try temporary(half, [call.sequences.count, heads, longest, longest])
            try withTemporaries { () throws(ComputeError) in
                let near = try temporary(.float32, positions.dims)
                note { (calls) throws(ComputeError) in try calls.gather(biases.position.view, positions, near) }
                guard let time = biases.time, let buckets = fused.buckets else {
                    note { (calls) throws(ComputeError) in
                        try calls.copy(near.shaped([1, 1, longest, longest]), to: made)
                    }
                    return
                }
                let sum = try temporary(.float32, buckets.dims)
                note { (calls) throws(ComputeError) in
                    try calls.gather(time.view, buckets, sum)
                    try calls.add(near, to: sum)
                    try calls.copy(sum.shaped([call.sequences.count, 1, longest, longest]), to: made)
                }
            }
            dense = made
        }
        // The operator rounds the weights to half precision before the second product, and the sums after it. With
        // HSTU's 1/N, small weights would underflow in float16; without it, sums over thousands of rows may overflow. A
        // power of two keeps both in range, and the rest of 1/N is applied in float32.
        let unit: Float = 0x1p-5
        let scale = attention.scale / unit
        let result = try temporary(half, [call.rows, heads, FusedLimits.padded(shape.valueColumns)])
        let answer = result.columns(0..<shape.valueColumns)
        let target = View(output.address, .float32, [call.rows, heads, shape.valueColumns])
        guard let variant = device.fusion else { preconditionFailure("a fused call of a device that composes") }
        let zero = View(device.zeros.address, half, [1, 1, 1])
        note { [dense] (calls) throws(ComputeError) in
            if variant.addsToOutput(calls.context.library.functions.hstu) { try calls.copy(zero, to: result) }
            try calls.hstu(
                variant,
                q,
                k,
                v,
                bias: dense,
                offsets: fused.offsets,
                counts: fused.counts,
                longest: longest,
                scale: unit,
                result
            )
            if answer.isContiguous { try calls.cast(answer, target) } else { try calls.copy(answer, to: target) }
            if scale != 1 { try calls.multiply(output, by: scale) }
        }
    }

    /// (rows, heads, columns), each head zero-padded to the operator's unit. Zeros add nothing to scores, and their
    /// columns of the result are dropped.
    private func padded(_ view: View) throws(ComputeError) -> View {
        let columns = view.dims[2]
        let width = FusedLimits.padded(columns)
        guard width > columns else { return view }
        let result = try temporary(half, [view.dims[0], view.dims[1], width])
        let zeros = View(device.zeros.address, half, [1, 1, width - columns])
        note { (calls) throws(ComputeError) in
            try calls.copy(view, to: result.columns(0..<columns))
            try calls.copy(zeros, to: result.columns(columns..<width))
        }
        return result
    }
}

extension OperatorCalls {
    /// The name of the layout. The operator's call takes it as writable text.
    nonisolated(unsafe) private static let jagged: UnsafeMutablePointer<CChar> = {
        let text = UnsafeMutablePointer<CChar>.allocate(capacity: 8)
        text.initialize(repeating: 0, count: 8)
        for (index, byte) in "jagged".utf8.enumerated() { text[index] = CChar(byte) }
        return text
    }()

    /// HSTU's causal attention over jagged rows: `silu(q · kᵀ + bias) · scale` times v. q, k and v are (rows, heads,
    /// columns), `bias` is (B, H, longest, longest), `offsets` (B + 1) int32, `counts` B int32 zeros; all but these two
    /// have the same half-precision type.
    ///
    /// The definitions call the offsets of the keys and the numbers of context rows and targets optional, but the
    /// kernels read them (RecSDK, hstu_dense_forward_jagged_kernel.h and hstu_jagged_forward_kernel.h).
    func hstu(
        _ variant: FusedVariant,
        _ query: View,
        _ key: View,
        _ value: View,
        bias: View?,
        offsets: View,
        counts: View,
        longest: Int,
        scale: Float,
        _ out: View
    ) throws(ComputeError) {
        // The built-in mask, no context rows, no targets, alpha 1.
        let (causal, length, factor) = (Int64(0), Int64(longest), Double(scale))
        let package = context.library.functions.hstu
        try call(
            variant.name,
            variant.launch(package),
            [query, key, value, bias, offsets, counts, out],
            [Double(longest), Double(scale)]
        ) { (size, executor) throws(ComputeError) in
            let (q, k, v) = (try tensor(query), try tensor(key), try tensor(value))
            let (dense, starts, zeros) = (try optional(bias), try tensor(offsets), try tensor(counts))
            let output = try tensor(out)
            switch variant {
            case .jagged:
                return package.planJagged?(
                    q,
                    k,
                    v,
                    nil,
                    dense,
                    starts,
                    starts,
                    zeros,
                    zeros,
                    causal,
                    length,
                    length,
                    factor,
                    0,
                    1,
                    true,
                    output,
                    size,
                    executor
                )
            case .dense:
                if let plan = package.planDeterministic {
                    return plan(
                        q,
                        k,
                        v,
                        nil,
                        dense,
                        starts,
                        starts,
                        nil,
                        nil,
                        nil,
                        nil,
                        nil,
                        zeros,
                        zeros,
                        causal,
                        length,
                        length,
                        factor,
                        Self.jagged,
                        0,
                        0,
                        1,
                        true,
                        output,
                        size,
                        executor
                    )
                }
                return package.plan?(
                    q,
                    k,
                    v,
                    nil,
                    dense,
                    starts,
                    starts,
                    nil,
                    nil,
                    nil,
                    nil,
                    nil,
                    zeros,
                    zeros,
                    causal,
                    length,
                    length,
                    factor,
                    Self.jagged,
                    0,
                    0,
                    1,
                    output,
                    size,
                    executor
                )
            }
        }
    }
}
