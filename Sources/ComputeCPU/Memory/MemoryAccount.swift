// Accounts for memory by use. Blocks register and deregister themselves, on any thread.

internal import Compute
internal import Synchronization

/// Bytes held by everything that a device made, counted by the objects themselves.
final class MemoryAccount: Sendable {
    private let weights = Atomic<Int>(0)
    private let workspace = Atomic<Int>(0)
    private let pages = Atomic<Int>(0)

    var memory: DeviceMemory {
        DeviceMemory(
            weightBytes: weights.load(ordering: .relaxed),
            workspaceBytes: workspace.load(ordering: .relaxed),
            pageBytes: pages.load(ordering: .relaxed)
        )
    }

    func addWeights(_ bytes: Int) { weights.wrappingAdd(bytes, ordering: .relaxed) }
    func addWorkspace(_ bytes: Int) { workspace.wrappingAdd(bytes, ordering: .relaxed) }
    func addPages(_ bytes: Int) { pages.wrappingAdd(bytes, ordering: .relaxed) }
}
