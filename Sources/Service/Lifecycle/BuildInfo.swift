// The name of this build.

internal import Foundation

/// Version and commit, as `genrec --version`, `/metrics` and the log's first line state them.
package enum BuildInfo {
    package static let version = "0.2.0"
    /// The commit, from the environment variable GENREC_COMMIT (`make run` sets it); a binary does not know it.
    package static let commit = ProcessInfo.processInfo.environment["GENREC_COMMIT"] ?? "unknown"
}
