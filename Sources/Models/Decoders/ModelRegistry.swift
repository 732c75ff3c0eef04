// Which class serves which architecture. Adding an architecture is one file beside HSTU.swift and one line here.

internal import Catalogue
package import Compute
internal import Files

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
        let loader = WeightLoader(device: device) { (name: String) throws(ComputeError) -> HostTensor in
            do throws(FileError) {
                return try bundle.tensor(name)
            } catch {
                throw ComputeError(.invalidArgument, error.message)
            }
        }
        // Checked and packed, all of the file has been read; of it a device gathers embeddings at most.
        defer { bundle.weights.releaseMemory() }
        let eligible = bundle.catalogue.presentMask
        return switch bundle.architecture {
        case .hstu(let configuration): try HSTU(configuration, loader, eligible: eligible)
        case .sasrec(let configuration): try SASRec(configuration, loader, eligible: eligible)
        case .llama(let configuration): try Llama(configuration, loader, eligible: eligible)
        case .gpt(let configuration): try GPT(configuration, loader, eligible: eligible)
        }
    }
}
