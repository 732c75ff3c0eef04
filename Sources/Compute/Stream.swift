// A stream: operations in order, with working memory that lives for one batch.

/// What `selectTopK` will have selected once the stream has been synchronised.
package struct TopKTicket: Sendable, Equatable {
    package let id: Int

    package init(id: Int) {
        self.id = id
    }
}

/// What `scoreRows` will have computed once the stream has been synchronised.
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
    /// Starts a batch: every tensor and ticket handed out before is void, and their memory is used again.
    func begin() throws(ComputeError)

    /// Working memory for a (rows, columns) tensor until the next `begin()`. Its content is undefined.
    func makeTensor(rows: Int, columns: Int, dtype: DType) throws(ComputeError) -> Tensor

    /// Runs `body`, and may then use the memory of the tensors that were made within it again: they are void, those that were
    /// made before are not. For what a layer leaves in a tensor that it was given: its working memory then stays in the
    /// processor's caches from layer to layer.
    func withTemporaries(_ body: () throws(ComputeError) -> Void) throws(ComputeError)

    /// Bytes of working memory that operations one after another find in the processor's caches. What works on more at a time
    /// is slower; nil: it is not.
    var reusedMemoryBytes: Int? { get }

    /// Copies host values into a (1, count) tensor: through pinned staging where the device has its own memory. The
    /// host memory may be reused as soon as the call returns.
    func upload(_ values: UnsafeRawBufferPointer, dtype: DType) throws(ComputeError) -> Tensor

    func embed(_ operation: EmbedOperation) throws(ComputeError)
    func linear(_ operation: LinearOperation) throws(ComputeError)

    /// Every row's `groups` equal parts are normalised each by itself, with the same weights, one entry a column of a part.
    /// Both tensors are (R, D) float32, and may be the same memory.
    func normalize(
        _ input: Tensor,
        _ normalization: Normalization,
        groups: Int,
        output: Tensor
    ) throws(ComputeError)

    /// `output[i] = source[rows[i]]` for host-known row numbers.
    func gatherRows(_ source: Tensor, rows: [Int32], output: Tensor) throws(ComputeError)

    func hstuAttention(_ operation: HSTUAttentionOperation) throws(ComputeError)
    func softmaxAttention(_ operation: SoftmaxAttentionOperation) throws(ComputeError)
    func rotate(_ operation: RotateOperation) throws(ComputeError)

    /// Keeps keys and values for later batches. They are there after `synchronize()`.
    func store(_ operation: StoreOperation) throws(ComputeError)

    /// Sets host-known rows of a float32 tensor to zero.
    func zeroRows(_ tensor: Tensor, rows: [Int32]) throws(ComputeError)

    func selectTopK(_ operation: TopKOperation) throws(ComputeError) -> TopKTicket

    func scoreRows(_ operation: ScoreOperation) throws(ComputeError) -> ScoreTicket

    func beamAttention(_ operation: BeamAttentionOperation) throws(ComputeError)

    func tokenScores(_ operation: TokenScoresOperation) throws(ComputeError) -> TokenScoresTicket

    /// Waits until everything before it has run. Throws the first failure since `begin()`.
    func synchronize() throws(ComputeError)

    /// What was selected for query `query` of the operation behind the ticket: best first, fewer than asked for when
    /// fewer rows were eligible. Valid after `synchronize()` and until the next `begin()`.
    func selected(_ ticket: TopKTicket, query: Int) -> [ScoredRow]

    /// The scores of query `query` of the operation behind the ticket, in the order of its rows. Valid after `synchronize()`
    /// and until the next `begin()`.
    func scores(_ ticket: ScoreTicket, query: Int) -> [Float]

    /// log p of each of the operation's tokens. Valid after `synchronize()` and until the next `begin()`.
    func logProbabilities(_ ticket: TokenScoresTicket) -> [Float]

    /// Copies a float32 tensor's elements to the host, row by row without stride: for tests and diagnostics, not for
    /// the way of a request. Valid after `synchronize()`.
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

    /// Keeps the memory until the next `begin()`, as a stream may.
    package func withTemporaries(_ body: () throws(ComputeError) -> Void) throws(ComputeError) { try body() }

    /// Copies an array into a (1, count) tensor.
    package func upload<Element: BitwiseCopyable>(
        _ values: [Element],
        dtype: DType
    ) throws(ComputeError) -> Tensor {
        precondition(MemoryLayout<Element>.size == dtype.byteCount, "element size does not fit the dtype")
        // `withUnsafeBytes` rethrows untyped; the result crosses the closure as a value so that the error stays typed.
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
