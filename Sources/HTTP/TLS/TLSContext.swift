// The settings of TLS handshakes: one certificate and its key, who may connect, and the protocols and algorithms (RFC
// 9325, sections 3 and 4). A context never changes: new files make a new context, and connections keep the one they
// began with.

import COpenSSL
import Glibc

/// An SSL_CTX.
///
/// `@unchecked Sendable`: the SSL_CTX is changed only in `init`; creating connections from it is safe on all threads
/// (openssl-threads(7)).
final class TLSContext: @unchecked Sendable {
    /// TLS 1.2: ephemeral key exchange and authenticated encryption, nothing else.
    private static let tls12Ciphers = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")
    private static let tls13Ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"
    /// No SHA-1.
    private static let signatureAlgorithms = [
        "ECDSA+SHA256", "ECDSA+SHA384", "ECDSA+SHA512", "ed25519", "ed448", "RSA-PSS+SHA256", "RSA-PSS+SHA384",
        "RSA-PSS+SHA512", "RSA+SHA256", "RSA+SHA384", "RSA+SHA512",
    ].joined(separator: ":")
    /// 112 bits: RSA keys of at least 2048 bits, no SHA-1 in certificates.
    private static let securityLevel: Int32 = 2

    let pointer: OpaquePointer
    /// The certificate's period of validity, in seconds since the epoch.
    let validity: (from: Int, to: Int)
    /// Held because the SSL_CTX points to them.
    private let tickets: SessionTicketKeys

    init(_ material: TLSMaterial, tickets: SessionTicketKeys) throws(TLSError) {
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let pointer = SSL_CTX_new(TLS_server_method()) else { throw TLSError(.library, "has no memory") }
        do throws(TLSError) {
            try TLSContext.setProtocol(pointer)
            validity = try TLSContext.setIdentity(pointer, material)
            try TLSContext.setClientCA(pointer, material.clientCA)
            guard tickets.install(in: pointer) else { throw TLSError(.library, "does not accept session ticket keys") }
        } catch {
            SSL_CTX_free(pointer)
            throw error
        }
        self.pointer = pointer
        self.tickets = tickets
    }

    deinit { SSL_CTX_free(pointer) }

    // MARK: Set-up

    private static func setProtocol(_ context: OpaquePointer) throws(TLSError) {
        SSL_CTX_set_security_level(context, securityLevel)
        let options =
            COpenSSL_OP_NO_COMPRESSION | COpenSSL_OP_NO_RENEGOTIATION | COpenSSL_OP_CIPHER_SERVER_PREFERENCE
            | COpenSSL_OP_PRIORITIZE_CHACHA
        _ = SSL_CTX_set_options(context, options)
        // Partial writes are allowed, and the buffer may move between attempts. Buffers are held only while in use:
        // tens of thousands of connections are idle.
        COpenSSL_add_modes(
            context,
            Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS)
        )
        COpenSSL_read_ahead(context)
        COpenSSL_disable_session_cache(context)
        SSL_CTX_set_alpn_select_cb(
            context,
            { _, chosen, chosenCount, offered, count, _ in
                TLSContext.selectProtocol(chosen, chosenCount, offered, count)
            },
            nil
        )
        guard COpenSSL_set_versions(context, TLS1_2_VERSION, TLS1_3_VERSION) == 1,
            SSL_CTX_set_cipher_list(context, tls12Ciphers) == 1,
            SSL_CTX_set_ciphersuites(context, tls13Ciphers) == 1,
            COpenSSL_set_groups(context, groups) == 1,
            COpenSSL_set_signature_algorithms(context, signatureAlgorithms) == 1
        else { throw TLSError(.library, "does not have the required algorithms: \(reason)") }
    }

    /// RFC 7301, section 3.2: a client that offers protocols but not HTTP/1.1 gets a fatal alert, since it would
    /// otherwise interpret what follows as its own protocol. A client that offers none speaks HTTP/1.1.
    private static func selectProtocol(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
        _ chosenCount: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?,
        _ count: UInt32
    ) -> Int32 {
        let ours: StaticString = "http/1.1"
        guard let offered, let chosen, let chosenCount else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        var start = 0
        while start < Int(count) {
            let length = Int(offered[start])
            guard start + 1 + length <= Int(count) else { break }
            if length == ours.utf8CodeUnitCount, memcmp(offered + start + 1, ours.utf8Start, length) == 0 {
                chosen.pointee = offered + start + 1
                chosenCount.pointee = UInt8(length)
                return SSL_TLSEXT_ERR_OK
            }
            start += 1 + length
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }

    private static func setIdentity(
        _ context: OpaquePointer,
        _ material: TLSMaterial
    ) throws(TLSError) -> (from: Int, to: Int) {
        let chain = try PEM.certificates(material.certificate, of: .certificate)
        let key = try PEM.privateKey(material.key)
        // `certificates` returns at least one.
        let own = chain[0]
        guard SSL_CTX_use_certificate(context, own.x509) == 1 else {
            throw TLSError(.certificate, "cannot be used: \(reason)")
        }
        for issuer in chain.dropFirst() where COpenSSL_add_chain_certificate(context, issuer.x509) != 1 {
            throw TLSError(.certificate, "has an issuer's certificate that cannot be used: \(reason)")
        }
        guard X509_check_private_key(own.x509, key.key) == 1 else {
            throw TLSError(.key, "is not the key of the certificate")
        }
        guard SSL_CTX_use_PrivateKey(context, key.key) == 1 else { throw TLSError(.key, "cannot be used: \(reason)") }
        guard let validity = own.validity else { throw TLSError(.certificate, "has no readable validity period") }
        return validity
    }

    /// With a client CA, a handshake fails without a certificate from it.
    private static func setClientCA(_ context: OpaquePointer, _ text: [UInt8]?) throws(TLSError) {
        // A session is resumed only under the same CA, so that a ticket does not let a client bypass a new one.
        var digest = [UInt8](repeating: 0, count: Int(SSL_MAX_SID_CTX_LENGTH))
        let material = text ?? []
        guard EVP_Digest(material, material.count, &digest, nil, EVP_sha256(), nil) == 1,
            SSL_CTX_set_session_id_context(context, digest, UInt32(digest.count)) == 1
        else { throw TLSError(.library, "has no SHA-256") }
        guard let text else { return }
        for authority in try PEM.certificates(text, of: .clientCA) {
            guard X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.x509) == 1,
                SSL_CTX_add_client_CA(context, authority.x509) == 1
            else { throw TLSError(.clientCA, "has a certificate that cannot be used: \(reason)") }
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }

    /// OpenSSL's description of the last failure.
    private static var reason: String {
        ERR_reason_error_string(ERR_peek_error()).map { String(cString: $0) } ?? "unknown reason"
    }
}
