// Who holds how much memory: counted by the blocks themselves as they come and go.

internal import Compute

/// Bytes held by everything that a device made, counted by the objects themselves.
final class MemoryAccount {
    var memory = DeviceMemory(weightBytes: 0, workspaceBytes: 0)
}

/// A block of packed weights that counts itself in its device's memory.
final class WeightMemory {
    private let memory: AlignedMemory
    private let account: MemoryAccount

    init(_ memory: consuming AlignedMemory, account: MemoryAccount) {
        self.memory = memory
        self.account = account
        account.memory.weightBytes += self.memory.byteCount
    }

    deinit { account.memory.weightBytes -= memory.byteCount }

    var byteCount: Int { memory.byteCount }
    var floats: UnsafeMutablePointer<Float> { memory.floats }
    var base: UnsafeMutableRawPointer { memory.base }
}
