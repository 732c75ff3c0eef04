// Private memory. File content is copied into it before it is examined, so that nothing else can change it.

import Glibc

/// Bytes that live as long as the object.
package final class OwnedBytes: @unchecked Sendable {
    // `@unchecked Sendable`: written only in `init`.

    /// From this size on, memory comes from the system and is returned to it immediately. The heap would keep parts of
    /// the memory that weights were read into, between packed weights: a fifth of a large model.
    private static let mappedByteCount = 1 << 20

    /// Aligned to 64 bytes. Valid while this object lives. It may be released after its last use, so code that does not
    /// store it must read through `withBytes`.
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

    /// Calls `body` with the bytes and keeps them alive until it returns.
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
