// Compresses replies with gzip (RFC 1952): whole replies at once, streams piece by piece, so that the client can decode
// each piece as it arrives.

import CZlib

/// The deflater of one reply. A class for zlib, which keeps a pointer to its state's address.
final class GzipEncoder {
    /// How much memory zlib uses. Its default is 256 KiB, mostly to find matches further back than replies repeat
    /// themselves; allocating and clearing that costs more than deflating a short reply.
    enum Use {
        /// About 100 KiB, freed at once.
        case whole
        /// About 30 KiB, for as long as the stream lasts.
        case stream

        fileprivate var windowBits: Int32 { self == .whole ? 13 : 11 }
        fileprivate var memoryLevel: Int32 { self == .whole ? 7 : 5 }
    }

    private static let bufferBytes = 16_384

    private let stream: UnsafeMutablePointer<z_stream>

    /// nil if zlib cannot allocate its state.
    ///
    /// - Parameter level: zlib's, from 1 (fast) to 9 (small).
    init?(level: Int, _ use: Use) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = deflateInit2_(
            stream,
            Int32(level),
            Z_DEFLATED,
            // Adding 16 to the window bits writes gzip's header and trailer.
            use.windowBits + 16,
            use.memoryLevel,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size)
        )
        guard status == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Appends the coded form of `content` to `output` and flushes, so that a receiver can decode all of `content`.
    func encode(_ content: [UInt8], into output: inout [UInt8]) {
        content.withUnsafeBufferPointer { run($0, flush: Z_SYNC_FLUSH, into: &output) }
    }

    /// Appends the coded form of the last content and the end of the gzip stream to `output`.
    func finish(_ content: [UInt8] = [], into output: inout [UInt8]) {
        content.withUnsafeBufferPointer { run($0, flush: Z_FINISH, into: &output) }
    }

    private func run(_ content: UnsafeBufferPointer<UInt8>, flush: Int32, into output: inout [UInt8]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: GzipEncoder.bufferBytes) { target in
            // Content in one array is below 4 GiB because of the limits on replies (`HTTPLimits.validate`).
            stream.pointee.next_in = UnsafeMutablePointer(mutating: content.baseAddress)
            stream.pointee.avail_in = UInt32(content.count)
            repeat {
                stream.pointee.next_out = target.baseAddress
                stream.pointee.avail_out = UInt32(target.count)
                // deflate fails only on an uninitialised or finished state, or if no progress is possible. The latter
                // happens on a second flush and means that all output has been written (zlib.h, deflate).
                _ = deflate(stream, flush)
                output.append(contentsOf: target[..<(target.count - Int(stream.pointee.avail_out))])
            } while stream.pointee.avail_out == 0
        }
    }
}
