// Where the demo bundle is: what the server starts with when it is told nothing.

internal import Foundation

/// The bundle in `Config/demo`.
package enum DemoBundle {
    /// The name that it is served under.
    package static let name = "demo"

    /// The interactions of the demo's users, in the bundle's folder: what its model was trained and is evaluated on.
    package static func interactionsPath() throws -> String { try locate() + "/interactions.tsv" }

    /// `Config/demo` under the working directory, or under a directory above the program's own: that finds it from a
    /// checkout wherever the command is started, and beside an installed binary (`bin/genrec` with `Config/demo`).
    package static func locate() throws -> String {
        let manager = FileManager.default
        var candidates = [URL(fileURLWithPath: manager.currentDirectoryPath)]
        if let program = try? manager.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            var directory = URL(fileURLWithPath: program).deletingLastPathComponent()
            while directory.path != "/" {
                candidates.append(directory)
                directory.deleteLastPathComponent()
            }
        }
        for candidate in candidates {
            let path = candidate.appendingPathComponent("Config/demo").path
            if manager.fileExists(atPath: path + "/config.json") { return path }
        }
        throw ServerError(description: "there is no demo bundle (Config/demo) here; name a bundle with --bundle")
    }
}
