// SHA-256 of a source file, by OpenSSL: what a bundle's provenance names.

import COpenSSL
internal import Files
import Models

/// SHA-256 of a file as 64 lower-case hexadecimal digits.
///
/// - Throws: `ImportError.unreadable` if the file cannot be read, or OpenSSL fails.
func sha256(of file: InputFile) throws(ImportError) -> String {
    let digest = try sha256 { context throws(ImportError) in
        var position = 0
        while position < file.byteCount {
            let piece = try file.piece(position..<min(position + 1 << 20, file.byteCount))
            guard piece.withBytes({ EVP_DigestUpdate(context, $0.baseAddress, $0.count) }) == 1 else { return false }
            position += piece.bytes.count
        }
        return true
    }
    guard let digest else { throw ImportError(.unreadable, "\(file.path): OpenSSL cannot take its SHA-256") }
    return digest
}

/// SHA-256 of bytes, likewise; nil if OpenSSL fails.
func sha256(of bytes: UnsafeRawBufferPointer) -> String? {
    sha256 { context in EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 }
}

/// - Parameter update: gives the context all bytes; false if OpenSSL fails.
private func sha256<Failure: Error>(
    _ update: (OpaquePointer) throws(Failure) -> Bool
) throws(Failure) -> String? {
    guard let context = EVP_MD_CTX_new() else { return nil }
    defer { EVP_MD_CTX_free(context) }
    var digest = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 0
    guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, try update(context),
        EVP_DigestFinal_ex(context, &digest, &length) == 1, length == 32
    else { return nil }
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
