// A quantised copy of a catalogue: scans read a quarter of the bytes and find the same rows with the same scores.

internal import CKernels
internal import CLinux
internal import Compute

/// The rows of a float32 catalogue in int8, with a scale per row. A scan bounds every score with it (scan_copy.c has
/// the proof) and reads in float32 only the rows that could be selected. Immutable once it is complete.
package final class CatalogueCopy {
    /// Which catalogues get a copy.
    package enum Policy: Sendable {
        case never
        /// Catalogues of at least `leastBytes`, if a scan of their first rows is faster with a copy.
        case whereFaster
        /// All catalogues that can have one; for tests.
        case always
    }

    /// Bytes of float32 rows. Smaller catalogues stay in a cache.
    private static let leastBytes = 4 << 20
    /// Float32 bytes scanned by the measurement.
    private static let sampleBytes = 64 << 20
    /// Rows that the measurement selects, as many as a usual request.
    private static let sampleCount = 100
    /// A copy that saves less than a tenth is not worth its memory.
    private static let leastGain = 0.9

    private let columns: Int
    private let rows: Int
    private let policy: Policy
    private let kernels: UnsafePointer<gk_kernels>
    private let integers: WeightMemory
    /// A scale and a first sum per row.
    private let perRow: WeightMemory
    /// Holds one block until the copy is complete.
    private var scratch: WeightMemory?
    /// The largest magnitude in any row; infinite or NaN if any value is.
    private(set) var largest: Float = 0

    /// An empty copy, if the device makes one for such a catalogue and there is memory for it.
    ///
    /// - Parameter rows: a multiple of the block size.
    static func begun(
        rows: Int,
        columns: Int,
        on device: CPUDevice
    ) -> (copy: CatalogueCopy?, state: CatalogueCopyState) {
        guard device.dtype == .float32, columns > 0, columns <= CPUDevice.deepestInt8 else { return (nil, .none) }
        let (bytes, overflow) = rows.multipliedReportingOverflow(by: columns * MemoryLayout<Float>.stride)
        switch device.copyPolicy {
        case .always where !overflow: break
        case .whereFaster where !overflow && bytes >= Self.leastBytes: break
        case .always, .whereFaster, .never: return (nil, .none)
        }
        guard let copy = CatalogueCopy(rows: rows, columns: columns, on: device) else { return (nil, .noMemory) }
        return (copy, .used)
    }

    /// nil if there is no memory for it.
    private init?(rows: Int, columns: Int, on device: CPUDevice) {
        policy = device.copyPolicy
        let quads = gk_packed_depth(.int8, columns)
        let bytes = rows * (quads + 2) * MemoryLayout<Float>.stride
        guard bytes <= device.roomForCopies?() ?? .max else { return nil }
        guard let integers = try? device.weights.block(zeroedFloats: rows * quads, for: "a catalogue's copy"),
            let perRow = try? device.weights.block(zeroedFloats: 2 * rows, for: "a catalogue's copy"),
            let scratch = try? device.weights.block(zeroedFloats: gk_block_rows * quads, for: "a catalogue's copy")
        else { return nil }
        self.columns = columns
        self.rows = rows
        kernels = device.kernels
        self.integers = integers
        self.perRow = perRow
        self.scratch = scratch
    }

    var byteCount: Int { integers.byteCount + perRow.byteCount }

    var kernelForm: gk_items_copy {
        gk_items_copy(
            packed: integers.base.assumingMemoryBound(to: UInt32.self),
            scales: perRow.floats,
            // The second half of the block holds only integers.
            init: (perRow.base + rows * MemoryLayout<Float>.stride).assumingMemoryBound(to: Int32.self)
        )
    }

    /// Words of one of a query's two rows of integers.
    static func integerStride(columns: Int, _ kernels: UnsafePointer<gk_kernels>) -> Int {
        // Rows are padded to whole vectors of 16 columns.
        (columns + 15) / 16 * 4 * kernels.pointee.s8_words
    }

    /// Adds a block.
    ///
    /// - Parameters:
    ///   - values: (count, columns), contiguous.
    ///   - first: the number of the first row, a multiple of the block size.
    func add(_ values: UnsafePointer<Float>, rows count: Int, at first: Int) {
        guard let scratch else { preconditionFailure("a complete copy takes no more rows") }
        var copy = kernelForm
        let bytes = scratch.base.assumingMemoryBound(to: Int8.self)
        let most = gk_copy_block(kernels, first / gk_block_rows, count, columns, values, bytes, &copy)
        // Once NaN, `largest` stays NaN.
        if !largest.isNaN, !(most <= largest) { largest = most }
    }

    /// Completes the copy.
    ///
    /// - Parameters:
    ///   - packed: the rows in float32.
    ///   - example: a row to use as a query.
    /// - Returns: `.used` if it should be kept.
    func finish(beside packed: WeightMemory, example: borrowing AlignedMemory) -> CatalogueCopyState {
        scratch = nil
        guard largest < .infinity else { return .none }
        guard policy == .whereFaster else { return .used }
        var plain = Double.infinity
        var copied = Double.infinity
        for _ in 0..<3 {
            guard let withoutCopy = try? sampleTime(packed, example.floats, usesCopy: false),
                let withCopy = try? sampleTime(packed, example.floats, usesCopy: true)
            else { return .noMemory }
            plain = min(plain, withoutCopy)
            copied = min(copied, withCopy)
        }
        return copied < Self.leastGain * plain ? .used : .notFaster
    }

    /// The processor time of a scan of the first rows on this thread, in nanoseconds.
    private func sampleTime(
        _ packed: WeightMemory,
        _ query: UnsafePointer<Float>,
        usesCopy: Bool
    ) throws(ComputeError) -> Double {
        let blocks = min(rows / gk_block_rows, max(1, Self.sampleBytes / (gk_block_rows * columns * 4)))
        let eligible = [UInt64](repeating: .max, count: blocks)
        let stride = Self.integerStride(columns: columns, kernels)
        let numbers = try AlignedMemory(zeroedFloats: 4 * columns, for: "a measurement")
        let words = try AlignedMemory(zeroedFloats: 2 * stride, for: "a measurement")
        let panels = try AlignedMemory(zeroedFloats: gk_scored_rows * columns, for: "a measurement")
        var found = [gk_scored](repeating: gk_scored(), count: Self.sampleCount)
        var counts: [UInt32] = [0]
        var want = gk_scan_query()
        want.count = Self.sampleCount
        var bound = gk_bound()
        var scan = gk_scan()
        scan.kernels = kernels
        scan.queries = 1
        scan.depth = columns
        scan.dtype = .float32
        scan.query = UnsafeRawPointer(query)
        scan.query_stride = columns
        scan.blocks = blocks
        scan.task_blocks = blocks
        scan.found_stride = found.count
        scan.workers = 1
        scan.integers = UnsafePointer(words.base.assumingMemoryBound(to: UInt32.self))
        scan.integer_stride = stride
        scan.scratch = panels.base.assumingMemoryBound(to: UInt32.self)
        scan.items = gk_items(packed: packed.base, blocks: blocks, pages: nil, copy: kernelForm)

        let start = CLinux_threadNanoseconds()
        if usesCopy {
            let hasBound = gk_bound_query(
                kernels,
                columns,
                query,
                largest,
                numbers.base.assumingMemoryBound(to: Double.self),
                numbers.floats + 2 * columns,
                words.base.assumingMemoryBound(to: UInt32.self),
                stride,
                &bound
            )
            guard hasBound != 0 else { return .infinity }
        }
        eligible.withUnsafeBufferPointer { eligible in
            found.withUnsafeMutableBufferPointer { found in
                counts.withUnsafeMutableBufferPointer { counts in
                    withUnsafePointer(to: &want) { want in
                        withUnsafePointer(to: &bound) { bound in
                            scan.eligible = eligible.baseAddress
                            scan.found = found.baseAddress
                            scan.found_counts = counts.baseAddress
                            scan.wants = want
                            scan.bounds = usesCopy ? bound : nil
                            gk_scan_run(&scan, 0, 0)
                        }
                    }
                }
            }
        }
        let time = Double(CLinux_threadNanoseconds() - start)
        withExtendedLifetime(numbers) {}
        withExtendedLifetime(words) {}
        withExtendedLifetime(panels) {}
        return time
    }
}
