// The device interface: a device takes weights once, packs them in its own form, and makes streams that run operations.
//
// A device and everything made from it belong to one thread, the engine thread that created it (an NPU's context is
// bound to its thread), so nothing here is Sendable.

/// The description of a device for operators and callers.
package struct DeviceDescription: Sendable, Equatable {
    /// As written after `--device`: "cpu", "ascend:0".
    package var name: String
    /// Instruction set or chip: "avx512", "910B3".
    package var architecture: String
    /// The type of packed weights and products.
    package var dtype: DType
    /// Host threads that compute, including the engine thread; 1 if the device computes by itself.
    package var threads: Int
    /// What the device found out about itself and chose as a result; one line each, for people.
    package var notes: [String]
    /// The rates by which the kernels were chosen; empty if there was no choice, or nothing was measured.
    package var kernelRates: [KernelRate] = []
    /// Bytes of the quantised copy of a model's catalogue, if this describes the device for that model; 0: none.
    package var catalogueCopyBytes = 0
    /// Whether there is such a copy, or why not.
    package var catalogueCopy = CatalogueCopyState.none

    package init(name: String, architecture: String, dtype: DType, threads: Int, notes: [String] = []) {
        self.name = name
        self.architecture = architecture
        self.dtype = dtype
        self.threads = threads
        self.notes = notes
    }
}

/// Whether a catalogue has a quantised copy, or why not.
package enum CatalogueCopyState: String, Sendable, CaseIterable {
    /// The device makes none for such a catalogue.
    case none
    case used
    /// A scan with it was not clearly faster.
    case notFaster = "not_faster"
    case noMemory = "no_memory"
}

/// How fast one of several sets of kernels is on this host.
package struct KernelRate: Sendable, Equatable {
    /// As `DeviceDescription.architecture` names it.
    package var kernels: String
    /// 10⁹ operations per second on one thread.
    package var gigaflops: Double

    package init(kernels: String, gigaflops: Double) {
        self.kernels = kernels
        self.gigaflops = gigaflops
    }
}

/// Bytes of device memory by use.
package struct DeviceMemory: Sendable, Equatable {
    /// Packed weights, tables and catalogues. A CPU device counts what it copied, not what it reads from the file.
    package var weightBytes: Int
    /// Working memory of all streams, at its high-water mark.
    package var workspaceBytes: Int
    /// Pools of key and value pages, whether or not their pages are in use.
    package var pageBytes: Int

    package init(weightBytes: Int, workspaceBytes: Int, pageBytes: Int = 0) {
        self.weightBytes = weightBytes
        self.workspaceBytes = workspaceBytes
        self.pageBytes = pageBytes
    }
}

/// The orientation in which a file stores the matrix of a projection.
package enum LinearLayout: Sendable, Hashable {
    /// (K, N): y = x · W.
    case inputMajor
    /// (N, K): y = x · Wᵀ, as PyTorch's Linear stores it.
    case outputMajor
}

/// A compute device: CPU kernels, or an NPU.
package protocol Device: AnyObject {
    var description: DeviceDescription { get }
    var memory: DeviceMemory { get }

    /// Whether any thread may make weights and run a model on a `makeBackgroundStream()`, even while the device's own
    /// thread computes.
    var takesWeightsOnAnyThread: Bool { get }

    /// The same device for models of another type: a separate device that shares its memory account, and its workers if
    /// the number of threads is the same. Both belong to the same thread.
    ///
    /// - Parameters:
    ///   - dtype: the type of packed weights; nil: this device's.
    ///   - threads: nil: as many as this device's.
    /// - Throws: `ComputeError.unsupported` if the device has no variants.
    func variant(dtype: DType?, threads: Int?) throws(ComputeError) -> any Device

    /// Measures in advance what `variant` would measure for this type. May be called on any thread if
    /// `takesWeightsOnAnyThread`.
    func prepareVariant(dtype: DType) throws(ComputeError)

    /// Whether streams of this device run the operation. At load time, a model checks every operation that it needs and
    /// fails with a sentence that names the missing one.
    func supports(_ operation: OperationKind) -> Bool

    /// Packs the matrix of a projection.
    ///
    /// - Parameters:
    ///   - matrix: rank 2, in `layout`; float32, float16 or bfloat16.
    ///   - columns: the output columns of the packed matrix, as ranges in 0 ..< N of the file's matrix, in this order;
    ///     nil: all.
    ///   - bias: one entry per *selected* column, or nil.
    /// - Throws: `ComputeError.invalidArgument` for a wrong rank, dtype or length, `.outOfMemory`.
    func makeLinear(
        _ matrix: HostTensor,
        layout: LinearLayout,
        columns: [Range<Int>]?,
        bias: HostTensor?
    ) throws(ComputeError) -> any LinearWeights

    /// Takes a table of rows to gather from, rank 2, (rows, D). `embed` reads it.
    func makeTable(_ rows: HostTensor) throws(ComputeError) -> any EmbeddingTable

    /// Takes the entries of a vector, rank 1: a relative bias, the affine part of a norm, or rotary frequencies.
    func makeVector(_ entries: HostTensor) throws(ComputeError) -> any DeviceVector

    /// Packs the rows used for scoring.
    ///
    /// - Parameters:
    ///   - rows: rank 2, (V, D); row 0 is padding.
    ///   - normalization: applied to every row once, in float32; nil: none.
    ///   - eligible: one bit per row, as in `SelectionMask.allowed`: rows that exist in the catalogue. Row 0 is not.
    func makeCatalogue(
        _ rows: HostTensor,
        normalization: Normalization?,
        eligible: [UInt64]
    ) throws(ComputeError) -> any CatalogueWeights

    /// Appends rows to a table, each with the table's number of columns, in pages, so that existing rows do not move.
    /// They are numbered as `AddedRows` says. Call it on the device's own thread, between batches.
    ///
    /// - Throws: `ComputeError.invalidArgument`, `.outOfMemory`, `.unsupported`.
    func append(_ rows: [[Float]], to table: any EmbeddingTable) throws(ComputeError)

    /// Appends rows to a catalogue, normalised and packed like the others, so that equal rows have equal scores. They
    /// are selected only for queries whose masks allow them.
    func append(_ rows: [[Float]], to catalogue: any CatalogueWeights) throws(ComputeError)

    /// A pool of as many key and value pages as `byteCount` bytes hold.
    ///
    /// - Throws: `ComputeError.invalidArgument` if they do not hold one page, `.outOfMemory`, `.unsupported`.
    func makeKeyValuePages(_ shape: KeyValueShape, byteCount: Int) throws(ComputeError) -> any KeyValuePages

    /// A stream: an order of operations with its own working memory.
    func makeStream() throws(ComputeError) -> any Stream

    /// A stream for the calling thread, which computes without the device's workers and concurrently with the device's
    /// own streams. Only if `takesWeightsOnAnyThread`.
    func makeBackgroundStream() throws(ComputeError) -> any Stream

    /// Measures the floating-point operations per second that the device reaches now, in its dtype and with all its
    /// threads, in pure arithmetic. Takes about ten milliseconds. nil: cannot be measured. Benchmarks compare with it.
    func measurePeakRate() -> Double?

    /// Reads the memory of a catalogue once, with all of the device's threads, and does nothing else. nil: cannot be
    /// measured. Benchmarks compare the scan with it.
    func measureRead(of catalogue: any CatalogueWeights) -> MemoryRead?
}

/// The measurement of one read of a memory range.
package struct MemoryRead: Sendable, Equatable {
    package var byteCount: Int
    package var nanoseconds: UInt64

    package init(byteCount: Int, nanoseconds: UInt64) {
        self.byteCount = byteCount
        self.nanoseconds = nanoseconds
    }
}

extension Device {
    package var takesWeightsOnAnyThread: Bool { false }
    package func makeBackgroundStream() throws(ComputeError) -> any Stream { try makeStream() }
    package func append(_ rows: [[Float]], to table: any EmbeddingTable) throws(ComputeError) {
        throw ComputeError(.unsupported, "\(description.name) does not support rows added to a table")
    }
    package func append(_ rows: [[Float]], to catalogue: any CatalogueWeights) throws(ComputeError) {
        throw ComputeError(.unsupported, "\(description.name) does not support rows added to a catalogue")
    }
    package func variant(dtype: DType?, threads: Int?) throws(ComputeError) -> any Device {
        guard dtype ?? description.dtype == description.dtype, threads ?? description.threads == description.threads
        else {
            throw ComputeError(
                .unsupported,
                "\(description.name) computes all models in one type, \(description.dtype.rawValue)"
            )
        }
        return self
    }
    package func prepareVariant(dtype: DType) throws(ComputeError) {}
    package func measurePeakRate() -> Double? { nil }
    package func measureRead(of catalogue: any CatalogueWeights) -> MemoryRead? { nil }
}

/// The matrix of a projection in a device's own form. Like the other weight objects, it is an instance of its device's
/// own final class, frees its memory when released, and is refused by streams of any other device.
package protocol LinearWeights: AnyObject {
    /// K
    var inputs: Int { get }
    /// N
    var outputs: Int { get }
}

/// The numbers of rows appended to a table or a catalogue.
package enum AddedRows {
    /// The number of the first added row: the least multiple of 64 (a mask's word) not below the table's own rows.
    /// Numbers in between are unused.
    package static func first(behind rows: Int) -> Int { (rows + 63) / 64 * 64 }

    /// Checks that rows have as many numbers as a table has columns.
    ///
    /// - Throws: `ComputeError.invalidArgument`.
    package static func check(_ rows: [[Float]], columns: Int) throws(ComputeError) {
        if let other = rows.first(where: { $0.count != columns }) {
            throw ComputeError(.invalidArgument, "append rows: a row of \(other.count) numbers, not \(columns)")
        }
    }
}

/// A table of rows to gather from, (rows, columns), in a device's own form.
package protocol EmbeddingTable: AnyObject {
    /// One more than the largest row number, added rows included.
    var rows: Int { get }
    var columns: Int { get }
}

/// A vector of float32 in a device's own form.
package protocol DeviceVector: AnyObject {
    var count: Int { get }
}

/// The scored rows of a catalogue, (rows, columns), in a device's own form.
package protocol CatalogueWeights: AnyObject {
    /// One more than the largest row number, added rows included.
    var rows: Int { get }
    var columns: Int { get }
    /// Bytes of a quantised copy that scans read first; 0: none.
    var copyByteCount: Int { get }
    var copyState: CatalogueCopyState { get }
}

extension CatalogueWeights {
    package var copyByteCount: Int { 0 }
    package var copyState: CatalogueCopyState { .none }
}
