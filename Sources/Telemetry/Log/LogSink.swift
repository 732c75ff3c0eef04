// Where finished log lines go: one file descriptor, one write per line.

import Glibc
import Synchronization

/// A file descriptor that takes whole lines.
package final class LogSink: Sendable {
    /// The process's standard error, unbuffered, so that a crash loses nothing.
    package static let standardError = LogSink(descriptor: STDERR_FILENO)

    private let descriptor: Mutex<Int32>

    /// A sink over a descriptor that somebody else owns and keeps open.
    package init(descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
    }

    /// Writes one line in one write(2). The lock keeps lines of this process apart when a pipe takes a long line in
    /// parts. A line that cannot be written is given up: there is no other place to report it.
    func write(_ line: [UInt8]) {
        descriptor.withLock { descriptor in
            line.withUnsafeBytes { bytes in
                var rest = bytes[...]
                while !rest.isEmpty {
                    let written = Glibc.write(
                        descriptor,
                        UnsafeRawBufferPointer(rebasing: rest).baseAddress,
                        rest.count
                    )
                    if written < 0, errno == EINTR { continue }
                    guard written > 0 else { return }
                    rest = rest.dropFirst(written)
                }
            }
        }
    }
}
