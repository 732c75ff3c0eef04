// The command's output streams: results go to standard output, everything else to standard error. Both are unbuffered,
// so that the ready line appears at once.

import Glibc

enum Console {
    /// Writes a result. If that fails, the command has failed: nobody may take half a result for a whole one.
    static func result(_ text: String) {
        guard let code = write(text, to: STDOUT_FILENO) else { return }
        note("genrec: cannot write to standard output: \(String(cString: strerror(code)))\n")
        exit(1)
    }

    /// Writes a result that the command does not depend on.
    static func announce(_ text: String) { _ = write(text, to: STDOUT_FILENO) }

    /// Writes anything but a result: progress, errors. If no one reads it, that cannot be reported.
    static func note(_ text: String) { _ = write(text, to: STDERR_FILENO) }

    /// - Returns: the error number of a failure; nil if all was written.
    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if written < 0 {
                    if errno == EINTR { continue }
                    return errno
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
            return nil
        }
    }
}
