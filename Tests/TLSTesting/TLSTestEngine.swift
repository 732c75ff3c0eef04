// The client side of TLS without a socket: bytes go in and out by calls, so that a test decides how they travel.

internal import COpenSSL

/// A version of TLS.
package enum TLSTestVersion: String, Sendable, CaseIterable, Codable, CustomStringConvertible {
    case tls11 = "TLS 1.1"
    case tls12 = "TLS 1.2"
    case tls13 = "TLS 1.3"

    package var description: String { rawValue }

    var number: Int32 {
        switch self {
        case .tls11: TLS1_1_VERSION
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}

/// The options of a client.
package struct TLSTestOptions {
    /// PEM of the authority that must have issued the server's certificate; nil: it is not checked.
    package var authority: [UInt8]?
    package var version = TLSTestVersion.tls13
    /// Offered by ALPN; empty: the extension is not sent.
    package var protocols: [String] = []
    package var serverName: String?
    package var identity: TestIdentity?
    package var session: TLSTestSession?
    /// Ciphers of TLS 1.2 in OpenSSL's notation, at any level of security.
    package var ciphers: String?

    package init(authority: [UInt8]? = nil) { self.authority = authority }
}

/// A session that can be resumed.
package final class TLSTestSession {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { SSL_SESSION_free(pointer) }

    /// Whether it has a ticket or an identifier.
    package var isResumable: Bool { SSL_SESSION_is_resumable(pointer) == 1 }
}

/// A TLS client.
package final class TLSTestEngine {
    /// The result of a step.
    package enum Step: Equatable, Sendable {
        case done
        /// Bytes from the server are needed.
        case needsInput
        /// The server has sent its closure alert.
        case closed
    }

    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    package init(_ options: TLSTestOptions) throws {
        guard let context = SSL_CTX_new(TLS_client_method()), let input = BIO_new(BIO_s_mem()),
            let output = BIO_new(BIO_s_mem())
        else { throw TLSTestFailure.latest("a client") }
        self.context = context
        self.input = input
        self.output = output
        if options.version == .tls11 || options.ciphers != nil { SSL_CTX_set_security_level(context, 0) }
        var isReady = COpenSSL_set_versions(context, options.version.number, options.version.number) == 1
        if let ciphers = options.ciphers { isReady = isReady && SSL_CTX_set_cipher_list(context, ciphers) == 1 }
        if let authority = options.authority {
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
            let root = Self.withBIO(authority) { PEM_read_bio_X509($0, nil, nil, nil) }
            isReady = isReady && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root) == 1
            X509_free(root)
        }
        if let identity = options.identity {
            let x509 = Self.withBIO(identity.certificate) { PEM_read_bio_X509($0, nil, nil, nil) }
            let key = Self.withBIO(identity.key) { PEM_read_bio_PrivateKey($0, nil, nil, nil) }
            isReady =
                isReady && SSL_CTX_use_certificate(context, x509) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1
            X509_free(x509)
            EVP_PKEY_free(key)
        }
        guard isReady, let ssl = SSL_new(context) else { throw TLSTestFailure.latest("a client") }
        self.ssl = ssl
        // An empty buffer is not an end of stream.
        BIO_ctrl(input, BIO_C_SET_BUF_MEM_EOF_RETURN, -1, nil)
        SSL_set_bio(ssl, input, output)
        SSL_set_connect_state(ssl)
        let names = options.protocols.flatMap { [UInt8(truncatingIfNeeded: $0.utf8.count)] + Array($0.utf8) }
        if !names.isEmpty { SSL_set_alpn_protos(ssl, names, UInt32(names.count)) }
        if let name = options.serverName {
            var text = Array(name.utf8CString)
            SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), &text)
        }
        if let session = options.session { SSL_set_session(ssl, session.pointer) }
    }

    deinit {
        // Otherwise OpenSSL treats the session as interrupted and does not resume it.
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN)
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    private static func withBIO(_ bytes: [UInt8], _ body: (OpaquePointer?) -> OpaquePointer?) -> OpaquePointer? {
        bytes.withUnsafeBytes { bytes in
            let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
            defer { BIO_free(bio) }
            return body(bio)
        }
    }

    // MARK: Bytes of the wire

    /// Takes all pending bytes for the server.
    package func takeOutput() -> [UInt8] { drained(output) }

    /// Takes bytes from the server.
    package func receive(_ bytes: [UInt8]) { BIO_write(input, bytes, Int32(bytes.count)) }

    // MARK: Steps

    package func shakeHands() throws -> Step { try step { SSL_do_handshake(ssl) } }

    /// Encrypts the bytes, however many.
    package func write(_ bytes: [UInt8]) throws { _ = try step { SSL_write(ssl, bytes, Int32(bytes.count)) } }

    /// Bytes from the server, at most `limit`; none unless `step` is `done`.
    package func read(limit: Int) throws -> (step: Step, bytes: [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: limit)
        var count = 0
        let step = try step {
            let result = SSL_read(ssl, &buffer, Int32(limit))
            count = max(0, Int(result))
            return result
        }
        return (step, Array(buffer[..<count]))
    }

    /// Sends the closure alert.
    package func sayClose() throws { _ = try step { SSL_shutdown(ssl) >= 0 ? 1 : -1 } }

    /// Requests another handshake on the connection (TLS 1.2).
    package func renegotiate() throws -> Step {
        SSL_renegotiate(ssl)
        return try shakeHands()
    }

    /// Changes the client's key and asks the server to change its own (RFC 8446, section 4.6.3).
    package func updateKeys() throws {
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED)
        _ = try shakeHands()
    }

    private func step(_ body: () -> Int32) throws -> Step {
        ERR_clear_error()
        let result = body()
        if result > 0 { return .done }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .needsInput
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: throw TLSTestFailure.latest("TLS")
        }
    }

    // MARK: Negotiated values

    /// The session of the server's ticket, as far as it has been read.
    package var session: TLSTestSession? { SSL_get1_session(ssl).map(TLSTestSession.init(owning:)) }

    package var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// The common name of the server's certificate; nil if it sent none.
    package var serverCommonName: String? {
        guard let x509 = SSL_get0_peer_certificate(ssl) else { return nil }
        var text = [CChar](repeating: 0, count: 256)
        let count = X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, &text, 256)
        return count < 0 ? nil : String(decoding: text[..<Int(count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// How many certificates the server has sent.
    package var serverChainCount: Int { Int(OPENSSL_sk_num(SSL_get_peer_cert_chain(ssl))) }

    /// The protocol chosen by ALPN; nil: none.
    package var chosenProtocol: String? {
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &start, &count)
        guard let start else { return nil }
        return String(decoding: UnsafeBufferPointer(start: start, count: Int(count)), as: UTF8.self)
    }

    package var cipher: String { String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))) }
}
