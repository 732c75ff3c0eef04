// Writes a bundle so that no half-written bundle is ever visible: into a temporary directory next to its place, which
// is renamed when all files are durable.

package import Catalogue
import Compute
package import Files
import Glibc
internal import JSON

/// Writes bundles.
package enum BundleWriter {
    /// Writes a bundle; on failure nothing is left behind.
    ///
    /// - Parameters:
    ///   - directory: the bundle's directory; absent or empty. Its parent exists.
    ///   - configuration: of the bundle; its specification lists the tensors that must follow.
    ///   - catalogue: of the bundle, for the same number of rows.
    ///   - weights: appends every tensor of the specification, in its order.
    /// - Throws: `FileError.unwritable`, also if something is at the output already; whatever `weights` throws.
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
        // The bundle is in place; making its name durable is all that is left.
        try synchronizeFolder(of: trimmed)
    }

    /// Refuses an output that is already there, before any work is done.
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

    /// Removes a temporary directory. It holds our files alone; what cannot be removed stays, for there is no better
    /// place to report it than the error that is on its way already.
    private static func remove(_ directory: String) {
        for name in [ModelBundle.FileName.configuration, ModelBundle.FileName.catalogue, ModelBundle.FileName.weights] {
            unlink("\(directory)/\(name)")
        }
        rmdir(directory)
    }
}
