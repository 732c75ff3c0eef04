// The CPU as a device. It chooses the kernels, owns the worker threads, packs weights and makes streams.

internal import CKernels
package import Compute
internal import Glibc

/// Computes on the host's processors. Activations are float32 between operations. Projections and the catalogue scan
/// multiply in the device's dtype (float32, bfloat16 or int8) and sum in float32 or int32. Attention multiplies in
/// bfloat16 if the kernels support it and the dtype is not float32, otherwise in float32.
///
/// Belongs to the thread that made it, like everything it makes. Its worker threads live as long as it does and sleep
/// between operations. float32 tables are read straight from the memory of their `HostTensor`; everything else is
/// copied when it is packed.
package final class CPUDevice: Device {
    package private(set) var description: DeviceDescription
    private(set) var kernels: UnsafePointer<gk_kernels>
    /// Provides the rates by which the device and its variants choose kernels; nil: they do not choose.
    private var rates: RateSource?
    /// Rates measured in advance for variants.
    private let prepared: PreparedRates
    /// Which catalogues get a quantised copy.
    private(set) var copyPolicy: CatalogueCopy.Policy
    /// Bytes that a catalogue's copy may take now; nil: no limit. Called on the thread that packs.
    package var roomForCopies: (() -> Int)?
    let pool: WorkerPool
    /// The type of products: float32, bfloat16 or int8.
    let dtype: gk_dtype
    let identity = DeviceIdentity()
    let account: MemoryAccount
    let weights: WeightSpace
    /// The bucket table of HSTU's time bias, the same for every model.
    let timeCells: [UInt32]

    /// - Parameters:
    ///   - threads: the number of computing threads, including the caller's; more than `availableThreads` only adds
    ///     cost.
    ///   - dtype: the type of packed weights and products: `.float32`; `.bfloat16`, to which inputs are rounded as
    ///     well; or `.int8`, with a scale for each column of the weights and each row of the input. The catalogue of an
    ///     int8 device is bfloat16.
    ///   - isa: the kernels to use; nil: those named by the environment variable GENREC_ISA, otherwise the host's best.
    ///   - copies: which catalogues get a quantised copy. `tune` changes `.never` to `.whereFaster`.
    /// - Throws: `ComputeError.invalidArgument` for fewer than one thread, `.unsupported` for another dtype and for
    ///   kernels that the host cannot run, `.outOfMemory` when a thread cannot be started.
    package init(
        threads: Int,
        dtype: DType = .float32,
        isa: InstructionSet? = nil,
        copies: CatalogueCopy.Policy = .never
    ) throws(ComputeError) {
        guard (1...1024).contains(threads) else {
            throw ComputeError(.invalidArgument, "a CPU device has 1 to 1024 threads, not \(threads)")
        }
        self.dtype = try Self.kernelForm(of: dtype)
        copyPolicy = copies
        prepared = PreparedRates()
        account = MemoryAccount()
        weights = WeightSpace(account: account)
        let chosen: InstructionSet
        if let isa {
            chosen = isa
        } else {
            chosen = try InstructionSet.selected(override: getenv("GENREC_ISA").map { String(cString: $0) })
        }
        guard let kernels = gk_kernels_for(chosen.level) else {
            throw ComputeError(.unsupported, "this host does not support the instruction set \(chosen.rawValue)")
        }
        self.kernels = kernels
        pool = try WorkerPool(threads: threads)
        description = DeviceDescription(
            name: "cpu",
            architecture: chosen.rawValue,
            dtype: dtype,
            threads: threads
        )
        timeCells = [UInt32](unsafeUninitializedCapacity: gk_time_cells) { cells, count in
            gk_time_cells_fill(cells.baseAddress)
            count = gk_time_cells
        }
    }

    /// A variant with another dtype or number of threads.
    private init(_ base: CPUDevice, dtype: DType, threads: Int) throws(ComputeError) {
        self.dtype = try Self.kernelForm(of: dtype)
        copyPolicy = base.copyPolicy
        roomForCopies = base.roomForCopies
        prepared = base.prepared
        account = base.account
        weights = base.weights
        kernels = base.kernels
        pool = threads == base.pool.threads ? base.pool : try WorkerPool(threads: threads)
        description = DeviceDescription(
            name: base.description.name,
            architecture: base.description.architecture,
            dtype: dtype,
            threads: threads
        )
        timeCells = base.timeCells
    }

    package func variant(dtype: DType?, threads: Int?) throws(ComputeError) -> any Device {
        let (dtype, threads) = (dtype ?? description.dtype, threads ?? description.threads)
        if dtype == description.dtype, threads == description.threads { return self }
        let variant = try CPUDevice(self, dtype: dtype, threads: threads)
        // If this device chose kernels without products of pairs, the variant keeps them and has nothing to measure.
        if let rates {
            try variant.tune { [prepared] (device) throws(ComputeError) in
                if let found = prepared.of(device.description.dtype) { return found }
                return try rates(device)
            }
        }
        return variant
    }

    package func prepareVariant(dtype: DType) throws(ComputeError) {
        guard let rates, dtype != description.dtype, prepared.of(dtype) == nil else { return }
        // A device of one thread computes on the calling thread.
        prepared.set(try rates(CPUDevice(self, dtype: dtype, threads: 1)), of: dtype)
    }

    private static func kernelForm(of dtype: DType) throws(ComputeError) -> gk_dtype {
        switch dtype {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int8: .int8
        case .float16, .uint8, .bool, .int32, .int64:
            throw ComputeError(.unsupported, "a CPU device does not compute in \(dtype.rawValue)")
        }
    }

    /// The type to which attention rounds keys and values, and in which pages hold them: bfloat16 if the dtype is not
    /// float32 and the kernels have such attention.
    var attentionDtype: gk_dtype { dtype != .float32 && kernels.pointee.bf16_page != nil ? .bfloat16 : .float32 }

    /// Returns the rates of the kernels that could serve a device, from `measureKernels` or an earlier measurement.
    package typealias RateSource = (CPUDevice) throws(ComputeError) -> [KernelRate]

    /// Chooses the fastest kernels for the dtype of the device and of all later variants, and gives catalogues
    /// quantised copies if these are faster. Call it before anything is packed.
    package func tune(by rates: @escaping RateSource) throws(ComputeError) {
        self.rates = rates
        if copyPolicy == .never { copyPolicy = .whereFaster }
        let found = try rates(self)
        guard let fastest = found.max(by: { $0.gigaflops < $1.gigaflops }),
            let level = InstructionSet(rawValue: fastest.kernels), let kernels = gk_kernels_for(level.level)
        else { return }
        self.kernels = kernels
        description.architecture = level.rawValue
        description.kernelRates = found
        let list = found.map { "\($0.kernels) \(Int($0.gigaflops.rounded()))" }.joined(separator: ", ")
        description.notes.append("kernels: \(level.rawValue), by GFLOP/s of one thread: \(list)")
    }

    package var memory: DeviceMemory { account.memory }
    /// Packing writes only to its own memory, and a stream only to its own and its model's.
    package var takesWeightsOnAnyThread: Bool { true }

    package func supports(_ operation: OperationKind) -> Bool {
        switch operation {
        case .embed, .linear, .normalize, .gatherRows, .zeroRows, .rotate, .store: true
        case .hstuAttention, .softmaxAttention, .selectTopK, .scoreRows, .beamAttention, .tokenScores: true
        }
    }

    package func makeStream() throws(ComputeError) -> any Stream { CPUStream(device: self, pool: pool) }

    package func makeBackgroundStream() throws(ComputeError) -> any Stream {
        CPUStream(device: self, pool: try WorkerPool(threads: 1))
    }
}
