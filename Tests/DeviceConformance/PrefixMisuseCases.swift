// Impossible pages, and cached rows that fit neither their batch nor their pages: refused as invalid arguments.

internal import Compute

extension DeviceConformance {
    /// Calls with invalid pages, which a device refuses.
    package static let prefixMisuseCases: [ConformanceCase] = [
        ConformanceCase("pools that do not fit", .store) { (device, _) throws(ComputeError) in
            poolMisuse(device)
        },
        ConformanceCase("cached rows that do not fit", .hstuAttention, .store) {
            (device, host) throws(ComputeError) in try prefixMisuse(device, host)
        },
        ConformanceCase("rows that cannot be stored", .store) { (device, _) throws(ComputeError) in
            try storeMisuse(device)
        },
    ]

    private static let shape = KeyValueShape(layers: 2, heads: 2, keyColumns: 4, valueColumns: 6)

    private static func poolMisuse(_ device: any Device) -> [String] {
        let some = 1 << 20
        var failures: [String] = []
        func refuse(_ what: String, byteCount: Int, _ change: (inout KeyValueShape) -> Void = { _ in }) {
            var shape = shape
            change(&shape)
            failures += mustRefuse(what) { () throws(ComputeError) in
                _ = try device.makeKeyValuePages(shape, byteCount: byteCount)
            }
        }
        refuse("a pool without a page", byteCount: 100)
        refuse("a pool of no bytes", byteCount: 0)
        refuse("a pool of fewer than no bytes", byteCount: -1 << 20)
        refuse("pages of no layer", byteCount: some) { $0.layers = 0 }
        refuse("pages of fewer than no heads", byteCount: some) { $0.heads = -1 }
        refuse("pages without keys", byteCount: some) { $0.keyColumns = 0 }
        refuse("pages without values", byteCount: some) { $0.valueColumns = 0 }
        refuse("pages of too many layers", byteCount: .max) { $0.layers = .max }
        refuse("pages of too many columns", byteCount: .max) { shape in
            shape.keyColumns = .max
            shape.valueColumns = .max
        }
        return failures
    }

    /// Impossible prefixes of a sequence with 6 own rows: for attention, and for storing.
    private static func impossible(_ pool: any KeyValuePages, stores: Bool) -> [(String, [PagedSequence])] {
        let rows = pool.pageRows
        func sequence(_ rows: Int, _ pages: [Int32]) -> PagedSequence {
            PagedSequence(rows: rows, pages: pages, storesRows: stores)
        }
        return [
            ("cached rows of no sequence", []),
            ("cached rows of too many sequences", [sequence(1, [0]), sequence(1, [1])]),
            ("fewer than no cached rows", [sequence(-1, [0])]),
            ("more cached rows than can be", [sequence(.max, [0])]),
            ("fewer than no cached rows by far", [sequence(.min, [0])]),
            ("more cached rows than pages", [sequence(rows + 1, [0])]),
            ("cached rows without pages", [sequence(1, [])]),
            ("a page behind the pool", [sequence(1, [Int32(pool.pageCount)])]),
            ("a page before the pool", [sequence(1, [-1])]),
        ]
    }

    private static func prefixMisuse(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let pool = try device.makeKeyValuePages(shape, byteCount: 1 << 20)
        let position = try device.makeVector(host.tensor("pos_w", vector: [Float](repeating: 1, count: 19)))
        let stream = try device.makeStream()
        try stream.begin()
        let x = try stream.upload(Matrix(rows: 6, columns: 20, values: [Float](repeating: 1, count: 120)))
        let y = try stream.makeTensor(rows: 6, columns: 12, dtype: .float32)
        func prefix(_ sequences: [PagedSequence], _ pages: any KeyValuePages, layer: Int = 0) -> CachedPrefix {
            CachedPrefix(cached: CachedRows(pages: pages, sequences: sequences), layer: layer)
        }
        let fits = [PagedSequence(rows: 3, pages: [0], storesRows: false)]
        let valid = AttentionOperation(
            .silu,
            layout: Jagged(lengths: [6]),
            queryRows: .all,
            query: x.columns(0..<8),
            key: x.columns(0..<8),
            value: x.columns(8..<20),
            output: y,
            heads: 2,
            scale: 1,
            bias: nil,
            prefix: prefix(fits, pool)
        )
        try stream.attention(valid)
        var failures: [String] = []
        func refuse(_ what: String, _ change: (inout AttentionOperation) -> Void) {
            var operation = valid
            change(&operation)
            failures += mustRefuse(what) { () throws(ComputeError) in try stream.attention(operation) }
        }
        for (what, sequences) in impossible(pool, stores: false) {
            refuse(what) { $0.prefix = prefix(sequences, pool) }
        }
        refuse("a layer behind the pages'") { $0.prefix = prefix(fits, pool, layer: 2) }
        refuse("a layer before the pages'") { $0.prefix = prefix(fits, pool, layer: -1) }
        for change: @Sendable (inout KeyValueShape) -> Void in [
            { $0.heads = 1 }, { $0.keyColumns = 6 }, { $0.valueColumns = 4 },
        ] {
            var other = shape
            change(&other)
            let pages = try device.makeKeyValuePages(other, byteCount: 1 << 20)
            refuse("pages of \(other)") { $0.prefix = prefix(fits, pages) }
        }
        refuse("a sequence that is longer than the bias reaches with its cached rows") { operation in
            operation.prefix = prefix([PagedSequence(rows: 5, pages: [0], storesRows: false)], pool)
            operation.bias = RelativeBias(
                position: position,
                time: nil,
                maximumLength: 10,
                timestamps: y,
                applies: [true]
            )
        }
        let times = try stream.upload([Int64](repeating: 0, count: 7), dtype: .int64)
        refuse("timestamps of the own rows alone") { operation in
            operation.bias = RelativeBias(
                position: position,
                time: position,
                maximumLength: 10,
                timestamps: times,
                applies: [true]
            )
        }
        return failures
    }

    private static func storeMisuse(_ device: any Device) throws(ComputeError) -> [String] {
        let pool = try device.makeKeyValuePages(shape, byteCount: 1 << 20)
        let rows = pool.pageRows
        let stream = try device.makeStream()
        try stream.begin()
        let key = try stream.makeTensor(rows: 6, columns: 8, dtype: .float32)
        let value = try stream.makeTensor(rows: 6, columns: 12, dtype: .float32)
        let whole = try stream.makeTensor(rows: 6, columns: 8, dtype: .int32)
        let fits = PagedSequence(rows: 0, pages: [3], storesRows: true)
        let valid = StoreOperation(
            layout: Jagged(lengths: [6]),
            key: key,
            value: value,
            prefix: CachedPrefix(cached: CachedRows(pages: pool, sequences: [fits]), layer: 1)
        )
        try stream.store(valid)
        var failures: [String] = []
        func refuse(_ what: String, _ change: (inout StoreOperation) -> Void) {
            var operation = valid
            change(&operation)
            failures += mustRefuse(what) { () throws(ComputeError) in try stream.store(operation) }
        }
        for (what, sequences) in impossible(pool, stores: true) {
            refuse(what) { $0.prefix.cached.sequences = sequences }
        }
        refuse("keys of another width") { $0.key = value }
        refuse("values of another width") { $0.value = key }
        refuse("keys of integers") { $0.key = whole }
        refuse("a layout of other rows") { $0.layout = Jagged(lengths: [5]) }
        refuse("a layer behind the pages'") { $0.prefix.layer = 2 }
        refuse("own rows without a page") {
            $0.prefix.cached.sequences = [PagedSequence(rows: rows - 2, pages: [0], storesRows: true)]
        }
        refuse("two sequences in one page") { operation in
            operation.layout = Jagged(lengths: [2, 4])
            operation.prefix.cached.sequences = [
                PagedSequence(rows: 0, pages: [4], storesRows: true),
                PagedSequence(rows: 3, pages: [4], storesRows: true),
            ]
        }
        refuse("one sequence twice in one page") {
            $0.prefix.cached.sequences = [PagedSequence(rows: rows - 3, pages: [5, 5], storesRows: true)]
        }
        return failures
    }
}
