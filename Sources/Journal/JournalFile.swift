// The file that events are appended to. A write that fails is taken back, so that the file always ends with a whole record.

internal import Files
internal import Glibc

/// An open journal. It belongs to the holder of the lock that it is kept under.
package final class JournalFile {
    package let path: String
    private let descriptor: Int32
    /// Bytes of the file.
    package private(set) var byteCount: Int
    /// Whether bytes were written since the last `takeUnsynced`.
    private var isDirty = false

    /// Makes a new journal, or opens one at its end.
    ///
    /// - Parameters:
    ///   - magic: the bytes that it begins with.
    ///   - byteCount: bytes of an old one that are whole; what is behind them is cut off. Nil: a new one.
    /// - Throws: `JournalError` with what the system says.
    init(path: String, magic: [UInt8], byteCount: Int?) throws(JournalError) {
        let flags = byteCount == nil ? O_CREAT | O_EXCL : 0
        let descriptor = open(path, O_WRONLY | O_CLOEXEC | flags, 0o600)
        guard descriptor >= 0 else { throw Self.failure("open", path) }
        self.path = path
        self.descriptor = descriptor
        self.byteCount = byteCount ?? 0
        if byteCount == nil {
            try append(magic)
        } else if ftruncate(descriptor, off_t(self.byteCount)) != 0
            || lseek(descriptor, off_t(self.byteCount), SEEK_SET) < 0
        {
            throw Self.failure("cut", path)
        }
    }

    deinit { close(descriptor) }

    /// Appends bytes: all of them or, with an error, none.
    package func append(_ bytes: [UInt8]) throws(JournalError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(descriptor, buffer.baseAddress.map { $0 + written }, min(bytes.count - written, 1 << 30))
            }
            if count < 0 {
                if errno == EINTR { continue }
                let error = Self.failure("write", path)
                // Cutting needs no room. Where even that fails, replay cuts the torn record.
                _ = ftruncate(descriptor, off_t(byteCount))
                _ = lseek(descriptor, off_t(byteCount), SEEK_SET)
                throw error
            }
            written += count
        }
        byteCount += bytes.count
        isDirty = true
    }

    /// Waits until what was written is on the disk.
    package func sync() throws(JournalError) {
        isDirty = false
        guard fdatasync(descriptor) == 0 else { throw Self.failure("write", path) }
    }

    /// A descriptor of its own for whoever syncs without the writer lock, to be closed; nil if there is nothing to sync.
    package func takeUnsynced() -> Int32? {
        guard isDirty else { return nil }
        isDirty = false
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        return copy < 0 ? nil : copy
    }

    private static func failure(_ call: String, _ path: String) -> JournalError {
        let code = errno
        let isFull = code == ENOSPC || code == EDQUOT || code == EFBIG
        return JournalError(isFull ? .full : .unavailable, "cannot \(call) \(path): \(systemErrorText(code))")
    }
}
