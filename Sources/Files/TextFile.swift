// Text from outside: a file that may be compressed with gzip, may start with a byte-order mark, and should be UTF-8.

internal import CZlib

/// Reads text files.
package enum TextFile {
    /// The most bytes of a text after decompression: more than any data set has, but a limit for a malicious gzip file.
    private static let limit = 1 << 36

    /// The content of a file, decompressed if it is a gzip file, without a byte-order mark. Does not check that it is
    /// UTF-8.
    ///
    /// - Throws: `FileError.unreadable`; `.malformed` for damaged gzip data and for UTF-16.
    package static func contents(of path: String) throws(FileError) -> [UInt8] {
        var bytes = try whole(path)
        if bytes.starts(with: [0x1F, 0x8B]) { bytes = try gunzip(bytes, path) }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        guard !bytes.starts(with: [0xFF, 0xFE]), !bytes.starts(with: [0xFE, 0xFF]) else {
            throw FileError(.malformed, "\(path) is UTF-16, not UTF-8; convert it with iconv -f UTF-16 -t UTF-8")
        }
        return bytes
    }

    private static func whole(_ path: String) throws(FileError) -> [UInt8] {
        try InputFile.contents(of: path, atMost: limit).withBytes { Array($0) }
    }

    /// Decompresses the members of a gzip file (RFC 1952), one after another; zeros after the last are padding.
    private static func gunzip(_ compressed: [UInt8], _ path: String) throws(FileError) -> [UInt8] {
        var text: [UInt8] = []
        var consumed = 0
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while consumed < compressed.count {
            if compressed[consumed...].allSatisfy({ $0 == 0 }) { break }
            var stream = z_stream()
            guard inflateInit2_(&stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
            else { throw FileError(.unreadable, "\(path): there is not enough memory to decompress it") }
            defer { inflateEnd(&stream) }
            var status = Z_OK
            while status != Z_STREAM_END {
                guard consumed < compressed.count || stream.avail_out == 0 else {
                    throw FileError(.malformed, "\(path) ends inside its gzip data")
                }
                let offered = min(compressed.count - consumed, 1 << 30)
                var left = 0
                let count = compressed.withUnsafeBufferPointer { input in
                    chunk.withUnsafeMutableBufferPointer { output in
                        // zlib declares its input mutable and does not write to it.
                        stream.next_in = input.baseAddress.map { UnsafeMutablePointer(mutating: $0 + consumed) }
                        stream.avail_in = UInt32(offered)
                        stream.next_out = output.baseAddress
                        stream.avail_out = UInt32(output.count)
                        status = inflate(&stream, Z_NO_FLUSH)
                        left = Int(stream.avail_in)
                        return output.count - Int(stream.avail_out)
                    }
                }
                consumed += offered - left
                guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR && offered > left else {
                    let isShort = status == Z_BUF_ERROR
                    throw FileError(
                        .malformed,
                        isShort ? "\(path) ends inside its gzip data" : "\(path): the gzip data is damaged"
                    )
                }
                guard text.count + count <= limit else {
                    throw FileError(.malformed, "\(path) has more than \(limit) bytes when decompressed")
                }
                text.append(contentsOf: chunk[..<count])
            }
        }
        return text
    }

    // MARK: UTF-8

    /// The offset of the first byte that is not valid UTF-8; nil if there is none.
    package static func firstInvalidByte(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        var decoder = UTF8.ForwardParser()
        var rest = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.parseScalar(from: &rest) {
            case .valid(let scalar): offset += scalar.count
            case .emptyInput: return nil
            case .error: return offset
            }
        }
    }

    /// The error sentence for a byte that is not UTF-8.
    ///
    /// - Parameter offset: the byte's offset from the start of its line.
    package static func notUTF8(byte: UInt8, at offset: Int) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "byte \(offset) (0x\(digits)) is not UTF-8; if the file is in Windows-1252, convert it with "
            + "iconv -f WINDOWS-1252 -t UTF-8"
    }
}
