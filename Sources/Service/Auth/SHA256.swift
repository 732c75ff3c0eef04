// SHA-256 by OpenSSL, and comparing digests in constant time.

internal import COpenSSL

/// The SHA-256 of some bytes.
struct SHA256Digest: Sendable {
    static let byteCount = 32

    /// Always `byteCount` of them.
    let bytes: [UInt8]

    /// nil if OpenSSL fails, which it does only for want of memory or of the algorithm.
    init?(of message: some Sequence<UInt8>) {
        let message = Array(message)
        var digest = [UInt8](repeating: 0, count: Self.byteCount)
        var length: UInt32 = 0
        guard EVP_Digest(message, message.count, &digest, &length, EVP_sha256(), nil) == 1, length == Self.byteCount
        else { return nil }
        bytes = digest
    }

    /// Reads 64 hexadecimal digits of either case; nil for anything else.
    init?(hexadecimal text: some StringProtocol) {
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

    /// Takes the same time whether and wherever they differ.
    func isEqual(to other: SHA256Digest) -> Bool { CRYPTO_memcmp(bytes, other.bytes, Self.byteCount) == 0 }
}

extension UInt8 {
    /// The value of a hexadecimal digit; nil for any other byte.
    var hexadecimalDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
