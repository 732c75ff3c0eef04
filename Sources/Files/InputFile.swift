// Reads weights, catalogues and checkpoints from files that others may change at any time. They are never mapped: if a
// mapped file is truncated, SIGBUS kills the process, and if it is overwritten, checked content changes. Content is
// copied into our own memory, and a file that has changed since it was opened is an error.

import Glibc

/// A regular file, open for reading as long as the object lives.
package final class InputFile: Sendable {
    /// The path as given, which error sentences name.
    package let path: String
    /// The size in bytes when the file was opened.
    package let byteCount: Int
    private let descriptor: Int32
    private let modificationSeconds: Int
    private let modificationNanoseconds: Int

    /// Opens a file.
    ///
    /// - Throws: `FileError.unreadable` if it cannot be opened or is no regular file.
    package init(path: String) throws(FileError) {
        self.path = path
        // O_NONBLOCK avoids waiting for the writer of a named pipe.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        var status = stat()
        let code = descriptor < 0 ? errno : fstat(descriptor, &status) == 0 ? 0 : errno
        byteCount = Int(status.st_size)
        modificationSeconds = status.st_mtim.tv_sec
        modificationNanoseconds = status.st_mtim.tv_nsec
        guard code == 0 else { throw FileError(.unreadable, "cannot open \(path): \(systemErrorText(code))") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(.unreadable, "\(path) is not a regular file")
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Reads a part of the file.
    ///
    /// - Parameter range: bytes from its start; within `byteCount`.
    /// - Throws: `FileError.unreadable` if it cannot be read or has changed since it was opened.
    package func read(_ range: Range<Int>) throws(FileError) -> OwnedBytes {
        let content = try OwnedBytes(count: range.count) { memory throws(FileError) in
            try read(range.lowerBound, into: memory)
        }
        guard let content else {
            throw FileError(.unreadable, "\(path): not enough memory for \(range.count) bytes of it")
        }
        return content
    }

    /// Reads as many bytes as `memory` has.
    ///
    /// - Parameter start: its offset from the file's start.
    /// - Throws: as `read(_:)`.
    package func read(_ start: Int, into memory: UnsafeMutableRawBufferPointer) throws(FileError) {
        var rest = memory
        while !rest.isEmpty {
            let position = start + (memory.count - rest.count)
            let count = pread(descriptor, rest.baseAddress, min(rest.count, 1 << 30), position)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError(.unreadable, "cannot read \(path): \(systemErrorText(errno))")
            }
            if count == 0 { throw becameShorter }
            rest = UnsafeMutableRawBufferPointer(rebasing: rest[count...])
        }
        try checkUnchanged()
    }

    /// Checks, by size and modification time, that the file has not changed since it was opened.
    package func checkUnchanged() throws(FileError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FileError(.unreadable, "cannot read \(path): \(systemErrorText(errno))")
        }
        guard Int(status.st_size) >= byteCount else { throw becameShorter }
        guard Int(status.st_size) == byteCount, status.st_mtim.tv_sec == modificationSeconds,
            status.st_mtim.tv_nsec == modificationNanoseconds
        else { throw FileError(.unreadable, "\(path) was changed while it was read") }
    }

    private var becameShorter: FileError { FileError(.unreadable, "\(path) became shorter while it was read") }

    /// The whole content of a file.
    ///
    /// - Parameter limit: the most bytes to accept.
    /// - Throws: `FileError.unreadable`; `.malformed` for a file of more bytes than `limit`.
    package static func contents(of path: String, atMost limit: Int = .max) throws(FileError) -> OwnedBytes {
        let file = try InputFile(path: path)
        guard file.byteCount <= limit else { throw FileError(.malformed, "\(path) is larger than \(limit) bytes") }
        return try file.read(0..<file.byteCount)
    }
}
