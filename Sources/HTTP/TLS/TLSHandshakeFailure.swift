// Why TLS handshakes fail, in as few kinds as an operator can act on. OpenSSL chooses the alert for the client.

import COpenSSL

/// A kind of failure. The raw value is a metric label.
package enum TLSHandshakeFailure: String, Sendable, CaseIterable {
    /// The handshake took too long.
    case timeout
    /// The client disconnected during the handshake.
    case disconnected
    /// The client spoke HTTP and not TLS. It is answered with 400.
    case plainHTTP = "plain_http"
    /// The client has neither TLS 1.2 nor 1.3.
    case unsupportedVersion = "unsupported_version"
    /// No cipher, group or signature algorithm in common.
    case noSharedAlgorithm = "no_shared_algorithm"
    /// The client offered application protocols, but not HTTP/1.1.
    case noSharedProtocol = "no_shared_protocol"
    /// The client sent no certificate or an invalid one.
    case clientCertificate = "client_certificate"
    /// The client refused, usually because it does not trust the server's certificate.
    case clientAlert = "client_alert"
    /// Something else, such as bytes that are not TLS.
    case malformed

    /// The kind of a libssl error, by its reason code.
    init(reason: Int32) {
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
            self = .plainHTTP
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_WRONG_SSL_VERSION, SSL_R_UNKNOWN_SSL_VERSION,
            SSL_R_BAD_PROTOCOL_VERSION_NUMBER, SSL_R_BAD_LEGACY_VERSION:
            self = .unsupportedVersion
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SHARED_GROUPS, SSL_R_NO_SUITABLE_GROUPS, SSL_R_NO_SUITABLE_KEY_SHARE,
            SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
            SSL_R_NO_SUITABLE_DIGEST_ALGORITHM:
            self = .noSharedAlgorithm
        case SSL_R_NO_APPLICATION_PROTOCOL:
            self = .noSharedProtocol
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, SSL_R_CERTIFICATE_VERIFY_FAILED:
            self = .clientCertificate
        case _ where reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256:
            self = .clientAlert
        default:
            self = .malformed
        }
    }
}
