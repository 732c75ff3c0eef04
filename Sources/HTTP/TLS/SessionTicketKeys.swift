// The keys of session tickets (RFC 5077, section 4; RFC 8446, section 4.6.1). A ticket lets a client resume its session
// without signature and certificate; the server keeps only the key. Anyone with that key can read every session resumed
// with its tickets. So each key encrypts for one lifetime, then only decrypts for another, and is then wiped from
// memory (RFC 9325, section 3.4).

import COpenSSL
import Dispatch
import Glibc
import Locking

/// One key: its name, which is part of its tickets, and the two secrets that encrypt and authenticate them.
///
/// `@unchecked Sendable`: the memory is written in `init` and wiped in `deinit`, and only read in between.
final class SessionTicketKey: @unchecked Sendable {
    static let nameBytes = 16
    private static let secretBytes = 32
    private static let byteCount = nameBytes + 2 * secretBytes

    private let bytes: UnsafeMutablePointer<UInt8>

    /// A random key; nil if OpenSSL has no randomness.
    init?() {
        bytes = .allocate(capacity: SessionTicketKey.byteCount)
        guard RAND_priv_bytes(bytes, Int32(SessionTicketKey.byteCount)) == 1 else { return nil }
    }

    deinit {
        OPENSSL_cleanse(bytes, SessionTicketKey.byteCount)
        bytes.deallocate()
    }

    private var encryptionKey: UnsafeMutablePointer<UInt8> { bytes + SessionTicketKey.nameBytes }
    private var authenticationKey: UnsafeMutablePointer<UInt8> { encryptionKey + SessionTicketKey.secretBytes }

    func isNamed(_ name: UnsafePointer<UInt8>) -> Bool { memcmp(bytes, name, SessionTicketKey.nameBytes) == 0 }

    /// Writes the name, which has `nameBytes` bytes.
    func copyName(to name: UnsafeMutablePointer<UInt8>) { name.update(from: bytes, count: SessionTicketKey.nameBytes) }

    /// Initialises AES-256-CBC and HMAC-SHA-256, the algorithms that RFC 5077 recommends. False if OpenSSL fails.
    func prepare(cipher: OpaquePointer, mac: OpaquePointer, iv: UnsafePointer<UInt8>, encrypts: Bool) -> Bool {
        EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nil, encryptionKey, iv, encrypts ? 1 : 0) == 1
            && COpenSSL_set_hmac_sha256_key(mac, authenticationKey, SessionTicketKey.secretBytes) == 1
    }
}

/// The key for new tickets and the one before it, shared by all loops and all contexts of a server.
///
/// `@unchecked Sendable`: the timer is set up in `init` and cancelled in `deinit`; the rest is constant or locked.
final class SessionTicketKeys: @unchecked Sendable {
    private struct Ring {
        var current: SessionTicketKey
        var previous: SessionTicketKey?
    }

    /// How long a ticket is valid, in seconds.
    let lifetimeSeconds: Int
    private let ring: Lock<Ring>
    private let timer: any DispatchSourceTimer

    /// Creates keys that are replaced every `lifetimeSeconds`.
    init(lifetimeSeconds: Int) throws(TLSError) {
        guard let first = SessionTicketKey() else { throw TLSError(.library, "has no randomness") }
        self.lifetimeSeconds = lifetimeSeconds
        ring = Lock(Ring(current: first))
        timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
        let interval = DispatchTimeInterval.seconds(lifetimeSeconds)
        timer.setEventHandler { [weak self] in self?.rotate() }
        timer.schedule(deadline: .now() + interval, repeating: interval, leeway: .milliseconds(100))
        timer.activate()
    }

    deinit { timer.cancel() }

    /// Creates a new key for new tickets. Tickets of the previous key stay valid; those of older keys do not. If
    /// OpenSSL has no randomness, keeps the keys until the next rotation.
    func rotate() {
        guard let next = SessionTicketKey() else {
            ERR_clear_error()
            return
        }
        ring.withLock { $0 = Ring(current: next, previous: $0.current) }
    }

    /// The key for new tickets.
    var current: SessionTicketKey { ring.withLock { $0.current } }

    private func key(named name: UnsafePointer<UInt8>) -> (key: SessionTicketKey, isCurrent: Bool)? {
        ring.withLock { ring in
            if ring.current.isNamed(name) { return (ring.current, true) }
            guard let previous = ring.previous, previous.isNamed(name) else { return nil }
            return (previous, false)
        }
    }

    // MARK: For OpenSSL

    /// `SSL_CTX_set_tlsext_ticket_key_evp_cb`: prepares to encrypt or decrypt a ticket.
    private static func prepareTicket(
        _ ssl: OpaquePointer?,
        _ name: UnsafeMutablePointer<UInt8>?,
        _ iv: UnsafeMutablePointer<UInt8>?,
        _ cipher: OpaquePointer?,
        _ mac: OpaquePointer?,
        _ isEncrypting: Int32
    ) -> Int32 {
        let failed: Int32 = -1
        guard let name, let iv, let cipher, let mac, let pointer = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0) else {
            return failed
        }
        let keys = Unmanaged<SessionTicketKeys>.fromOpaque(pointer).takeUnretainedValue()
        if isEncrypting == 1 {
            let key = keys.current
            key.copyName(to: name)
            guard RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1,
                key.prepare(cipher: cipher, mac: mac, iv: iv, encrypts: true)
            else { return failed }
            return 1
        }
        // 0: a full handshake; 2: the session is resumed and gets a new ticket.
        guard let (key, isCurrent) = keys.key(named: name) else { return 0 }
        guard key.prepare(cipher: cipher, mac: mac, iv: iv, encrypts: false) else { return failed }
        return isCurrent ? 1 : 2
    }

    /// `SSL_CTX_set_session_ticket_cb`: does not resume a session whose client certificate has expired. OpenSSL does
    /// not check certificates on resumption, so a ticket could otherwise outlive its certificate.
    private static func useTicket(
        _ session: OpaquePointer?,
        _ status: SSL_TICKET_STATUS
    ) -> SSL_TICKET_RETURN {
        switch status {
        case SSL_TICKET_SUCCESS, SSL_TICKET_SUCCESS_RENEW:
            if let session, let peer = SSL_SESSION_get0_peer(session),
                X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0
            {
                return SSL_TICKET_RETURN_IGNORE_RENEW
            }
            return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW
        default:
            return SSL_TICKET_RETURN_IGNORE_RENEW
        }
    }

    /// Makes the context use these keys, which must outlive it, for its tickets.
    func install(in context: OpaquePointer) -> Bool {
        SSL_CTX_set_timeout(context, lifetimeSeconds)
        return SSL_CTX_set_ex_data(context, 0, Unmanaged.passUnretained(self).toOpaque()) == 1
            && SSL_CTX_set_tlsext_ticket_key_evp_cb(
                context,
                { SessionTicketKeys.prepareTicket($0, $1, $2, $3, $4, $5) }
            ) == 1
            && SSL_CTX_set_session_ticket_cb(
                context,
                nil,
                { _, session, _, _, status, _ in SessionTicketKeys.useTicket(session, status) },
                nil
            ) == 1
    }
}
