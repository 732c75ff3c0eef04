// Builds the model of a bundle on a device, whatever its architecture.

internal import Catalogue
package import Compute
internal import Files

/// Makes models from bundles.
package enum ModelRegistry {
    /// Loads the weights of a bundle into a device.
    ///
    /// Call it on the device's thread. The model keeps what it needs of the weights and never reads the bundle's files
    /// again.
    ///
    /// - Throws: `ComputeError.unsupported` if the device lacks an operation; `.outOfMemory`; `.invalidArgument` if the
    ///   weights file cannot be read or has changed.
    package static func makeModel(_ bundle: ModelBundle, on device: any Device) throws(ComputeError) -> any DecoderModel
    {
        let reader = TensorReader(bundle)
        var itemTable: ItemTable?
        if case .by(let table) = bundle.extensibility { itemTable = table }
        let loader = WeightLoader(
            device: device,
            names: Set(bundle.architecture.configuration.tensorSpecifications.map(\.name)),
            hasTokens: bundle.configuration.semanticIDs != nil,
            itemTable: itemTable
        ) { (name: String) throws(ComputeError) -> HostTensor in
            do throws(FileError) {
                return try reader.tensor(name)
            } catch {
                throw ComputeError(.invalidArgument, error.message)
            }
        }
        return try bundle.architecture.configuration.makeDecoder(loader, eligible: bundle.catalogue.presentMask)
    }
}
