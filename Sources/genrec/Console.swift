// The command's output streams: results go to standard output, everything else to standard error. Both are unbuffered,
// so that the ready line appears at once.

import Glibc

enum Console {
    /// Writes a result.
    static func result(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes anything but a result: progress, errors.
    static func note(_ text: String) { write(text, to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if written < 0 {
                    if errno == EINTR { continue }
                    // Nobody reads the stream, so the error cannot be reported either.
                    return
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
        }
    }
}
