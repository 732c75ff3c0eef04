// Inflates zip entries with zlib.

import CZlib
internal import Files

/// The content of a raw deflate stream; nil without memory, if the stream does not end at its last byte, or if it does
/// not inflate to exactly `size` bytes.
///
/// - Parameter size: as the archive states it; the caller has bounded it by the length of the stream.
func inflated(_ stream: UnsafeRawBufferPointer, size: Int) -> OwnedBytes? {
    var isWhole = false
    let content = OwnedBytes(count: size) { memory in isWhole = inflate(stream, into: memory) }
    return isWhole ? content : nil
}

private func inflate(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
    var stream = z_stream()
    // Negative: raw deflate, without zlib's own header and checksum.
    guard inflateInit2_(&stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        return false
    }
    defer { inflateEnd(&stream) }
    // zlib counts in 32 bits, so input and output pass through it in pieces.
    let pieceLimit = 1 << 30
    var unread = input
    var unwritten = output
    // Room for one byte too many, to detect an overrun.
    var overrun: UInt8 = 0
    return withUnsafeMutableBytes(of: &overrun) { overrunBytes in
        while true {
            let inputPiece = min(unread.count, pieceLimit)
            let target = unwritten.isEmpty ? overrunBytes : unwritten
            let outputPiece = min(target.count, pieceLimit)
            stream.next_in = UnsafeMutablePointer(
                mutating: unread.baseAddress?.assumingMemoryBound(to: UInt8.self)
            )
            stream.avail_in = UInt32(inputPiece)
            stream.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.avail_out = UInt32(outputPiece)
            let status = CZlib.inflate(&stream, Z_NO_FLUSH)
            let consumed = inputPiece - Int(stream.avail_in)
            let produced = outputPiece - Int(stream.avail_out)
            if unwritten.isEmpty, produced > 0 { return false }
            unread = UnsafeRawBufferPointer(rebasing: unread[consumed...])
            unwritten = UnsafeMutableRawBufferPointer(rebasing: unwritten[produced...])
            if status == Z_STREAM_END { return unread.isEmpty && unwritten.isEmpty }
            // No progress means that the stream is damaged or truncated.
            guard status == Z_OK, consumed > 0 || produced > 0 else { return false }
        }
    }
}

/// CRC-32 as zip uses it.
func crc32(of bytes: UnsafeRawBufferPointer) -> UInt32 {
    UInt32(truncatingIfNeeded: crc32_z(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count))
}
