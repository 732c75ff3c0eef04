// A device without arithmetic: it selects the smallest eligible rows, and only when a test lets it.

import Dispatch
import Engine
import Locking
import Models
import Synchronization

@testable import Compute

/// A test's control of the device while the engine uses it.
final class DeviceControl: Sendable {
    struct State {
        var failure: ComputeError?
        /// Batches that fail with `failure`; nil: all.
        var failures: Int?
        /// How many attempts to make the device fail.
        var loadFailures = 0
        /// The number of sequences that fit into the device's memory.
        var capacity: Int?
        /// The failure of a larger batch.
        var excess = ComputeError.Code.outOfMemory
        var score: Float = 1
        var takesWeightsOnAnyThread = false
        /// One signal lets one batch of a background stream finish; nil: none waits.
        var backgroundGate: DispatchSemaphore?
        /// Like a device whose scores are all NaN.
        var selectsNothing = false
        /// Events of each computed batch, without cached ones.
        var batches: [[[Int32]]] = []
        /// The number of cached rows of each sequence.
        var cached: [[Int]] = []
        /// Released pages.
        var released: [Int32] = []
    }

    let state = Lock(State())
    /// Each signal lets one batch finish; unused while `isGated` is false.
    let gate = DispatchSemaphore(value: 0)
    /// Signalled when a batch starts to wait at the gate.
    let reachedGate = DispatchSemaphore(value: 0)
    let isGated: Atomic<Bool>

    init(isGated: Bool) {
        self.isGated = Atomic(isGated)
    }

    /// Throws while `loadFailures` is positive, and counts it down.
    func takeLoadFailure() throws(ComputeError) {
        let fails = state.withLock { state in
            defer { state.loadFailures = max(0, state.loadFailures - 1) }
            return state.loadFailures > 0
        }
        if fails { throw ComputeError(.deviceLost, "the heartbeat is gone") }
    }

    /// The failure of a batch with this many sequences.
    fileprivate func takeFailure(sequences: Int) -> ComputeError? {
        state.withLock { state in
            if let capacity = state.capacity, sequences > capacity {
                return ComputeError(state.excess, "\(sequences) are too many")
            }
            guard let failure = state.failure, state.failures != 0 else { return nil }
            state.failures? -= 1
            return failure
        }
    }

    var batches: [[[Int32]]] { state.withLock { $0.batches } }
    var cached: [[Int]] { state.withLock { $0.cached } }
}

final class StubDevice: Device {
    let control: DeviceControl
    let name: String

    init(_ control: DeviceControl, name: String = "stub") {
        self.control = control
        self.name = name
    }

    var description: DeviceDescription {
        DeviceDescription(name: name, architecture: "none", dtype: .float32, threads: 1)
    }
    var memory: DeviceMemory { DeviceMemory(weightBytes: 0, workspaceBytes: 0) }

    var takesWeightsOnAnyThread: Bool { control.state.withLock { $0.takesWeightsOnAnyThread } }

    func supports(_ operation: OperationKind) -> Bool { true }
    func makeLinear(
        _ matrix: HostTensor,
        layout: LinearLayout,
        columns: [Range<Int>]?,
        bias: HostTensor?
    ) throws(ComputeError) -> any LinearWeights { throw ComputeError(.unsupported, "stub") }
    func makeTable(_ rows: HostTensor) throws(ComputeError) -> any EmbeddingTable {
        throw ComputeError(.unsupported, "stub")
    }
    func makeVector(_ entries: HostTensor) throws(ComputeError) -> any DeviceVector {
        throw ComputeError(.unsupported, "stub")
    }
    func makeCatalogue(
        _ rows: HostTensor,
        normalization: Normalization?,
        eligible: [UInt64]
    ) throws(ComputeError) -> any CatalogueWeights { throw ComputeError(.unsupported, "stub") }
    func makeKeyValuePages(_ shape: KeyValueShape, byteCount: Int) throws(ComputeError) -> any KeyValuePages {
        StubPages(shape: shape, pageCount: byteCount, control)
    }
    func makeStream() throws(ComputeError) -> any Compute.Stream { StubStream(control) }
    func makeBackgroundStream() throws(ComputeError) -> any Compute.Stream {
        StubStream(control, gate: control.state.withLock { $0.backgroundGate })
    }
}

/// Pages of four rows and one byte.
final class StubPages: KeyValuePages {
    let shape: KeyValueShape
    let pageRows = 4
    let pageCount: Int
    let pageByteCount = 1
    let takesMemoryWhenWritten = true
    private let control: DeviceControl

    init(shape: KeyValueShape, pageCount: Int, _ control: DeviceControl) {
        self.shape = shape
        self.pageCount = pageCount
        self.control = control
    }

    func release(_ pages: [Int32]) { control.state.withLock { $0.released += pages } }
}

final class StubCatalogue: CatalogueWeights {
    let rows: Int
    let columns = 1

    init(rows: Int) {
        self.rows = rows
    }
}

/// Passes histories to the stream, so that tests see the content of a batch.
final class StubModel: DecoderModel {
    let window: Int
    let floatsOfRow = 1
    let catalogue: any CatalogueWeights
    let prefixReuse: PrefixReuse

    init(window: Int, rows: Int, keepsRows: Bool = false) {
        self.window = window
        prefixReuse =
            keepsRows
            ? .exact(KeyValueShape(layers: 1, heads: 1, keyColumns: 1, valueColumns: 1), dependsOnNextTime: true)
            : .none(reason: "nothing is computed")
        catalogue = StubCatalogue(rows: rows)
    }

    func encode(_ batch: SequenceBatch, on stream: any Compute.Stream) throws(ComputeError) -> Tensor {
        let histories = (0..<batch.layout.count).map { sequence in
            Array(batch.items[Int(batch.layout.offsets[sequence])..<Int(batch.layout.offsets[sequence + 1])])
        }
        let cached = batch.cached?.sequences.map(\.rows) ?? Array(repeating: 0, count: batch.layout.count)
        (stream as? StubStream)?.sequences = histories.count
        (stream as? StubStream)?.control.state.withLock {
            $0.batches.append(histories)
            $0.cached.append(cached)
        }
        return Tensor(address: DeviceAddress(bits: 0), dtype: .float32, rows: batch.layout.count, columns: 1)
    }
}

final class StubStream: Compute.Stream {
    let control: DeviceControl
    private var selections: [[ScoredRow]] = []
    private var scorings: [[Float]] = []
    fileprivate var sequences = 0
    private let gate: DispatchSemaphore?

    init(_ control: DeviceControl, gate: DispatchSemaphore? = nil) {
        self.control = control
        self.gate = gate
    }

    func begin() throws(ComputeError) {}
    func makeTensor(rows: Int, columns: Int, dtype: DType) throws(ComputeError) -> Tensor {
        Tensor(address: DeviceAddress(bits: 0), dtype: dtype, rows: rows, columns: columns)
    }
    func upload(_ values: UnsafeRawBufferPointer, dtype: DType) throws(ComputeError) -> Tensor {
        Tensor(address: DeviceAddress(bits: 0), dtype: dtype, rows: 1, columns: values.count / dtype.byteCount)
    }
    func embed(_ operation: EmbedOperation) throws(ComputeError) {}
    func linear(_ operation: LinearOperation) throws(ComputeError) {}
    func normalize(
        _ input: Tensor,
        _ normalization: Normalization,
        groups: Int,
        output: Tensor
    ) throws(ComputeError) {}
    func gatherRows(_ source: Tensor, rows: [Int32], output: Tensor) throws(ComputeError) {}
    func attention(_ operation: AttentionOperation) throws(ComputeError) {}

    func beamAttention(_ operation: BeamAttentionOperation) throws(ComputeError) {}

    func tokenScores(_ operation: TokenScoresOperation) throws(ComputeError) -> TokenScoresTicket {
        TokenScoresTicket(id: 0)
    }

    func logProbabilities(_ ticket: TokenScoresTicket) -> [Float] { [] }
    func rotate(_ operation: RotateOperation) throws(ComputeError) {}
    func store(_ operation: StoreOperation) throws(ComputeError) {}
    func zeroRows(_ tensor: Tensor, rows: [Int32]) throws(ComputeError) {}

    func selectTopK(_ operation: TopKOperation) throws(ComputeError) -> TopKTicket {
        let (score, selectsNothing) = control.state.withLock { ($0.score, $0.selectsNothing) }
        selections = zip(operation.masks, operation.counts).map { mask, count in
            (1..<Int32(operation.catalogue.rows)).lazy
                .filter { row in !mask.excluded.contains(row) && mask.allows(row) }
                .prefix(selectsNothing ? 0 : count)
                .map { ScoredRow(row: $0, score: score) }
        }
        return TopKTicket(id: 0)
    }

    func scoreRows(_ operation: ScoreOperation) throws(ComputeError) -> ScoreTicket {
        let score = control.state.withLock { $0.score }
        scorings = operation.rows.map { $0.map { score * Float($0) } }
        return ScoreTicket(id: 0)
    }

    func synchronize() throws(ComputeError) {
        gate?.wait()
        if control.isGated.load(ordering: .acquiring) {
            control.reachedGate.signal()
            control.gate.wait()
        }
        if let failure = control.takeFailure(sequences: sequences) { throw failure }
    }

    func selected(_ ticket: TopKTicket, query: Int) -> [ScoredRow] { selections[query] }
    func scores(_ ticket: ScoreTicket, query: Int) -> [Float] { scorings[query] }
    func read(_ tensor: Tensor) throws(ComputeError) -> [Float] { [] }
}

extension SelectionMask {
    fileprivate func allows(_ row: Int32) -> Bool {
        guard let allowed else { return true }
        return allowed[Int(row >> 6)] & (1 << UInt64(row & 63)) != 0
    }
}
