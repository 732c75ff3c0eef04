// Memory of our own. The content of a file is copied into it before anything looks at it, because nobody else can change
// it.

import Glibc

/// Bytes that live as long as the object.
package final class OwnedBytes: @unchecked Sendable {
    // Sendable: written only in `init`.

    /// From this size on, memory is the system's and goes back to it at once. The heap would keep some of what weights were
    /// read into between what they were packed into: a fifth of a large model.
    private static let mappedByteCount = 1 << 20

    /// Aligned to 64 bytes. Valid while this object lives, which its last use may end: whoever does not store the object
    /// reads through `withBytes`.
    package let bytes: UnsafeRawBufferPointer

    /// - Parameters:
    ///   - count: in bytes.
    ///   - fill: writes all of them.
    /// - Returns: nil if there is not enough memory.
    package init?<Failure: Error>(
        count: Int,
        _ fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        if count >= Self.mappedByteCount {
            let address = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            guard let address, address != MAP_FAILED else { return nil }
            bytes = UnsafeRawBufferPointer(start: address, count: count)
        } else {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 64)
            bytes = UnsafeRawBufferPointer(rebasing: memory[..<count])
        }
        try fill(UnsafeMutableRawBufferPointer(mutating: bytes))
    }

    /// Hands the bytes to `body` and keeps them until it returns.
    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withExtendedLifetime(self) { () throws(Failure) in try body(bytes) }
    }

    deinit {
        if bytes.count >= Self.mappedByteCount {
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        } else {
            bytes.deallocate()
        }
    }
}
