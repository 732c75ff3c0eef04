// Reads certificates and keys from PEM text (RFC 7468) with OpenSSL.

import COpenSSL
import Glibc

/// One X.509 certificate.
final class Certificate {
    let x509: OpaquePointer

    /// Takes over the certificate.
    init(owning x509: OpaquePointer) { self.x509 = x509 }

    deinit { X509_free(x509) }

    /// The validity of the certificate in seconds since the epoch; nil for a time that cannot be read.
    var validity: (from: Int, to: Int)? {
        guard let from = Certificate.unixSeconds(X509_get0_notBefore(x509)),
            let to = Certificate.unixSeconds(X509_get0_notAfter(x509))
        else { return nil }
        return (from, to)
    }

    private static func unixSeconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int? {
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return timegm(&parts)
    }
}

/// A private key.
final class PrivateKey {
    let key: OpaquePointer

    /// Takes over the key.
    init(owning key: OpaquePointer) { self.key = key }

    deinit { EVP_PKEY_free(key) }
}

/// Reads PEM.
enum PEM {
    /// All certificates of the text, at least one. `subject` says in errors what the file is.
    static func certificates(_ text: [UInt8], of subject: TLSError.Subject) throws(TLSError) -> [Certificate] {
        var certificates: [Certificate] = []
        let failure = try read(text) { bio -> UInt in
            // Without a callback OpenSSL would ask for a passphrase on the terminal.
            while let x509 = PEM_read_bio_X509(bio, nil, { _, _, _, _ in -1 }, nil) {
                certificates.append(Certificate(owning: x509))
            }
            return ERR_peek_last_error()
        }
        // Any other error means that the text contains something other than certificates.
        guard isEndOfText(failure) else {
            throw TLSError(subject, "has an unreadable certificate after \(certificates.count) readable ones")
        }
        guard !certificates.isEmpty else { throw TLSError(subject, "has no certificate in PEM form") }
        return certificates
    }

    /// The first private key of the text.
    static func privateKey(_ text: [UInt8]) throws(TLSError) -> PrivateKey {
        var key: OpaquePointer?
        _ = try read(text) { bio -> UInt in
            key = PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil)
            return 0
        }
        guard let key else {
            throw TLSError(.key, "has no private key in PEM form that can be read without a passphrase")
        }
        return PrivateKey(owning: key)
    }

    /// Calls `body` with a BIO over the text and leaves no error in OpenSSL's queue.
    private static func read(_ text: [UInt8], _ body: (OpaquePointer) -> UInt) throws(TLSError) -> UInt {
        ERR_clear_error()
        defer { ERR_clear_error() }
        let result = text.withUnsafeBytes { bytes -> UInt? in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else { return nil }
            defer { BIO_free(bio) }
            return body(bio)
        }
        guard let result else { throw TLSError(.library, "has no memory") }
        return result
    }

    private static func isEndOfText(_ code: UInt) -> Bool {
        ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE
    }
}
