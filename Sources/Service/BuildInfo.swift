// What this build calls itself.

/// Version and commit, as `genrec --version`, `/metrics` and the log's first line state them.
package enum BuildInfo {
    package static let version = "0.1.0"
    /// The commit, where whoever packages the binary has written it into the environment; a build from a work tree
    /// does not know.
    package static let commit = "unknown"
}
