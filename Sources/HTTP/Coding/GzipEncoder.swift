// Deflates replies into gzip (RFC 1952): whole ones at once, streams piece by piece, each decodable as soon as it
// arrives.

import CZlib

/// The deflater of one reply. A class for zlib, which keeps a pointer to its state's address.
final class GzipEncoder {
    /// Memory level. zlib's default is 256 KiB, mostly for matches further back than replies repeat themselves;
    /// allocating and clearing it would cost more than deflating a short reply.
    enum Use {
        /// About 100 KiB, for a moment.
        case whole
        /// About 30 KiB, for as long as the stream lasts.
        case stream

        fileprivate var windowBits: Int32 { self == .whole ? 13 : 11 }
        fileprivate var memoryLevel: Int32 { self == .whole ? 7 : 5 }
    }

    private static let bufferBytes = 16_384

    private let stream: UnsafeMutablePointer<z_stream>

    /// nil if there is no memory for it.
    ///
    /// - Parameter level: zlib's, 1 (fast) to 9 (small).
    init?(level: Int, _ use: Use) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = deflateInit2_(
            stream,
            Int32(level),
            Z_DEFLATED,
            // 16 beyond the window bits: with the header and trailer of gzip.
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

    /// Appends the coded form of `content` to `output`, flushed, so that a receiver can read all of `content` from it.
    func encode(_ content: [UInt8], into output: inout [UInt8]) {
        content.withUnsafeBufferPointer { run($0, flush: Z_SYNC_FLUSH, into: &output) }
    }

    /// Appends the coded form of the last content and the end of the gzip stream to `output`.
    func finish(_ content: [UInt8] = [], into output: inout [UInt8]) {
        content.withUnsafeBufferPointer { run($0, flush: Z_FINISH, into: &output) }
    }

    private func run(_ content: UnsafeBufferPointer<UInt8>, flush: Int32, into output: inout [UInt8]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: GzipEncoder.bufferBytes) { target in
            // Content in one array is below 4 GiB: the limits of replies see to that (`HTTPLimits.validate`).
            stream.pointee.next_in = UnsafeMutablePointer(mutating: content.baseAddress)
            stream.pointee.avail_in = UInt32(content.count)
            repeat {
                stream.pointee.next_out = target.baseAddress
                stream.pointee.avail_out = UInt32(target.count)
                // Fails only on a state that was never made or has been finished, and without progress, which a second
                // flush is and which means that everything is out (zlib.h, deflate).
                _ = deflate(stream, flush)
                output.append(contentsOf: target[..<(target.count - Int(stream.pointee.avail_out))])
            } while stream.pointee.avail_out == 0
        }
    }
}
