// gzip files for tests, by zlib.

internal import CZlib

/// zlib failed to compress.
package struct GzipFailure: Error {}

/// One gzip member with these bytes.
package func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
    var stream = z_stream()
    guard
        deflateInit2_(
            &stream,
            6,
            Z_DEFLATED,
            MAX_WBITS + 16,
            8,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size)
        ) == Z_OK
    else { throw GzipFailure() }
    defer { deflateEnd(&stream) }
    var compressed = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))))
    let status = bytes.withUnsafeBufferPointer { input in
        compressed.withUnsafeMutableBufferPointer { output in
            // zlib declares its input mutable and does not write to it.
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            return deflate(&stream, Z_FINISH)
        }
    }
    guard status == Z_STREAM_END else { throw GzipFailure() }
    return Array(compressed[..<(compressed.count - Int(stream.avail_out))])
}
