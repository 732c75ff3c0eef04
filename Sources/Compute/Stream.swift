// A stream: operations in order, with working memory that lives for one batch.

/// The result of `selectTopK`, available once the stream has been synchronised.
package struct TopKTicket: Sendable, Equatable {
    package let id: Int

    package init(id: Int) {
        self.id = id
    }
}

/// The result of `scoreRows`, available once the stream has been synchronised.
package struct ScoreTicket: Sendable, Equatable {
    package let id: Int

    package init(id: Int) {
        self.id = id
    }
}

/// An order of operations on a device.
///
/// Use: `begin()`, then `makeTensor`, `upload` and operations in order, then `synchronize()` once, then read results.
/// Operations may run later than the call (on an NPU they are enqueued); results and failures are certain only after
/// `synchronize()`. Operations check shapes and dtypes and throw `ComputeError.invalidArgument` before they start.
/// Belongs to the device's thread.
package protocol Stream: AnyObject {
    /// Starts a batch. Every earlier tensor and ticket becomes void, and their memory is reused.
    func begin() throws(ComputeError)

    /// Working memory for a (rows, columns) tensor until the next `begin()`. Its content is undefined.
    func makeTensor(rows: Int, columns: Int, dtype: DType) throws(ComputeError) -> Tensor

    /// Runs `body` and may then reuse the memory of the tensors made inside it, which become void. For a layer that
    /// writes its result to an earlier tensor, so that its working memory stays in the processor's caches from layer to
    /// layer.
    func withTemporaries(_ body: () throws(ComputeError) -> Void) throws(ComputeError)

    /// Bytes of working memory that stay in the processor's caches between consecutive operations. Working on more at a
    /// time is slower; nil: no such limit.
    var reusedMemoryBytes: Int? { get }

    /// Copies host values into a (1, count) tensor, through pinned staging if the device has its own memory. The host
    /// memory may be reused as soon as the call returns.
    func upload(_ values: UnsafeRawBufferPointer, dtype: DType) throws(ComputeError) -> Tensor

    func embed(_ operation: EmbedOperation) throws(ComputeError)
    func linear(_ operation: LinearOperation) throws(ComputeError)

    /// Normalises each of the `groups` equal parts of every row separately, all with the same weights, which have one
    /// entry per column of a part. Both tensors are (R, D) float32 and may share memory.
    func normalize(
        _ input: Tensor,
        _ normalization: Normalization,
        groups: Int,
        output: Tensor
    ) throws(ComputeError)

    /// `output[i] = source[rows[i]]` for host-known row numbers.
    func gatherRows(_ source: Tensor, rows: [Int32], output: Tensor) throws(ComputeError)

    func attention(_ operation: AttentionOperation) throws(ComputeError)
    func rotate(_ operation: RotateOperation) throws(ComputeError)

    /// Stores keys and values for later batches. They are complete after `synchronize()`.
    func store(_ operation: StoreOperation) throws(ComputeError)

    /// Sets host-known rows of a float32 tensor to zero.
    func zeroRows(_ tensor: Tensor, rows: [Int32]) throws(ComputeError)

    func selectTopK(_ operation: TopKOperation) throws(ComputeError) -> TopKTicket

    func scoreRows(_ operation: ScoreOperation) throws(ComputeError) -> ScoreTicket

    func beamAttention(_ operation: BeamAttentionOperation) throws(ComputeError)

    func tokenScores(_ operation: TokenScoresOperation) throws(ComputeError) -> TokenScoresTicket

    /// Waits until everything before it has run. Throws the first failure since `begin()`.
    func synchronize() throws(ComputeError)

    /// The rows selected for query `query` of the operation behind the ticket: best first, fewer than requested if
    /// fewer rows were eligible. Valid after `synchronize()` and until the next `begin()`.
    func selected(_ ticket: TopKTicket, query: Int) -> [ScoredRow]

    /// The scores of query `query` of the operation behind the ticket, in the order of its rows. Valid after
    /// `synchronize()` and until the next `begin()`.
    func scores(_ ticket: ScoreTicket, query: Int) -> [Float]

    /// log p of each of the operation's tokens. Valid after `synchronize()` and until the next `begin()`.
    func logProbabilities(_ ticket: TokenScoresTicket) -> [Float]

    /// Copies the elements of a float32 tensor to the host, row by row without stride: for tests and diagnostics, not
    /// for requests. Valid after `synchronize()`.
    func read(_ tensor: Tensor) throws(ComputeError) -> [Float]
}

extension Stream {
    package var reusedMemoryBytes: Int? { nil }

    /// `output[r] = norm(input[r])`.
    package func normalize(
        _ input: Tensor,
        _ normalization: Normalization,
        output: Tensor
    ) throws(ComputeError) {
        try normalize(input, normalization, groups: 1, output: output)
    }

    /// Keeps the memory until the next `begin()`, which a stream may do.
    package func withTemporaries(_ body: () throws(ComputeError) -> Void) throws(ComputeError) { try body() }

    /// Copies an array into a (1, count) tensor.
    package func upload<Element: BitwiseCopyable>(
        _ values: [Element],
        dtype: DType
    ) throws(ComputeError) -> Tensor {
        precondition(MemoryLayout<Element>.size == dtype.byteCount, "element size does not fit the dtype")
        // `withUnsafeBytes` rethrows untyped errors. The result crosses the closure as a value, so that the error stays
        // typed.
        let result: Result<Tensor, ComputeError> = values.withUnsafeBytes { bytes in
            do throws(ComputeError) {
                return .success(try upload(bytes, dtype: dtype))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
