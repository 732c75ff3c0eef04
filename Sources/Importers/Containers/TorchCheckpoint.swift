// A file written by `torch.save`, in any of its three containers. Opening it reads the pickle, which lists the content;
// a storage is read when one of its tensors is.

internal import Compute
internal import Files
internal import JSON
import Models

/// Access to a checkpoint's pickle and storages.
protocol TorchContainer {
    /// The content of the pickle.
    var graph: PickleGraph { get }

    /// The byte count of the storage with this key; nil if there is none.
    func byteCount(ofStorage key: String) -> Int?
    /// The content of an existing storage.
    func readStorage(_ key: String) throws(ImportError) -> OwnedBytes
}

/// A checkpoint written by `torch.save`.
final class TorchCheckpoint {
    let path: String
    private let container: any TorchContainer
    /// The storage read last: consecutive tensors often share one.
    private var lastRead: (key: String, content: OwnedBytes)?

    var graph: PickleGraph { container.graph }

    /// - Throws: `ImportError`, also for checkpoints of an unsupported kind.
    init(_ file: InputFile) throws(ImportError) {
        path = file.path
        let start = try file.piece(0..<min(512, file.byteCount))
        if LegacyTorchContainer.starts(start) {
            container = try LegacyTorchContainer(file)
        } else if TarTorchContainer.starts(start) {
            container = try TarTorchContainer(file)
        } else if let kind = start.withBytes({ Self.foreignKind(of: $0) }) {
            throw ImportError(.unsupported, "\(path) is \(kind), not a checkpoint that torch.save wrote")
        } else {
            container = try ZipTorchContainer(file)
        }
    }

    /// The kind of a file that is in none of PyTorch's containers, if people mistake that kind for a checkpoint.
    private static func foreignKind(of bytes: UnsafeRawBufferPointer) -> String? {
        if bytes.first == 0x80 { return "a bare pickle" }
        if bytes.dropFirst(8).first == UInt8(ascii: "{") { return "perhaps a safetensors file" }
        return nil
    }

    /// A tensor's place in its storage, checked without reading its elements.
    ///
    /// - Parameter name: its name in errors.
    /// - Throws: `ImportError` if its storage is missing or has another size, or the tensor exceeds it.
    @discardableResult
    func locate(_ tensor: TorchTensor, name: String) throws(ImportError) -> StridedLayout {
        func fault(_ reason: String) -> ImportError {
            ImportError(.malformed, "\(path): tensor \(quoted(name)) \(reason)")
        }
        let storage = tensor.storage
        guard let storageBytes = container.byteCount(ofStorage: storage.key) else {
            throw fault("refers to the storage \(quoted(storage.key)), which the file does not have")
        }
        let (byteCount, overflow) = storage.count.multipliedReportingOverflow(by: storage.dtype.byteCount)
        guard !overflow, byteCount == storageBytes else {
            throw fault(
                "needs a storage of \(storage.count) \(storage.dtype.rawValue), but that has \(storageBytes) bytes"
            )
        }
        guard let layout = StridedLayout(tensor) else {
            throw fault(
                "of shape \(shapeDescription(tensor.shape)) exceeds its storage of \(storage.count) elements"
            )
        }
        return layout
    }

    /// The content of a tensor: contiguous, row-major, in its stored dtype.
    ///
    /// - Parameter name: its name in errors.
    /// - Throws: `ImportError` as `locate`, and if the storage is damaged.
    func read(_ tensor: TorchTensor, name: String) throws(ImportError) -> TensorContent {
        let layout = try locate(tensor, name: name)
        let key = tensor.storage.key
        if lastRead?.key != key {
            // Releases the old storage before the next one is read.
            lastRead = nil
            lastRead = (key, try container.readStorage(key))
        }
        guard let content = lastRead?.content else { throw ImportError(.unreadable, "\(path) cannot be read") }
        return TensorContent(layout, dtype: tensor.storage.dtype, in: content)
    }
}
