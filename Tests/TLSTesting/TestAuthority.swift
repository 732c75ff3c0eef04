// Certificates for tests, made by libcrypto in the test process: no tools, no files that expire.

internal import COpenSSL
internal import Glibc

/// A failure of OpenSSL.
package struct TLSTestFailure: Error, CustomStringConvertible {
    package let description: String
    /// The reason code of OpenSSL's first error; 0 if there is none.
    package var reason: Int32 = 0

    /// Takes OpenSSL's first error out of its queue.
    static func latest(_ what: String) -> TLSTestFailure {
        let code = ERR_peek_error()
        ERR_clear_error()
        let text = ERR_reason_error_string(code).map { String(cString: $0) } ?? "no reason"
        return TLSTestFailure(description: "\(what): \(text)", reason: code == 0 ? 0 : ERR_GET_REASON(code))
    }
}

/// A certificate with its key, both as PEM.
package struct TestIdentity: Sendable {
    package var certificate: [UInt8]
    package var key: [UInt8]
}

/// The purpose of a certificate.
package enum TestPurpose: String, Sendable {
    case server = "serverAuth"
    case client = "clientAuth"
}

/// The kind of a key.
package enum TestKey: Sendable {
    /// ECDSA on P-256.
    case p256
    case rsa(bits: Int32)
}

/// A test's certificate authority.
package final class TestAuthority {
    private static let day = 86_400

    /// The authority's certificate as PEM.
    package let certificate: [UInt8]
    private let key: OpaquePointer
    private let x509: OpaquePointer

    /// A self-signed authority.
    package init(_ name: String = "genrec test authority") throws {
        let key = try Self.makeKey(.p256)
        let x509 = try Self.makeCertificate(
            named: name,
            key: key,
            extensions: [(NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "critical,keyCertSign")],
            from: -Self.day,
            to: 30 * Self.day,
            issuer: nil
        )
        (self.key, self.x509) = (key, x509)
        certificate = Self.pem { PEM_write_bio_X509($0, x509) }
    }

    deinit {
        X509_free(x509)
        EVP_PKEY_free(key)
    }

    /// A certificate for localhost and 127.0.0.1, valid from `from` to `to` seconds from now. `passphrase` encrypts the
    /// key.
    package func issue(
        _ name: String = "localhost",
        for purpose: TestPurpose = .server,
        key kind: TestKey = .p256,
        from: Int = -86_400,
        to: Int = 7 * 86_400,
        passphrase: String? = nil
    ) throws -> TestIdentity {
        let key = try Self.makeKey(kind)
        defer { EVP_PKEY_free(key) }
        let leaf = try Self.makeCertificate(
            named: name,
            key: key,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"), (NID_ext_key_usage, purpose.rawValue),
                (NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"),
            ],
            from: from,
            to: to,
            issuer: (x509, self.key)
        )
        defer { X509_free(leaf) }
        let keyText = Self.pem { bio in
            let phrase = Array((passphrase ?? "").utf8)
            let cipher = passphrase == nil ? nil : EVP_aes_128_cbc()
            return PEM_write_bio_PrivateKey(bio, key, cipher, phrase, Int32(phrase.count), nil, nil)
        }
        return TestIdentity(certificate: Self.pem { PEM_write_bio_X509($0, leaf) }, key: keyText)
    }

    private static func makeKey(_ kind: TestKey) throws -> OpaquePointer {
        let type = if case .p256 = kind { EVP_PKEY_EC } else { EVP_PKEY_RSA }
        let context = EVP_PKEY_CTX_new_id(type, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var isReady = EVP_PKEY_keygen_init(context) == 1
        switch kind {
        case .p256:
            isReady = isReady && EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1
        case .rsa(let bits):
            isReady = isReady && EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1
        }
        var key: OpaquePointer?
        guard isReady, EVP_PKEY_keygen(context, &key) == 1, let key else { throw TLSTestFailure.latest("a key") }
        return key
    }

    private static func makeCertificate(
        named name: String,
        key: OpaquePointer,
        extensions: [(nid: Int32, value: String)],
        from: Int,
        to: Int,
        issuer: (x509: OpaquePointer, key: OpaquePointer)?
    ) throws -> OpaquePointer {
        guard let x509 = X509_new() else { throw TLSTestFailure.latest("a certificate") }
        // The value for version 3 is 2 (RFC 5280, section 4.1.2.1).
        X509_set_version(x509, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(x509), Int.random(in: 1...(1 << 60)))
        X509_gmtime_adj(X509_getm_notBefore(x509), from)
        X509_gmtime_adj(X509_getm_notAfter(x509), to)
        X509_set_pubkey(x509, key)
        let subject = X509_get_subject_name(x509)
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, Array(name.utf8), Int32(name.utf8.count), -1, 0)
        X509_set_issuer_name(x509, issuer.map { X509_get_subject_name($0.x509) } ?? subject)
        for (nid, value) in extensions {
            guard let entry = X509V3_EXT_conf_nid(nil, nil, nid, value) else {
                throw TLSTestFailure.latest("an extension")
            }
            X509_add_ext(x509, entry, -1)
            X509_EXTENSION_free(entry)
        }
        guard X509_sign(x509, issuer?.key ?? key, EVP_sha256()) > 0 else { throw TLSTestFailure.latest("signing") }
        return x509
    }

    /// The output of `write`.
    private static func pem(_ write: (OpaquePointer?) -> Int32) -> [UInt8] {
        let bio = BIO_new(BIO_s_mem())
        defer { BIO_free(bio) }
        _ = write(bio)
        return bio.map(drained) ?? []
    }
}

/// Takes the whole content of a memory BIO.
func drained(_ bio: OpaquePointer) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(bio))
    let count = BIO_read(bio, &bytes, Int32(bytes.count))
    return count > 0 ? Array(bytes[..<Int(count)]) : []
}
