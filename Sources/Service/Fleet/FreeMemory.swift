// Whether a host has memory for one more model, found out before its weights are packed.

internal import Compute
internal import Devices
internal import Models

/// What a model takes of its host's memory.
enum FreeMemory {
    /// Bytes that a model takes at most while it is loaded on a cpu: its packed weights, the rows of its items once to be gathered and
    /// once to be scored, and the largest tensor as the file has it. A quantised copy of the items is made only where there is room for it
    /// as well.
    static func needed(_ specifications: [TensorSpecification], stored: DType, dtype: DType) -> Int {
        let counts = specifications.map(\.count)
        // The first is the items' table; its scored rows are bfloat16 where products are of int8.
        let items = counts.first ?? 0
        let packed = (counts.dropFirst().reduce(0, +)) * dtype.byteCount
        let table = items * (4 + (dtype == .float32 ? 4 : 2))
        return packed + table + (counts.max() ?? 0) * stored.byteCount
    }
}

extension ModelLoader {
    /// Refuses a model that a cpu has no memory for beside those that it has. NPUs say so themselves.
    ///
    /// - Throws: `.unavailable` with both numbers.
    func requireMemory(for bundle: ModelBundle, _ placement: ModelPlacement) throws(FleetError) {
        guard placesOnCPU(placement), let free = HostMemory.freeBytes else { return }
        let configuration = bundle.configuration
        let needed = FreeMemory.needed(
            configuration.architecture.configuration.tensorSpecifications,
            stored: configuration.dtype,
            dtype: dtype(of: placement)
        )
        if let sentence = Self.fault(needed: needed, free: free) {
            throw FleetError(.unavailable, "'\(configuration.name)' version '\(configuration.version)' \(sentence)")
        }
    }

    /// The end of a sentence about a model that does not fit; nil: it does.
    static func fault(needed: Int, free: Int) -> String? {
        needed <= free ? nil : "needs up to \(needed) bytes of memory while it is loaded, and \(free) are free"
    }
}
