// Calls CANN's operators: descriptors, the two phases, and the workspace that all calls of a stream share.

internal import CAscend
internal import Compute

/// Runs operators on one stream, in order. Every operand's descriptor lives for one call.
final class OperatorCalls {
    let context: AscendContext
    /// The queue for calls.
    let stream: UnsafeMutableRawPointer
    private let tensors: CAscend_tensors
    let operators: CAscend_operators

    /// One block for all calls, because the stream runs them in order. `outgrown` holds earlier blocks that were too
    /// small, which running calls may still use.
    private var workspace: DeviceBlock?
    private var outgrown: [DeviceBlock] = []

    /// Descriptors of the current call.
    private var liveTensors: [OpaquePointer] = []
    private var liveScalars: [OpaquePointer] = []
    private var liveArrays: [OpaquePointer] = []
    private var liveList: OpaquePointer?

    /// The key so far, while `key(of:)` records calls instead of making them.
    private var key: [UInt64]?
    /// Views of the current call.
    private var declared: [View?] = []

    init(context: AscendContext, stream: UnsafeMutableRawPointer) {
        self.context = context
        self.stream = stream
        tensors = context.library.functions.tensors
        operators = context.library.functions.operators
    }

    /// Frees the workspaces that were too small. Call it once all enqueued work has run.
    func releaseOutgrown() { outgrown = [] }

    // MARK: Operands

    /// A descriptor of the view. A descriptor's address must be a multiple of 32; the rest becomes its offset.
    func tensor(_ view: View) throws(ComputeError) -> OpaquePointer {
        // An undeclared operand would be missing from the key, so that another batch could be mistaken for this one.
        precondition(declared.contains { $0?.isSame(as: view) ?? false }, "an operand that its call does not declare")
        let size = view.dtype.byteCount
        let offset = Int(view.address.bits % 32) / size
        let base = UnsafeMutableRawPointer(bitPattern: view.address.bits - view.address.bits % 32)
        var reach = offset + 1
        for (extent, stride) in zip(view.dims, view.strides) { reach += (extent - 1) * stride }
        var shape = [max(reach, 0)]
        // Blocks of 16 × 16, columns of blocks outermost, as aclnnTransMatmulWeight describes its result and op-plugin
        // its operands. Products refuse a FRACTAL_NZ of lower rank (ops-nn, matmul_v3_base_tiling.cpp).
        if view.isBlocked { shape = [(view.dims[1] + 15) / 16, (view.dims[0] + 15) / 16, 16, 16] }
        let made = withInt64s(view.dims) { dims in
            withInt64s(view.strides) { strides in
                withInt64s(shape) { storage in
                    tensors.aclCreateTensor(
                        dims.baseAddress,
                        UInt64(dims.count),
                        view.dtype.aclType,
                        strides.baseAddress,
                        Int64(offset),
                        view.isBlocked ? ACL_FORMAT_FRACTAL_NZ : ACL_FORMAT_ND,
                        storage.baseAddress,
                        UInt64(storage.count),
                        base
                    )
                }
            }
        }
        guard let made else { throw ComputeError(.executionFailed, "aclCreateTensor made no tensor of \(view.dims)") }
        liveTensors.append(made)
        return made
    }

    /// A list of tensors, which owns their descriptors.
    func list(_ views: [View]) throws(ComputeError) -> OpaquePointer {
        var members: [OpaquePointer?] = []
        for view in views { members.append(try tensor(view)) }
        guard let made = tensors.aclCreateTensorList(members, UInt64(members.count)) else {
            throw ComputeError(.executionFailed, "aclCreateTensorList made no list")
        }
        liveTensors.removeLast(members.count)
        liveList = made
        return made
    }

    func scalar(_ value: Float) throws(ComputeError) -> OpaquePointer {
        var value = value
        return try keep(tensors.aclCreateScalar(&value, ACL_FLOAT))
    }

    func scalar(_ value: Int32) throws(ComputeError) -> OpaquePointer {
        var value = value
        return try keep(tensors.aclCreateScalar(&value, ACL_INT32))
    }

    private func keep(_ scalar: OpaquePointer?) throws(ComputeError) -> OpaquePointer {
        guard let scalar else { throw ComputeError(.executionFailed, "aclCreateScalar made no scalar") }
        liveScalars.append(scalar)
        return scalar
    }

    func integers(_ values: [Int]) throws(ComputeError) -> OpaquePointer {
        let made = withInt64s(values) { tensors.aclCreateIntArray($0.baseAddress, UInt64($0.count)) }
        guard let made else { throw ComputeError(.executionFailed, "aclCreateIntArray made no array") }
        liveArrays.append(made)
        return made
    }

    /// Destroys the descriptors of a finished call.
    func releaseOperands() {
        for tensor in liveTensors { _ = tensors.aclDestroyTensor(tensor) }
        for scalar in liveScalars { _ = tensors.aclDestroyScalar(scalar) }
        for array in liveArrays { _ = tensors.aclDestroyIntArray(array) }
        if let liveList { _ = tensors.aclDestroyTensorList(liveList) }
        liveTensors.removeAll(keepingCapacity: true)
        liveScalars.removeAll(keepingCapacity: true)
        liveArrays.removeAll(keepingCapacity: true)
        liveList = nil
    }

    // MARK: Recording calls

    /// The key of a batch: the workspace, and every call in order with its operands' addresses and shapes and its
    /// numbers. Batches with equal keys enqueue the same work.
    func key(of steps: [AscendStream.Step]) throws(ComputeError) -> [UInt64] {
        key = [UInt64(workspace?.address.bits ?? 0), UInt64(workspace?.byteCount ?? 0)]
        defer { key = nil }
        for step in steps { try step(self) }
        return key ?? []
    }

    private func write(_ name: StaticString, _ views: [View?], _ numbers: [Double]) {
        key?.append(UInt64(UInt(bitPattern: name.utf8Start)))
        for view in views {
            guard let view else {
                key?.append(.max)
                continue
            }
            key?.append(UInt64(view.address.bits))
            key?.append(
                UInt64(view.dtype.aclType.rawValue) << 32 | (view.isBlocked ? 1 << 31 : 0) | UInt64(view.dims.count)
            )
            for (extent, stride) in zip(view.dims, view.strides) {
                key?.append(UInt64(truncatingIfNeeded: extent))
                key?.append(UInt64(truncatingIfNeeded: stride))
            }
        }
        for number in numbers { key?.append(number.bitPattern) }
    }

    // MARK: Phases

    typealias Size = UnsafeMutablePointer<UInt64>
    typealias Executor = UnsafeMutablePointer<OpaquePointer?>

    /// Makes one call: `plan` is its phase 1, with operands made by the functions above; phase 2 follows immediately.
    ///
    /// - Parameters:
    ///   - views: every view that `plan` makes a tensor of.
    ///   - numbers: every other value that may differ between calls.
    func call(
        _ name: StaticString,
        _ launch: CAscend_launch?,
        _ views: [View?],
        _ numbers: [Double] = [],
        _ plan: (Size, Executor) throws(ComputeError) -> Int32?
    ) throws(ComputeError) {
        if key != nil { return write(name, views, numbers) }
        declared = views
        defer {
            declared = []
            releaseOperands()
        }
        var size: UInt64 = 0
        var executor: OpaquePointer?
        guard let launch, let status = try plan(&size, &executor) else {
            throw ComputeError(.unsupported, "no installed package has the operator \(name)")
        }
        try context.check(status, name, phase: .plan)
        let memory: UnsafeMutableRawPointer?
        do throws(ComputeError) {
            memory = try workspace(byteCount: size, for: name)
        } catch {
            // Only phase 2 releases the executor of a composed operator; without a workspace, it does nothing else.
            // Generated operators (RmsNorm, SwiGlu, RecSDK's) do not release theirs even so and leak a few kilobytes.
            _ = launch(nil, size, executor, stream)
            _ = context.runtime.aclGetRecentErrMsg()
            throw error
        }
        try context.check(launch(memory, size, executor, stream), name)
    }

    private func workspace(byteCount: UInt64, for name: StaticString) throws(ComputeError) -> UnsafeMutableRawPointer? {
        guard byteCount > 0 else { return nil }
        guard byteCount <= UInt64(Int.max / 4) else {
            throw ComputeError(.outOfMemory, "\(name) asks for a workspace of \(byteCount) bytes")
        }
        if let workspace, workspace.byteCount >= Int(byteCount) { return workspace.pointer }
        var size = 1 << 20
        while size < Int(byteCount) { size *= 2 }
        let grown = try DeviceBlock(byteCount: size, use: .workspace, context: context, for: "the workspace of \(name)")
        if let workspace { outgrown.append(workspace) }
        workspace = grown
        return grown.pointer
    }
}

/// The values as 64-bit integers, as CANN takes them.
func withInt64s<Result>(_ values: [Int], _ body: (UnsafeBufferPointer<Int64>) -> Result) -> Result {
    values.map(Int64.init).withUnsafeBufferPointer(body)
}
