// Device memory and pinned host memory, each freed with its object.

internal import CAscend
internal import Compute

/// The rules of addresses: a tensor starts at a multiple of 64 bytes, and kernels may read past its end up to the next
/// multiple of 32 bytes and 32 bytes more (CANN, notes on aclrtMalloc).
enum Alignment {
    static let start = 64

    /// The bytes to reserve for a tensor of `byteCount` bytes; nil if that overflows.
    static func reserved(_ byteCount: Int) -> Int? {
        guard byteCount >= 0, byteCount <= Int.max - 128 else { return nil }
        let read = (byteCount + 31) / 32 * 32 + 32
        return (read + start - 1) / start * start
    }
}

/// A block of device memory.
final class DeviceBlock {
    /// The kind that a block is counted as.
    enum Use { case weights, workspace, pages }

    let address: DeviceAddress
    let byteCount: Int
    private let context: AscendContext
    private let use: Use

    /// - Parameter what: the purpose of the memory, for the error.
    init(byteCount: Int, use: Use, context: AscendContext, for what: String) throws(ComputeError) {
        try context.requireUsable()
        var memory: UnsafeMutableRawPointer?
        let status = context.runtime.aclrtMalloc(&memory, byteCount, ACL_MEM_MALLOC_HUGE_FIRST)
        do throws(ComputeError) {
            try context.check(status, "aclrtMalloc")
        } catch {
            throw ComputeError(error.code, "\(what): \(byteCount) bytes: \(error.message)")
        }
        address = DeviceAddress(bits: UInt(bitPattern: memory))
        self.byteCount = byteCount
        self.context = context
        self.use = use
        count(byteCount)
    }

    deinit {
        if context.canRelease { _ = context.runtime.aclrtFree(pointer) }
        count(-byteCount)
    }

    var pointer: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: address.bits) }

    /// Copies host values synchronously to an offset. There must be room for them.
    func fill<Element: BitwiseCopyable>(_ values: [Element], at offset: Int = 0) throws(ComputeError) {
        try values.withUnsafeBufferPointer { (values) throws(ComputeError) in
            let bytes = UnsafeRawBufferPointer(values)
            guard !bytes.isEmpty else { return }
            let status = context.runtime.aclrtMemcpy(
                pointer.map { $0 + offset },
                byteCount - offset,
                bytes.baseAddress,
                bytes.count,
                ACL_MEMCPY_HOST_TO_DEVICE
            )
            try context.check(status, "aclrtMemcpy")
        }
    }

    private func count(_ bytes: Int) {
        switch use {
        case .weights: context.memory.weightBytes += bytes
        case .workspace: context.memory.workspaceBytes += bytes
        case .pages: context.memory.pageBytes += bytes
        }
    }
}

/// A block of pinned host memory, which the device copies to and from while the host does other work.
final class PinnedBlock {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let context: AscendContext

    init(byteCount: Int, context: AscendContext) throws(ComputeError) {
        try context.requireUsable()
        var memory: UnsafeMutableRawPointer?
        try context.check(context.runtime.aclrtMallocHost(&memory, byteCount), "aclrtMallocHost")
        guard let memory else { throw ComputeError(.outOfMemory, "aclrtMallocHost gave no memory") }
        base = memory
        self.byteCount = byteCount
        self.context = context
    }

    deinit { context.release(pinned: base) }
}
