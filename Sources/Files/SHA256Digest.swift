// SHA-256 with OpenSSL, for a bundle's provenance and for key files.

internal import COpenSSL

/// The SHA-256 of some bytes.
package struct SHA256Digest: Sendable {
    package static let byteCount = 32

    /// Always `byteCount` bytes.
    package let bytes: [UInt8]

    /// nil if OpenSSL fails, which happens only if it lacks memory or the algorithm.
    package init?(of message: UnsafeRawBufferPointer) {
        var digest = [UInt8](repeating: 0, count: Self.byteCount)
        var length: UInt32 = 0
        guard EVP_Digest(message.baseAddress, message.count, &digest, &length, EVP_sha256(), nil) == 1,
            length == Self.byteCount
        else { return nil }
        bytes = digest
    }

    /// The SHA-256 of a file's content, read piece by piece.
    ///
    /// - Throws: `FileError.unreadable`, also if OpenSSL fails.
    package init(of file: InputFile) throws(FileError) {
        let failure = FileError(.unreadable, "\(file.path): OpenSSL cannot compute its SHA-256")
        guard let context = EVP_MD_CTX_new() else { throw failure }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else { throw failure }
        for start in stride(from: 0, to: file.byteCount, by: 1 << 18) {
            let piece = try file.read(start..<min(start + 1 << 18, file.byteCount))
            guard piece.withBytes({ EVP_DigestUpdate(context, $0.baseAddress, $0.count) }) == 1 else { throw failure }
        }
        var digest = [UInt8](repeating: 0, count: Self.byteCount)
        var length: UInt32 = 0
        guard EVP_DigestFinal_ex(context, &digest, &length) == 1, length == Self.byteCount else { throw failure }
        bytes = digest
    }

    /// The SHA-256 of some bytes; nil if OpenSSL fails.
    package init?(of message: some Sequence<UInt8>) {
        // The bytes are valid only within the closure, so the digest is computed there.
        guard let digest = Array(message).withUnsafeBytes({ SHA256Digest(of: $0) }) else { return nil }
        self = digest
    }

    /// Reads 64 hexadecimal digits of either case; nil for anything else.
    package init?(hexadecimal text: some StringProtocol) {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in text.utf8 {
            guard let value = digit.hexadecimalDigit else { return nil }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        guard high == nil, bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// 64 lower-case hexadecimal digits.
    package var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    /// Compares in constant time.
    package func isEqual(to other: SHA256Digest) -> Bool { CRYPTO_memcmp(bytes, other.bytes, Self.byteCount) == 0 }
}

extension UInt8 {
    /// The value of a hexadecimal digit; nil for any other byte.
    package var hexadecimalDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
