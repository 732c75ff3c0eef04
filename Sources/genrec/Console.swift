// The command's two streams: results on standard output, everything else on standard error. Straight to the descriptors,
// because a line that says "ready" must not wait in a buffer.

import Glibc

enum Console {
    /// Writes a result.
    static func result(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes what is not a result: progress, complaints.
    static func note(_ text: String) { write(text, to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if written < 0 {
                    if errno == EINTR { continue }
                    // Nobody reads; there is nobody to tell either.
                    return
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
        }
    }
}
