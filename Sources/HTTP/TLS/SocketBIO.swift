// OpenSSL's input and output: the connection's socket, through the same system calls as a connection without TLS.
// OpenSSL's own socket BIO uses write(2), which raises SIGPIPE.

internal import CLinux
import COpenSSL
import Glibc

/// A socket behind a BIO.
final class SocketBIO {
    var socket: SocketTransport
    /// The last read has emptied the socket, and the kernel has reported nothing since.
    var isDrained = false
    /// The first byte from the client; nil before it arrives.
    private(set) var firstByte: UInt8?

    init(fd: Int32) { socket = SocketTransport(fd: fd) }

    /// Creates a BIO with an unretained reference to this object and passes it to `ssl`, which frees it. False if there
    /// is no memory.
    func attach(to ssl: OpaquePointer) -> Bool {
        guard let method = SocketBIO.method, let bio = BIO_new(method) else { return false }
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        SSL_set_bio(ssl, bio, bio)
        return true
    }

    private func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        let result = socket.read(into: buffer)
        if case .moved(_, let isDrained) = result {
            self.isDrained = isDrained
            if firstByte == nil { firstByte = buffer.first }
        }
        return result
    }

    private func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        let entry = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        return withUnsafePointer(to: entry) { socket.write(UnsafeBufferPointer(start: $0, count: 1)) }
    }

    // MARK: For OpenSSL

    /// The object behind a BIO.
    private static func of(_ bio: OpaquePointer?) -> SocketBIO? {
        guard let data = BIO_get_data(bio) else { return nil }
        return Unmanaged<SocketBIO>.fromOpaque(data).takeUnretainedValue()
    }

    /// Created once and never freed. Reading returns 0 at the end of the stream. Both directions return -1 with a retry
    /// flag if the socket is not ready, and -1 alone if it is broken.
    ///
    /// `nonisolated(unsafe)`: constant once created, and OpenSSL only reads it.
    private nonisolated(unsafe) static let method: OpaquePointer? = {
        let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "genrec socket")
        BIO_meth_set_read(method) { bio, target, count in
            BIO_clear_flags(bio, SocketBIO.retryFlags)
            guard let target, let object = SocketBIO.of(bio) else { return -1 }
            let buffer = UnsafeMutableRawBufferPointer(start: target, count: Int(count))
            return SocketBIO.answer(object.read(into: buffer), bio, retry: BIO_FLAGS_READ)
        }
        BIO_meth_set_write(method) { bio, source, count in
            BIO_clear_flags(bio, SocketBIO.retryFlags)
            guard let source, let object = SocketBIO.of(bio) else { return -1 }
            let bytes = UnsafeRawBufferPointer(start: source, count: Int(count))
            return SocketBIO.answer(object.write(bytes), bio, retry: BIO_FLAGS_WRITE)
        }
        // Flushing does nothing and succeeds; everything else is unsupported.
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()

    private static let retryFlags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

    private static func answer(_ transfer: Transfer, _ bio: OpaquePointer?, retry: Int32) -> Int32 {
        switch transfer {
        // OpenSSL's count fits an Int32, and no more than that was moved.
        case .moved(let count, _): return Int32(truncatingIfNeeded: count)
        case .endOfStream: return 0
        case .blocked:
            BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY)
            return -1
        case .failed: return -1
        }
    }
}
