// The location of the demo bundle, which the server serves by default.

package import Files
internal import Glibc

/// The bundle in `Config/demo`.
package enum DemoBundle {
    /// The name it is served under.
    package static let name = "demo"

    /// The demo users' interactions, in the bundle's folder: the data the model was trained and is evaluated on.
    ///
    /// - Throws: `FileError.unreadable` if there is no demo bundle.
    package static func interactionsPath() throws(FileError) -> String { try locate() + "/interactions.tsv" }

    /// Finds `Config/demo` under the working directory or under any parent of the program's directory: in a checkout
    /// from any working directory, and next to an installed binary (`bin/genrec` with `Config/demo`).
    ///
    /// - Throws: `FileError.unreadable` if there is none.
    package static func locate() throws(FileError) -> String {
        var candidates = ["."]
        if var directory = programPath() {
            while let slash = directory.lastIndex(of: "/") {
                directory = String(directory[..<slash])
                candidates.append(directory)
            }
        }
        for candidate in candidates {
            let path = candidate + "/Config/demo"
            if access(path + "/config.json", F_OK) == 0 { return path == "./Config/demo" ? "Config/demo" : path }
        }
        throw FileError(.unreadable, "there is no demo bundle (Config/demo) here; name a bundle with --bundle")
    }

    /// The path of the running program; nil where /proc is not mounted.
    private static func programPath() -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes {
            $0.baseAddress.map { readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), Int(PATH_MAX)) }
                ?? -1
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}
