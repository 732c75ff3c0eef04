// Writes a bundle atomically: into a temporary directory next to the destination, which is renamed once every file is
// durable.

package import Catalogue
import Compute
package import Files
import Glibc
internal import JSON

/// Writes bundles.
package enum BundleWriter {
    /// Writes a bundle; leaves nothing behind on failure.
    ///
    /// - Parameters:
    ///   - directory: the bundle's directory; absent or empty. Its parent exists.
    ///   - configuration: its specification lists the tensors that `weights` must append.
    ///   - catalogue: has as many rows as the configuration.
    ///   - weights: appends every tensor of the specification, in order.
    /// - Throws: `FileError.unwritable`, also if the output already exists; whatever `weights` throws.
    package static func write(
        directory: String,
        configuration: BundleConfiguration,
        catalogue: Catalogue,
        weights: (inout SafetensorsWriter) throws -> Void
    ) throws {
        try checkOutput(directory)
        var trimmed = directory
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        let temporary = "\(trimmed).partial-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        guard mkdir(temporary, 0o755) == 0 else { throw failure(directory) }
        do {
            var file = try FileWriter(path: "\(temporary)/\(ModelBundle.FileName.configuration)")
            try file.append(configuration.json.prettyPrinted.utf8)
            try file.commit()
            try catalogue.write(path: "\(temporary)/\(ModelBundle.FileName.catalogue)")
            var writer = try SafetensorsWriter(
                path: "\(temporary)/\(ModelBundle.FileName.weights)",
                tensors: configuration.architecture.configuration.tensorSpecifications,
                dtype: configuration.dtype
            )
            try weights(&writer)
            try writer.finish()
            guard rename(temporary, trimmed) == 0 else { throw failure(directory) }
        } catch {
            remove(temporary)
            throw error
        }
        // The bundle is in place; only its name still has to be made durable.
        try synchronizeFolder(of: trimmed)
    }

    /// Refuses an output that already exists, before any work is done.
    package static func checkOutput(_ directory: String) throws(FileError) {
        var status = stat()
        guard lstat(directory, &status) == 0 else {
            if errno == ENOENT { return }
            throw failure(directory)
        }
        guard let stream = opendir(directory) else {
            throw failure(directory)
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name == "." || name == ".." else {
                throw FileError(
                    .unwritable,
                    "\(directory) is not empty; a bundle is never changed, so a new one needs a new directory"
                )
            }
        }
    }

    private static func failure(_ directory: String) -> FileError { FileError(cannot: "create", directory, errno) }

    /// Removes a temporary directory, which holds only our files. A file that cannot be removed stays: the caller is
    /// already throwing the error that matters.
    private static func remove(_ directory: String) {
        for name in [ModelBundle.FileName.configuration, ModelBundle.FileName.catalogue, ModelBundle.FileName.weights] {
            unlink("\(directory)/\(name)")
        }
        rmdir(directory)
    }
}
