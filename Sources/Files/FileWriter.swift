// Writes one new file, and makes it durable before it is visible under its name: everything goes into a temporary file
// in the same folder, which is synchronised and renamed at the end. A device or pipe is written to directly, because
// replacing it by a file would leave the system without its /dev/null.

import Glibc

/// A file being written. If it is not committed, it leaves nothing behind.
package struct FileWriter: ~Copyable {
    private let path: String
    /// The names for the final rename; nil if the path is a device or pipe.
    private let renaming: (from: String, to: String)?
    private var descriptor: Int32
    private var buffer: [UInt8] = []

    package init(path: String) throws(FileError) {
        self.path = path
        var status = stat()
        let exists = stat(path, &status) == 0
        if exists, ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) {
            renaming = nil
            descriptor = open(path, O_WRONLY | O_CLOEXEC)
        } else {
            // Replaces a symbolic link's target, not the link.
            let target = exists ? Self.withoutLinks(path) : path
            let temporary = "\(target).partial-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
            renaming = (temporary, target)
            descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        }
        guard descriptor >= 0 else { throw failure("create") }
    }

    deinit {
        // Not committed.
        if descriptor >= 0 {
            close(descriptor)
            if let renaming { unlink(renaming.from) }
        }
    }

    private static func withoutLinks(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private func failure(_ call: String) -> FileError { FileError(cannot: call, path, errno) }

    /// Appends small pieces through a buffer.
    package mutating func append(_ bytes: some Collection<UInt8>) throws(FileError) {
        buffer.append(contentsOf: bytes)
        if buffer.count >= 1 << 20 { try flush() }
    }

    /// Appends a large piece without copying it.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        try flush()
        try writeAll(bytes)
    }

    private mutating func flush() throws(FileError) {
        var pending: [UInt8] = []
        swap(&pending, &buffer)
        try pending.withUnsafeBufferPointer { bytes throws(FileError) in
            try writeAll(UnsafeRawBufferPointer(bytes))
        }
        pending.removeAll(keepingCapacity: true)
        buffer = pending
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var rest = bytes
        while !rest.isEmpty {
            let written = write(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
            if written < 0 {
                if errno == EINTR { continue }
                throw failure("write")
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Makes the file durable and gives it its name, replacing any existing file.
    package consuming func commit() throws(FileError) {
        try flush()
        if let renaming {
            guard fsync(descriptor) == 0 else { throw failure("write") }
            guard rename(renaming.from, renaming.to) == 0 else { throw failure("create") }
            try synchronizeFolder(of: renaming.to)
        }
        close(descriptor)
        descriptor = -1
    }
}

/// Waits until the names in a file's folder are on the disk. Otherwise, after a power failure, a new or renamed file
/// may have its old name or none.
package func synchronizeFolder(of path: String) throws(FileError) {
    let end = path.lastIndex(of: "/")
    let folder = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    guard descriptor >= 0, fsync(descriptor) == 0 else { throw FileError(cannot: "write", folder, errno) }
}
