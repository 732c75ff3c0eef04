// What this build calls itself.

internal import Foundation

/// Version and commit, as `genrec --version`, `/metrics` and the log's first line state them.
package enum BuildInfo {
    package static let version = "0.1.0"
    /// The commit, as whoever runs the binary states it in GENREC_COMMIT (`make run` does); a binary does not know it.
    package static let commit = ProcessInfo.processInfo.environment["GENREC_COMMIT"] ?? "unknown"
}
