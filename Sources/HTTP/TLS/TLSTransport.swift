// A connection's bytes through TLS, with OpenSSL. Everything is non-blocking: a blocked call says in which direction
// the socket must become ready. That may differ from the requested direction, since TLS sends its own messages.

internal import CLinux
import COpenSSL
import Glibc

/// One connection's TLS, and its socket.
final class TLSTransport: Transport {
    private enum Phase {
        case shakingHands
        case open
        /// The handshake has failed, and bytes pass unchanged. The only output is an answer to a client that speaks
        /// HTTP without TLS.
        case plain
        /// TLS has failed, because of the client or a socket error. Nothing is read or written.
        case broken
    }

    /// The content of a full record (RFC 8446, section 5.1).
    private static let recordBytes = 16_384

    private var phase = Phase.shakingHands
    private let ssl: OpaquePointer
    private let bio: SocketBIO
    /// Retained because `ssl`'s callbacks use what the context holds.
    private let context: AnyObject
    /// A record of the connection's output is partly in the socket.
    private var hasPartialRecord = false
    private var hasSaidClose = false
    /// The closure alert did not fit into the socket.
    private var owesShutdown = false

    /// The server's side. nil if there is no memory; the socket is then not closed.
    convenience init?(fd: Int32, context: TLSContext) {
        self.init(fd: fd, context.pointer, keeping: context)
        SSL_set_accept_state(ssl)
    }

    /// The client's side, which accepts only certificates for `host`. nil as above.
    convenience init?(fd: Int32, client: TLSClientContext, host: String) {
        self.init(fd: fd, client.pointer, keeping: client)
        guard client.prepare(ssl, host: host) else {
            ERR_clear_error()
            return nil
        }
    }

    private init?(fd: Int32, _ pointer: OpaquePointer, keeping context: AnyObject) {
        guard let ssl = SSL_new(pointer) else {
            ERR_clear_error()
            return nil
        }
        self.ssl = ssl
        self.context = context
        bio = SocketBIO(fd: fd)
        guard bio.attach(to: ssl) else {
            ERR_clear_error()
            return nil
        }
    }

    deinit { SSL_free(ssl) }

    var peerHasClosed: Bool {
        get { bio.socket.peerHasClosed }
        set { bio.socket.peerHasClosed = newValue }
    }

    var needsHandshake: Bool { phase == .shakingHands }

    // MARK: Handshake

    func shakeHands() -> Handshake {
        let (result, error) = call { SSL_do_handshake(ssl) }
        if result == 1 {
            phase = .open
            return .finished(isResumed: SSL_session_reused(ssl) == 1)
        }
        switch error.kind {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
            return .blocked
        case SSL_ERROR_SSL:
            phase = .plain
            // OpenSSL recognises some methods, but not DELETE. No TLS record starts with a letter.
            let isLetter = bio.firstByte.map { $0 != $0.lowercased } ?? false
            let failure = isLetter ? .plainHTTP : TLSHandshakeFailure(reason: error.reason)
            return .failed(failure, detail: failure == .clientCertificate ? verificationError : error.text)
        default:
            phase = .broken
            return .failed(.disconnected, detail: "the client closed the connection")
        }
    }

    /// Why the client's certificate is invalid.
    private var verificationError: String {
        let code = SSL_get_verify_result(ssl)
        return code == Int(X509_V_OK) ? "no certificate" : String(cString: X509_verify_cert_error_string(code))
    }

    // MARK: Bytes

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        guard phase == .open else { return phase == .plain ? bio.socket.read(into: buffer) : .failed }
        // TLS itself may have to answer input, most often a key update. OpenSSL cannot start another record after an
        // unfinished one and would fail the connection.
        guard !hasPartialRecord else { return .blocked(until: .writable) }
        var count = 0
        let (result, error) = call { SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count) }
        if result == 1 { return .moved(count, isDrained: bio.isDrained && SSL_has_pending(ssl) == 0) }
        return outcome(error.kind)
    }

    func write(_ vector: UnsafeBufferPointer<iovec>) -> Transfer {
        guard phase == .open else { return phase == .plain ? bio.socket.write(vector) : .failed }
        // `write` is called with at least one entry.
        guard vector.count > 1, vector[0].iov_len < TLSTransport.recordBytes else {
            return write(vector[0].iov_base, count: min(vector[0].iov_len, TLSTransport.recordBytes))
        }
        // A record costs more than a copy, so the head of a reply and the beginning of its body share one.
        return withUnsafeTemporaryAllocation(byteCount: TLSTransport.recordBytes, alignment: 16) { record in
            var count = 0
            for entry in vector where count < record.count {
                let part = UnsafeRawBufferPointer(
                    start: entry.iov_base,
                    count: min(entry.iov_len, record.count - count)
                )
                UnsafeMutableRawBufferPointer(rebasing: record[count...]).copyMemory(from: part)
                count += part.count
            }
            return write(record.baseAddress, count: count)
        }
    }

    /// If a record does not fit into the socket, OpenSSL keeps it and must be called again with the same bytes, or
    /// those and more; they may have moved. That holds because output is a queue: the bytes at its front stay there
    /// until they are written.
    private func write(_ bytes: UnsafeRawPointer?, count: Int) -> Transfer {
        var written = 0
        let (result, error) = call { SSL_write_ex(ssl, bytes, count, &written) }
        hasPartialRecord = result != 1
        return result == 1 ? .moved(written, isDrained: false) : outcome(error.kind)
    }

    private func outcome(_ kind: Int32) -> Transfer {
        switch kind {
        case SSL_ERROR_WANT_READ: return .blocked(until: .readable)
        case SSL_ERROR_WANT_WRITE: return .blocked(until: .writable)
        // The client's closure alert. It may still read (RFC 8446, section 6.1).
        case SSL_ERROR_ZERO_RETURN: return .endOfStream
        default:
            // Includes an end without that alert: anybody may have truncated the data (RFC 9112, section 9.8).
            phase = .broken
            return .failed
        }
    }

    // MARK: Ending

    func shutdownWrite(isOrderly: Bool) {
        if isOrderly, !sayClose() {
            owesShutdown = true
            return
        }
        owesShutdown = false
        bio.socket.shutdownWrite(isOrderly: isOrderly)
    }

    func becameReady(readable: Bool, writable: Bool) {
        if readable { bio.isDrained = false }
        if writable, owesShutdown { shutdownWrite(isOrderly: true) }
    }

    func close(isOrderly: Bool) {
        if isOrderly { _ = sayClose() }
        bio.socket.close(isOrderly: isOrderly)
    }

    /// Sends the closure alert, once. False if the socket has no room for it now.
    private func sayClose() -> Bool {
        guard phase == .open, !hasSaidClose else { return true }
        // 0: the alert is sent; 1: the client's has arrived as well.
        let (result, error) = call { SSL_shutdown(ssl) }
        hasSaidClose = result >= 0 || error.kind != SSL_ERROR_WANT_WRITE
        return hasSaidClose
    }

    // MARK: Errors

    /// The result of SSL_get_error and the first error in the queue.
    private struct Failure {
        var kind: Int32
        var code: UInt

        var reason: Int32 { ERR_GET_REASON(code) }
        /// OpenSSL's description.
        var text: String { ERR_reason_error_string(code).map { String(cString: $0) } ?? "unknown" }
    }

    /// Calls OpenSSL with an empty error queue and leaves it empty. The queue belongs to the thread, so old errors
    /// would be attributed to this connection.
    private func call(_ body: () -> Int32) -> (result: Int32, error: Failure) {
        ERR_clear_error()
        let result = body()
        guard result <= 0 else { return (result, Failure(kind: SSL_ERROR_NONE, code: 0)) }
        let failure = Failure(kind: SSL_get_error(ssl, result), code: ERR_peek_error())
        ERR_clear_error()
        return (result, failure)
    }
}
