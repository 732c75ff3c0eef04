// Reads the tensors of a bundle for a model that is being made. It reads each tensor once and holds at most one longer than
// the model does. A packed tensor is therefore read once, however many projections it makes, and an item table that a
// device reads in place also serves as the rows of its catalogue.

import Compute
internal import Files

/// Belongs to the thread that makes the model.
final class TensorReader {
    /// A tensor that may still be held elsewhere.
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
        // Before the next one takes its memory.
        if !isSmall { held = nil }
        let tensor = try bundle.tensor(name)
        if !isSmall {
            held = tensor
            seen[name] = Seen(owner: tensor.owner, dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.bytes)
        }
        return tensor
    }
}
