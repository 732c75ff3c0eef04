// The version and commit of this build.

internal import CLinux
internal import Devices
internal import Foundation
internal import HTTP

/// Version and commit, as `genrec --version`, `/metrics` and the first log line state them.
package enum BuildInfo {
    package static let version = "0.2.0"

    /// The commit from which the binary was built (`make dist`), or else the environment variable GENREC_COMMIT (`make
    /// run` sets it).
    package static let commit: String = {
        let built = String(cString: CLinux_commit())
        guard built.isEmpty else { return built }
        return ProcessInfo.processInfo.environment["GENREC_COMMIT"] ?? "unknown"
    }()

    /// The output of `genrec --version`: version, commit, kernel level on this processor, and TLS library.
    package static var description: String {
        """
        genrec \(version) (commit \(commit))
        processor level \(ComputeSettings.processorLevel)
        \(TLSLibrary.version)
        """
    }
}
