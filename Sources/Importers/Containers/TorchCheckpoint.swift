// PyTorch's checkpoint container since version 1.6: a zip archive with `<name>/data.pkl`, which says what there is, and
// `<name>/data/<key>`, the storages. Opening one reads the pickle; a storage is read when a tensor in it is asked for.

internal import Compute
internal import Files
internal import JSON
import Models

/// A checkpoint written by `torch.save`.
final class TorchCheckpoint {
    let path: String
    let graph: PickleGraph
    private let archive: ZipArchive
    private let prefix: String

    /// - Throws: `ImportError`; also for what is a checkpoint, but of a kind that is not read.
    init(_ file: MappedFile) throws(ImportError) {
        path = file.path
        if let kind = Self.foreignKind(of: file.bytes) {
            throw ImportError(.unsupported, "\(path) is \(kind), not a checkpoint in PyTorch's zip format")
        }
        archive = try ZipArchive(file)
        let pickles = archive.entries.filter { entry in
            entry.name.hasSuffix("/data.pkl") && entry.name.split(separator: "/").count == 2
        }
        guard pickles.count == 1, let pickle = pickles.first else {
            throw ImportError(
                .unsupported,
                "\(path) is a zip archive with \(pickles.count) entries like \"name/data.pkl\", not a PyTorch checkpoint"
            )
        }
        prefix = String(pickle.name.dropLast("data.pkl".count))
        if archive[prefix + "constants.pkl"] != nil {
            throw ImportError(.unsupported, "\(path) is a TorchScript archive, not a checkpoint of tensors")
        }
        if let entry = archive[prefix + "byteorder"] {
            let order = try archive.read(entry)
            guard withExtendedLifetime(order, { order.bytes.elementsEqual("little".utf8) }) else {
                throw ImportError(.unsupported, "\(path) was written in another byte order than little-endian")
            }
        }
        guard pickle.size <= PickleReader.Limit.byteCount else {
            throw ImportError(
                .unsupported,
                "\(path): \(pickle.name) has \(pickle.size) bytes, too many for a checkpoint"
            )
        }
        let content = try archive.read(pickle)
        graph = try withExtendedLifetime(content) { () throws(ImportError) in
            try PickleReader.read(content.bytes, source: "\(file.path): \(pickle.name)")
        }
    }

    /// What a file that is no zip archive is, if it is something that people mistake for a checkpoint.
    private static func foreignKind(of bytes: UnsafeRawBufferPointer) -> String? {
        // A pickle of this number starts the container of PyTorch before 1.6.
        let legacy: [UInt8] = [0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
        if bytes.first == 0x80, bytes.dropFirst(2).starts(with: legacy) {
            return "in the container of PyTorch before 1.6 (save it anew with a later version)"
        }
        if bytes.dropFirst(257).starts(with: "ustar".utf8) { return "a tar archive" }
        if bytes.first == 0x80 { return "a bare pickle" }
        if bytes.dropFirst(8).first == UInt8(ascii: "{") { return "perhaps a safetensors file" }
        return nil
    }

    /// A tensor's storage in the archive and its place there, checked without reading an element.
    ///
    /// - Parameter name: what errors call it.
    /// - Throws: `ImportError` if its storage is missing or of another size, or the tensor goes beyond it.
    @discardableResult
    func locate(
        _ tensor: TorchTensor,
        name: String
    ) throws(ImportError) -> (entry: ZipArchive.Entry, layout: StridedLayout) {
        func fault(_ reason: String) -> ImportError {
            ImportError(.malformed, "\(path): tensor \(quoted(name)) \(reason)")
        }
        let storage = tensor.storage
        guard let entry = archive[prefix + "data/" + storage.key] else {
            throw fault("lies in the storage \(quoted(storage.key)), which the archive does not have")
        }
        let (byteCount, overflow) = storage.count.multipliedReportingOverflow(by: storage.dtype.byteCount)
        guard !overflow, byteCount == entry.size else {
            throw fault(
                "lies in a storage of \(storage.count) \(storage.dtype.rawValue), whose entry has \(entry.size) bytes"
            )
        }
        guard let layout = StridedLayout(tensor) else {
            throw fault(
                "of shape \(shapeDescription(tensor.shape)) goes beyond its storage of \(storage.count) elements"
            )
        }
        return (entry, layout)
    }

    /// The content of a tensor: contiguous, row-major, in the type that it was saved in.
    ///
    /// - Parameter name: what errors call it.
    /// - Throws: `ImportError` as `locate`, and if the storage is damaged.
    func read(_ tensor: TorchTensor, name: String) throws(ImportError) -> TensorContent {
        let (entry, layout) = try locate(tensor, name: name)
        return TensorContent(layout, dtype: tensor.storage.dtype, in: try archive.read(entry))
    }
}
