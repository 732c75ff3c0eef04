// Memory of our own. What a file holds is copied into it before anything looks at it, because nobody else can change it.

/// Bytes that live as long as the object.
package final class OwnedBytes: @unchecked Sendable {
    // Sendable: written only in `init`.

    /// Aligned to 64 bytes. Valid while this object lives, which its last use may end: whoever does not store the object
    /// reads through `withBytes`.
    package let bytes: UnsafeRawBufferPointer

    /// - Parameters:
    ///   - count: in bytes.
    ///   - fill: writes all of them.
    package init<Failure: Error>(
        count: Int,
        _ fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 64)
        bytes = UnsafeRawBufferPointer(rebasing: memory[..<count])
        try fill(UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
    }

    /// Hands the bytes to `body` and keeps them until it returns.
    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withExtendedLifetime(self) { () throws(Failure) in try body(bytes) }
    }

    deinit { bytes.deallocate() }
}
