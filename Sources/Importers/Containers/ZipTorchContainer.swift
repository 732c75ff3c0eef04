// PyTorch's checkpoint container since version 1.6: a zip archive with the object in `<name>/data.pkl` and the storages
// in `<name>/data/<key>`.

internal import Files
internal import JSON
import Models

/// A checkpoint in a zip archive.
struct ZipTorchContainer: TorchContainer {
    let graph: PickleGraph
    private let archive: ZipArchive
    private let prefix: String

    /// - Throws: `ImportError`, also for archives of an unsupported kind.
    init(_ file: InputFile) throws(ImportError) {
        let path = file.path
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
            guard order.withBytes({ $0.elementsEqual("little".utf8) }) else {
                throw ImportError(.unsupported, "\(path) is not little-endian")
            }
        }
        guard pickle.size <= PickleReader.Limit.byteCount else {
            throw ImportError(
                .unsupported,
                "\(path): \(pickle.name) has \(pickle.size) bytes, too many for a checkpoint"
            )
        }
        graph = try archive.read(pickle).withBytes { bytes throws(ImportError) in
            try PickleReader.read(bytes, source: "\(path): \(pickle.name)")
        }
    }

    private func entry(_ key: String) -> ZipArchive.Entry? { archive[prefix + "data/" + key] }

    func byteCount(ofStorage key: String) -> Int? { entry(key)?.size }

    func readStorage(_ key: String) throws(ImportError) -> OwnedBytes {
        guard let entry = entry(key) else { throw ImportError(.malformed, "there is no storage \(quoted(key))") }
        return try archive.read(entry)
    }
}
