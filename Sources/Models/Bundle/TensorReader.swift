// Reads a bundle's tensors while a model is being built. Each tensor is read once, and at most one stays in memory
// longer than the model needs it: a packed tensor is read once for all its projections, and an item table that a device
// reads in place also serves as the rows of its catalogue.

import Compute
internal import Files

/// Reads tensors for one model. Used only on the thread that builds the model.
final class TensorReader {
    /// A tensor that was read and may still be alive elsewhere.
    private struct Seen {
        weak var owner: AnyObject?
        let dtype: DType
        let shape: [Int]
        let bytes: UnsafeRawBufferPointer
    }

    /// Tensors smaller than this do not replace the held one.
    private static let smallByteCount = 1 << 16

    private let bundle: ModelBundle
    private var seen: [String: Seen] = [:]
    private var held: HostTensor?

    init(_ bundle: ModelBundle) {
        self.bundle = bundle
    }

    /// - Throws: as `ModelBundle.tensor`.
    func tensor(_ name: String) throws(FileError) -> HostTensor {
        if let held, held.name == name { return held }
        if let known = seen[name], let owner = known.owner {
            return HostTensor(name: name, dtype: known.dtype, shape: known.shape, bytes: known.bytes, owner: owner)
        }
        let isSmall = bundle.weights.byteCount(of: name) < Self.smallByteCount
        // Releases the held tensor before reading the next, so that both are never in memory together.
        if !isSmall { held = nil }
        let tensor = try bundle.tensor(name)
        if !isSmall {
            held = tensor
            seen[name] = Seen(owner: tensor.owner, dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.bytes)
        }
        return tensor
    }
}
