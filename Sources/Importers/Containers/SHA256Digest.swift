// SHA-256 of a source file, by OpenSSL: what a bundle's provenance names.

import COpenSSL

/// SHA-256 as 64 lower-case hexadecimal digits; nil if OpenSSL fails.
func sha256(of bytes: UnsafeRawBufferPointer) -> String? {
    guard let context = EVP_MD_CTX_new() else { return nil }
    defer { EVP_MD_CTX_free(context) }
    var digest = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 0
    guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1,
        EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1,
        EVP_DigestFinal_ex(context, &digest, &length) == 1, length == 32
    else { return nil }
    let digits: StaticString = "0123456789abcdef"
    var text = ""
    for byte in digest {
        text.unicodeScalars.append(Unicode.Scalar(digits.utf8Start[Int(byte >> 4)]))
        text.unicodeScalars.append(Unicode.Scalar(digits.utf8Start[Int(byte & 15)]))
    }
    return text
}
