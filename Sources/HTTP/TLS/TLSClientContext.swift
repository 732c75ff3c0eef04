// The settings of this process's own TLS connections to other servers: the system's authorities, and a check of the
// host's name (RFC 9325, section 6).

import COpenSSL
import Glibc

/// An SSL_CTX for clients.
///
/// `@unchecked Sendable`: the SSL_CTX is changed only in `init`; creating connections from it is safe on all threads
/// (openssl-threads(7)).
package final class TLSClientContext: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Trusts the system's authorities, or those that the environment variables SSL_CERT_FILE and SSL_CERT_DIR name.
    package init() throws(TLSError) {
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let pointer = SSL_CTX_new(TLS_client_method()) else { throw TLSError(.library, "has no memory") }
        self.pointer = pointer
        SSL_CTX_set_security_level(pointer, 2)
        _ = SSL_CTX_set_options(pointer, COpenSSL_OP_NO_COMPRESSION | COpenSSL_OP_NO_RENEGOTIATION)
        COpenSSL_add_modes(
            pointer,
            Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS)
        )
        COpenSSL_read_ahead(pointer)
        COpenSSL_disable_session_cache(pointer)
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
        guard COpenSSL_set_versions(pointer, TLS1_2_VERSION, TLS1_3_VERSION) == 1,
            SSL_CTX_set_default_verify_paths(pointer) == 1
        else { throw TLSError(.library, "does not have the required protocols") }
    }

    deinit { SSL_CTX_free(pointer) }

    /// Makes a connection a client that accepts only certificates for `host`. False if there is no memory.
    func prepare(_ ssl: OpaquePointer, host: String) -> Bool {
        SSL_set_connect_state(ssl)
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 { return true }
        ERR_clear_error()
        return COpenSSL_set_server_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1
    }
}
