// A file mapped read-only into memory: how weights, catalogues and checkpoints are read. Mapping instead of reading
// lets a bundle of many gigabytes be served without a second copy.
//
// A file that is cut short while it is mapped makes the kernel send SIGBUS on the next access to a page that is gone.
// That cannot be checked for; it is ruled out by contract: a bundle never changes once written (`BundleWriter` makes a
// new directory and renames it into place), and deleting or renaming a mapped file is harmless. A checkpoint is mapped by
// a command and not by the server: whoever imports one that is still being written loses that command.

import Glibc

/// A regular file, mapped for as long as the object lives.
package final class MappedFile: @unchecked Sendable {
    // Sendable: the mapping is read-only and private, set once in `init` and unmapped in `deinit`.

    /// The path as it was given; what error sentences name.
    package let path: String
    /// The file's bytes; page-aligned, or empty. Valid while this object lives, which its last use may end: whoever does
    /// not store the object reads through `withBytes`.
    package let bytes: UnsafeRawBufferPointer

    /// Maps a file.
    ///
    /// - Throws: `FileError.unreadable` if it cannot be opened, is no regular file, or cannot be mapped.
    package init(path: String) throws(FileError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw FileError(.unreadable, "cannot open \(path): \(systemErrorText(errno))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FileError(.unreadable, "cannot examine \(path): \(systemErrorText(errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(.unreadable, "\(path) is not a regular file")
        }
        let size = Int(status.st_size)
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address, address != MAP_FAILED else {
            throw FileError(.unreadable, "cannot map \(path): \(systemErrorText(errno))")
        }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    /// Hands the bytes to `body` and keeps the mapping until it returns.
    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withExtendedLifetime(self) { () throws(Failure) in try body(bytes) }
    }

    /// Lets go of the memory that what was read lies in; what is read again comes from the system's file cache. After the file
    /// has been read from end to end and little of it is needed any more.
    package func releaseMemory() {
        guard let address = bytes.baseAddress else { return }
        // It fails for addresses that are not mapped, and then nothing has been lost.
        _ = madvise(UnsafeMutableRawPointer(mutating: address), bytes.count, MADV_DONTNEED)
    }

    deinit {
        if let address = bytes.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
        }
    }
}
