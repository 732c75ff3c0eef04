// A model's weights in the form that a CPU device packs. Each object knows its device, so that others can refuse it.

internal import CKernels
internal import Compute

/// A projection: K × N in column panels, and its bias.
final class CPULinear: LinearWeights, DeviceOwned {
    let inputs: Int
    let outputs: Int
    let device: DeviceIdentity
    /// gk_packed_depth · gk_packed_columns words of the device's dtype.
    let matrix: WeightMemory
    /// gk_packed_columns floats.
    let bias: WeightMemory?
    /// Only for int8.
    let quantization: ColumnQuantization?

    init(
        inputs: Int,
        outputs: Int,
        device: DeviceIdentity,
        matrix: WeightMemory,
        bias: WeightMemory?,
        quantization: ColumnQuantization?
    ) {
        self.inputs = inputs
        self.outputs = outputs
        self.device = device
        self.matrix = matrix
        self.bias = bias
        self.quantization = quantization
    }
}

/// The scales and first sums that convert the integers of an int8 projection's columns to floats.
struct ColumnQuantization {
    private let memory: WeightMemory
    private let columns: Int

    /// - Parameter memory: two zeroed floats per packed column.
    init(columns: Int, memory: WeightMemory) {
        self.columns = columns
        self.memory = memory
    }

    /// The scale of each column.
    var scales: UnsafeMutablePointer<Float> { memory.floats }

    /// The initial value of each column's sum: minus the sum of its integers, times the kernels' offset of inputs
    /// (`s8_zero`).
    var firstSums: UnsafeMutablePointer<Int32> {
        // The second half of the block holds only integers.
        UnsafeMutableRawPointer(memory.floats + columns).assumingMemoryBound(to: Int32.self)
    }
}

/// A table of contiguous float32 rows: the file's own bytes, or a widened copy of them. Added rows follow in pages.
final class CPUTable: EmbeddingTable, DeviceOwned {
    /// Rows of the file.
    let ownRows: Int
    let columns: Int
    let device: DeviceIdentity
    let values: UnsafePointer<Float>
    var added: PagedRows
    /// Keeps the memory of `values` alive; nil if the tensor's creator does.
    private let owner: AnyObject?

    var rows: Int { added.count == 0 ? ownRows : added.first + added.count }

    init(rows: Int, columns: Int, device: DeviceIdentity, values: UnsafePointer<Float>, owner: AnyObject?) {
        ownRows = rows
        self.columns = columns
        self.device = device
        self.values = values
        self.owner = owner
        added = PagedRows(behind: rows)
    }
}

/// A vector in each form that an operation may read, because the device does not know its use in advance.
final class CPUVector: DeviceVector, DeviceOwned {
    let count: Int
    let device: DeviceIdentity
    private let memory: WeightMemory
    /// The result of `rotate` for the entries as frequencies.
    var angles: AngleTable?

    /// Floats before and after the range of the lanes, for lanes without a row or a key.
    static let margin = 2 * gk_lanes

    /// The entries in their original order.
    var entries: UnsafePointer<Float> { UnsafePointer(memory.floats + Self.relativeFloats(entries: count)) }

    /// `byBucket[b]` is the entry of time bucket b, or the last entry if there are fewer: gk_time_entries floats.
    var byBucket: UnsafePointer<Float> { UnsafePointer(memory.floats) }

    /// `byDistance[d]` is the entry of a key d rows before its query, N − 1 − d, for d in 0 ..< N with count = 2N − 1;
    /// zeros for `margin` entries on either side.
    var byDistance: UnsafePointer<Float> {
        UnsafePointer(memory.floats + gk_time_entries + Self.margin)
    }

    /// `byPlace[k]` is the entry of a key k rows after its query, N − 1 + k, for k in −N < k < N with count = 2N − 1;
    /// `margin` zeros follow the last.
    var byPlace: UnsafePointer<Float> { entries + (count + 1) / 2 - 1 }

    /// Floats of all forms together.
    static func floatCount(entries: Int) -> Int { relativeFloats(entries: entries) + entries + margin }

    /// Floats of the two forms of a relative bias.
    private static func relativeFloats(entries: Int) -> Int {
        gk_time_entries + 2 * margin + (entries + 1) / 2
    }

    /// - Parameters:
    ///   - entries: at least one.
    ///   - memory: `floatCount` zeroed floats.
    init(entries: [Float], device: DeviceIdentity, memory: WeightMemory) {
        count = entries.count
        self.device = device
        self.memory = memory
        for bucket in 0..<gk_time_entries {
            memory.floats[bucket] = entries[min(bucket, entries.count - 1)]
        }
        let distances = memory.floats + gk_time_entries + Self.margin
        let farthest = (entries.count + 1) / 2 - 1
        for distance in 0...farthest { distances[distance] = entries[farthest - distance] }
        let plain = memory.floats + Self.relativeFloats(entries: entries.count)
        for (index, entry) in entries.enumerated() { plain[index] = entry }
    }
}

/// Cosines and sines of the angles of positions 0 ..< rows, one row per position.
struct AngleTable {
    let rows: Int
    let memory: WeightMemory
}

/// The scored rows of a catalogue, packed as columns in panels of 64, and a bit for each that exists. Added rows follow
/// in pages of whole panels.
final class CPUCatalogue: CatalogueWeights, DeviceOwned {
    /// Rows of the bundle.
    let ownRows: Int
    let columns: Int
    let device: DeviceIdentity
    /// gk_packed_depth(columns) · rows-rounded-up-to-64 words of `dtype`.
    let items: WeightMemory
    let dtype: gk_dtype
    /// One bit per row, whole words; none for added rows.
    let eligible: [UInt64]
    /// Applied to every row, added ones included.
    let normalization: Normalization?
    /// A copy of the bundle's rows, if scans with it are faster.
    let copy: CatalogueCopy?
    var added: PagedRows

    var rows: Int { added.count == 0 ? ownRows : added.first + added.count }

    init(
        rows: Int,
        columns: Int,
        device: DeviceIdentity,
        items: WeightMemory,
        dtype: gk_dtype,
        eligible: [UInt64],
        normalization: Normalization?,
        copy: CatalogueCopy?,
        copyState: CatalogueCopyState
    ) {
        ownRows = rows
        self.columns = columns
        self.device = device
        self.items = items
        self.dtype = dtype
        self.eligible = eligible
        self.normalization = normalization
        self.copy = copy
        self.copyState = copyState
        added = PagedRows(behind: rows)
    }

    let copyState: CatalogueCopyState
    var copyByteCount: Int { copy?.byteCount ?? 0 }

    /// Passes the packed rows to `body`, which must not keep them.
    func withItems<Result>(_ body: (gk_items) -> Result) -> Result {
        added.pages.withUnsafeBufferPointer { pages in
            body(
                gk_items(
                    packed: UnsafeRawPointer(items.base),
                    blocks: eligible.count,
                    pages: pages.baseAddress,
                    copy: copy?.kernelForm ?? gk_items_copy()
                )
            )
        }
    }
}

/// Rows added to a table or a catalogue, in pages of gk_page_items that never move.
struct PagedRows {
    /// The number of the first added row.
    let first: Int
    private(set) var count = 0
    private(set) var pages: [UnsafeRawPointer?] = []
    private var memory: [WeightMemory] = []

    init(behind rows: Int) { first = AddedRows.first(behind: rows) }

    /// Adds rows.
    ///
    /// - Parameters:
    ///   - makePage: returns zeroed memory for a page.
    ///   - write: called with a page, the offset in it, and the rows to write there, all within the page.
    mutating func append(
        _ rows: [[Float]],
        makePage: () throws(ComputeError) -> WeightMemory,
        write: (_ page: WeightMemory, _ place: Int, _ rows: ArraySlice<[Float]>) throws(ComputeError) -> Void
    ) throws(ComputeError) {
        var next = rows.startIndex
        while next < rows.endIndex {
            let place = count % gk_page_items
            if count / gk_page_items == memory.count {
                let page = try makePage()
                memory.append(page)
                pages.append(UnsafeRawPointer(page.base))
            }
            let end = min(rows.endIndex, next + gk_page_items - place)
            try write(memory[count / gk_page_items], place, rows[next..<end])
            count += end - next
            next = end
        }
    }
}
