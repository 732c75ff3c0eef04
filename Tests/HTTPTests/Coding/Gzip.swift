// gzip on a test's client side, by zlib with its own defaults.

import CZlib
import Testing

/// A gzip member with that content.
func gzip(_ content: [UInt8], level: Int32 = 9, strategy: Int32 = Z_DEFAULT_STRATEGY) -> [UInt8] {
    var stream = z_stream()
    let version = ZLIB_VERSION
    let size = Int32(MemoryLayout<z_stream>.size)
    deflateInit2_(&stream, level, Z_DEFLATED, MAX_WBITS + 16, 8, strategy, version, size)
    defer { deflateEnd(&stream) }
    var input = content
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(content.count))))
    input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            _ = deflate(&stream, Z_FINISH)
        }
    }
    return Array(output.prefix(Int(stream.total_out)))
}

/// The content that a client can decode from the bytes of a gzip stream received so far.
struct Gunzipped: Equatable {
    var text = ""
    /// The stream has ended with the right checksum, and nothing follows.
    var isComplete = false

    init(_ bytes: [UInt8]) {
        var stream = z_stream()
        inflateInit2_(&stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        defer { inflateEnd(&stream) }
        var input = bytes
        var output = [UInt8](repeating: 0, count: 1 << 20)
        let status = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                return inflate(&stream, Z_SYNC_FLUSH)
            }
        }
        text = String(decoding: output.prefix(Int(stream.total_out)), as: UTF8.self)
        isComplete = status == Z_STREAM_END && stream.avail_in == 0
    }
}
