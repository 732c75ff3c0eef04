// Which class serves which architecture. Adding an architecture is one file beside HSTU.swift and one line here.

package import Compute

/// Makes models from bundles.
package enum ModelRegistry {
    /// Hands the weights of a bundle to a device.
    ///
    /// Call it on the device's thread, and keep the bundle as long as the model: a device may read weights straight from
    /// the mapping.
    ///
    /// - Throws: `ComputeError.unsupported` if the device lacks an operation, `.outOfMemory`.
    package static func makeModel(_ bundle: ModelBundle, on device: any Device) throws(ComputeError) -> any DecoderModel
    {
        let weights = { (name: String) throws(ComputeError) -> HostTensor in
            do throws(BundleError) {
                return try bundle.tensor(name)
            } catch {
                throw ComputeError(.invalidArgument, error.message)
            }
        }
        switch bundle.architecture {
        case .sasrec, .llama, .gpt:
            throw ComputeError(
                .unsupported,
                "models of architecture \(bundle.architecture.name.rawValue) cannot be served yet"
            )
        case .hstu(let configuration)
        where configuration.attentionActivation != .silu || !configuration.hasGate
            || configuration.relativeBias == .position:
            throw ComputeError(.unsupported, "HSTU with this ablation cannot be served yet")
        case .hstu(let configuration):
            return try HSTU(configuration, weights: weights, eligible: bundle.catalogue.presentMask, on: device)
        }
    }
}
