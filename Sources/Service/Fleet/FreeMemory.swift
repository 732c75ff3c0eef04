// Checks whether a host has memory for another model, before its weights are packed.

internal import Compute
internal import Devices
internal import Models

/// The host memory that a model needs.
enum FreeMemory {
    /// The most bytes that a model takes while it is loaded on a CPU: its packed weights, the item table twice (one
    /// copy to gather rows from, one to score), and the largest tensor as stored in the file. A quantised copy of the
    /// items is not included: it is made only if there is room for it.
    static func needed(_ specifications: [TensorSpecification], stored: DType, dtype: DType) -> Int {
        let counts = specifications.map(\.count)
        // The first tensor is the item table; its scored copy is bfloat16 if products use int8.
        let items = counts.first ?? 0
        let packed = (counts.dropFirst().reduce(0, +)) * dtype.byteCount
        let table = items * (4 + (dtype == .float32 ? 4 : 2))
        return packed + table + (counts.max() ?? 0) * stored.byteCount
    }
}

extension ModelLoader {
    /// Refuses a model for which a CPU has too little free memory. NPUs report that themselves.
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

    /// The end of an error sentence for a model that does not fit; nil if it fits.
    static func fault(needed: Int, free: Int) -> String? {
        needed <= free ? nil : "needs up to \(needed) bytes of memory while it is loaded, and \(free) are free"
    }
}
