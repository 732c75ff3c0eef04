// The OpenSSL that this process runs with.

internal import COpenSSL

/// The TLS library.
package enum TLSLibrary {
    /// Its name and version: "OpenSSL 3.0.17 1 Jul 2025".
    package static var version: String { String(cString: OpenSSL_version(OPENSSL_VERSION)) }
}
