// A one-layer decoder of the operations that HSTU uses, for tests of steady states and faults.

import Compute
import ComputeAscend

/// The model's weights and a stream; belongs to the thread that made it.
final class SmallModel {
    private let width = 16
    private let heads = 2
    private let items: any EmbeddingTable
    private let projection: any LinearWeights
    private let output: any LinearWeights
    private let position: any DeviceVector
    private let time: any DeviceVector
    private let frequencies: any DeviceVector
    private let catalogue: any CatalogueWeights
    private let pages: any KeyValuePages
    let stream: any Stream

    init(_ device: any Device) throws(ComputeError) {
        // Values are copied when they are passed, so one block serves all.
        var random = UInt64(1)
        let values = (0..<200 * 16).map { _ -> Float in
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(random >> 40) / Float(1 << 23) - 1
        }
        let block = UnsafeMutableBufferPointer<Float>.allocate(capacity: values.count)
        defer { block.deallocate() }
        _ = block.initialize(fromContentsOf: values)
        func tensor(_ shape: [Int]) -> HostTensor {
            let count = shape.reduce(1, *)
            let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(block)[..<(count * 4)])
            return HostTensor(name: "w", dtype: .float32, shape: shape, bytes: bytes)
        }
        items = try device.makeTable(tensor([200, width]))
        projection = try device.makeLinear(tensor([width, 64]), layout: .inputMajor, columns: nil, bias: nil)
        output = try device.makeLinear(
            tensor([width, width]),
            layout: .outputMajor,
            columns: nil,
            bias: tensor([width])
        )
        position = try device.makeVector(tensor([127]))
        time = try device.makeVector(tensor([129]))
        frequencies = try device.makeVector(tensor([4]))
        let eligible: [UInt64] = [.max, .max, .max, 0xff]
        catalogue = try device.makeCatalogue(
            tensor([200, width]),
            normalization: .l2(epsilon: 1e-6),
            eligible: eligible
        )
        let shape = KeyValueShape(layers: 1, heads: heads, keyColumns: 8, valueColumns: 8)
        pages = try device.makeKeyValuePages(shape, byteCount: 1 << 16)
        stream = try device.makeStream()
    }

    /// One batch of sequences with these numbers of events: the best rows of each.
    @discardableResult
    func run(lengths: [Int], count: Int = 5) throws(ComputeError) -> [[ScoredRow]] {
        try stream.begin()
        let layout = Jagged(lengths: lengths)
        let rows = layout.rows
        let x = try stream.makeTensor(rows: rows, columns: width, dtype: .float32)
        let ids = try stream.upload((0..<rows).map { Int32($0 * 7 % 200) }, dtype: .int32)
        try stream.embed(EmbedOperation(ids: ids, table: items, scale: 4, positions: nil, output: x))
        let norm = Normalization.layerNorm(epsilon: 1e-6)
        let projected = try stream.makeTensor(rows: rows, columns: 64, dtype: .float32)
        try stream.linear(
            LinearOperation(input: .normalized(x, norm), weights: projection, activation: .silu, output: projected)
        )
        let (gate, value) = (projected.columns(0..<16), projected.columns(16..<32))
        let (query, key) = (projected.columns(32..<48), projected.columns(48..<64))
        let places = try stream.upload((0..<rows).map { Int32($0) }, dtype: .int32)
        try stream.rotate(
            RotateOperation(tensor: key, positions: places, frequencies: frequencies, heads: heads, pairing: .halves)
        )
        let stamps = try stream.upload((0..<rows + lengths.count).map { Int64($0) * 3600 }, dtype: .int64)
        let cached = CachedRows(
            pages: pages,
            sequences: lengths.indices.map {
                PagedSequence(rows: 0, pages: [Int32($0 * 2), Int32($0 * 2 + 1)], storesRows: true)
            }
        )
        try stream.store(
            StoreOperation(layout: layout, key: key, value: value, prefix: CachedPrefix(cached: cached, layer: 0))
        )
        let attended = try stream.makeTensor(rows: rows, columns: width, dtype: .float32)
        try stream.attention(
            AttentionOperation(
                .silu,
                layout: layout,
                queryRows: .all,
                query: query,
                key: key,
                value: value,
                output: attended,
                heads: heads,
                scale: 1 / 64,
                bias: RelativeBias(
                    position: position,
                    time: time,
                    maximumLength: 64,
                    timestamps: stamps,
                    applies: lengths.map { _ in true }
                )
            )
        )
        try stream.linear(
            LinearOperation(
                input: .gated(gate: gate, values: attended, norm),
                weights: output,
                residual: x,
                output: x
            )
        )
        let last = try stream.makeTensor(rows: lengths.count, columns: width, dtype: .float32)
        try stream.gatherRows(x, rows: layout.offsets.dropFirst().map { $0 - 1 }, output: last)
        try stream.normalize(last, .l2(epsilon: 1e-6), output: last)
        let ticket = try stream.selectTopK(
            TopKOperation(
                queries: last,
                catalogue: catalogue,
                masks: lengths.map { _ in SelectionMask(excluded: [1, 2, 3]) },
                counts: lengths.map { _ in count }
            )
        )
        try stream.synchronize()
        return lengths.indices.map { stream.selected(ticket, query: $0) }
    }
}
