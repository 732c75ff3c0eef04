// The file to which records are appended. A failed write is undone, so that the file always ends with a complete
// record. If that is impossible, or a sync fails, the content is unknown: the file accepts nothing more, and a snapshot
// and another file must replace it (`JournalFolder.renew`).

internal import Files
internal import Glibc

/// An open journal. Only the holder of the writer lock may use it.
package final class JournalFile {
    package let path: String
    private let descriptor: Int32
    /// The size of the file in bytes.
    package private(set) var byteCount: Int
    /// Whether bytes were written since the last `takeUnsynced`.
    private var isDirty = false
    /// Why nothing more can be appended.
    package private(set) var failure: JournalError?

    /// Creates a journal, or opens one at its end.
    ///
    /// - Parameters:
    ///   - magic: the first bytes of a journal.
    ///   - byteCount: valid bytes of an existing journal, whose rest is cut off; nil: creates a new one.
    /// - Throws: `JournalError` with the system's message.
    init(path: String, magic: [UInt8], byteCount: Int?) throws(JournalError) {
        let flags = byteCount == nil ? O_CREAT | O_EXCL : 0
        let descriptor = open(path, O_WRONLY | O_CLOEXEC | flags, 0o600)
        guard descriptor >= 0 else { throw Self.failure("open", path) }
        self.path = path
        self.descriptor = descriptor
        self.byteCount = byteCount ?? 0
        if byteCount == nil {
            do throws(JournalError) {
                try append(magic)
                try synchronizeName()
            } catch {
                // So that the next attempt can create it again.
                unlink(path)
                throw error
            }
        } else if ftruncate(descriptor, off_t(self.byteCount)) != 0
            || lseek(descriptor, off_t(self.byteCount), SEEK_SET) < 0
        {
            throw Self.failure("cut", path)
        }
    }

    deinit { close(descriptor) }

    /// Appends bytes: all of them or, with an error, none.
    ///
    /// - Parameter syncs: whether to wait until they are on the disk.
    package func append(_ bytes: [UInt8], syncs: Bool = false) throws(JournalError) {
        if let failure { throw failure }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(descriptor, buffer.baseAddress.map { $0 + written }, min(bytes.count - written, 1 << 30))
            }
            if count < 0 {
                if errno == EINTR { continue }
                let error = Self.failure("write", path)
                takeBack(error)
                throw error
            }
            written += count
        }
        isDirty = true
        if syncs {
            do throws(JournalError) {
                try sync()
            } catch {
                // The caller gets an error, so the next start must not find the record.
                takeBack(error)
                throw error
            }
        }
        byteCount += bytes.count
    }

    private func synchronizeName() throws(JournalError) {
        do throws(FileError) {
            try synchronizeFolder(of: path)
        } catch {
            throw JournalError(error)
        }
    }

    /// Cuts off what a failed append wrote. This needs no disk space.
    private func takeBack(_ error: JournalError) {
        guard ftruncate(descriptor, off_t(byteCount)) == 0, lseek(descriptor, off_t(byteCount), SEEK_SET) >= 0 else {
            return fail(error)
        }
    }

    /// Why nothing more can be appended; nil if it can. Also detects that another program has cut, extended or removed
    /// the file, because the next start would then not find what is appended to it.
    package func check() -> JournalError? {
        if let failure { return failure }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_nlink == 0 || status.st_size != off_t(byteCount)
        {
            fail(JournalError(.unavailable, "\(path) was changed or removed by another program"))
        }
        return failure
    }

    /// Makes the file accept nothing more.
    func fail(_ error: JournalError) { failure = failure ?? error }

    /// Waits until all written bytes are on the disk.
    package func sync() throws(JournalError) {
        if let failure { throw failure }
        isDirty = false
        guard fdatasync(descriptor) == 0 else {
            // The system may have dropped any part of the data, and a second attempt would not report that.
            let error = Self.failure("write", path)
            fail(error)
            throw error
        }
    }

    /// Records the failure of a sync that ran without the writer lock.
    ///
    /// - Parameter code: its errno.
    package func syncFailed(_ code: Int32) -> JournalError {
        let error = Self.failure("write", path, code)
        fail(error)
        return error
    }

    /// A separate descriptor for syncing without the writer lock, which the caller must close; nil if there is nothing
    /// to sync.
    package func takeUnsynced() -> Int32? {
        guard isDirty, failure == nil else { return nil }
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return nil }
        isDirty = false
        return copy
    }

    private static func failure(_ call: String, _ path: String, _ code: Int32 = errno) -> JournalError {
        JournalError(isNoRoom(code) ? .full : .unavailable, "cannot \(call) \(path): \(systemErrorText(code))")
    }
}
