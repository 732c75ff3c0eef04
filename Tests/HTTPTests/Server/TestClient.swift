// A client on a raw, blocking socket, which does exactly what the test says: no library between the test and the bytes.
// After a TLS handshake the client sends and reads through TLS.

import CLinux
import Glibc
import TLSTesting
import Testing

@testable import HTTP

/// The server refuses the connection.
struct ConnectFailure: Error {
    let code: Int32
}

/// One connection to a server under test.
final class TestClient {
    /// The longest wait for a byte, so that a test fails instead of hanging.
    private static let patienceSeconds = 20

    let fd: Int32
    private var isClosed = false
    /// nil: plain TCP.
    private(set) var tls: TLSTestStream?

    /// Connects. `receiveBuffer` makes the client's window small.
    init(_ address: ListenAddress, receiveBuffer: Int32? = nil) throws {
        var target = address
        if case .tcp("*", let port) = address { target = .tcp(host: "127.0.0.1", port: port) }
        let socketAddress = try target.socketAddress()
        fd = socket(socketAddress.family, Int32(SOCK_STREAM.rawValue), 0)
        try #require(fd >= 0)
        if var size = receiveBuffer { setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, 4) }
        var patience = timeval(tv_sec: TestClient.patienceSeconds, tv_usec: 0)
        let length = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, length)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, length)
        guard socketAddress.withSockaddr({ connect(fd, $0, $1) }) == 0 else { throw ConnectFailure(code: errno) }
    }

    /// Connects and completes the TLS handshake. `pieceBytes`: the largest number of bytes per send.
    convenience init(
        _ address: ListenAddress,
        tls options: TLSTestOptions,
        receiveBuffer: Int32? = nil,
        pieceBytes: Int = .max
    ) throws {
        try self.init(address, receiveBuffer: receiveBuffer)
        try startTLS(options, pieceBytes: pieceBytes)
    }

    /// Starts TLS on the existing connection.
    func startTLS(_ options: TLSTestOptions, pieceBytes: Int = .max) throws {
        if pieceBytes < .max { _ = CLinux_set_no_delay(fd) }
        let stream = try TLSTestStream(options) { [unowned self] bytes in
            for start in stride(from: 0, to: bytes.count, by: min(pieceBytes, bytes.count)) {
                sendBytes(Array(bytes[start...].prefix(pieceBytes)))
            }
        } receive: { [unowned self] in
            readBytes(limit: 65_536)
        }
        try stream.shakeHands()
        tls = stream
    }

    /// Frees the client's side of TLS; the connection stays open.
    func forgetTLS() { tls = nil }

    deinit { close() }

    func close() {
        if !isClosed { Glibc.close(fd) }
        isClosed = true
    }

    /// Closes with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func shutdownWrite() { shutdown(fd, Int32(SHUT_WR)) }

    func send(_ text: String) { send(Array(text.utf8)) }

    /// Sends everything, or as much as the server takes before it closes.
    func send(_ bytes: [UInt8]) {
        // If the server closes the connection, the next read reports it.
        if let tls { try? tls.write(bytes) } else { sendBytes(bytes) }
    }

    /// Sends raw bytes, bypassing TLS.
    func sendBytes(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(fd, $0.baseAddress, $0.count, CLinux_MSG_NOSIGNAL) }
            if count <= 0 { return }
            sent += count
        }
    }

    /// The next bytes, at most `limit`; nil at the end of the stream, or if the connection was reset.
    func read(limit: Int = 65_536) -> [UInt8]? {
        guard let tls else { return readBytes(limit: limit) }
        return (try? tls.read(limit: limit)) ?? nil
    }

    /// Reads raw bytes, bypassing TLS.
    func readBytes(limit: Int = 65_536) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = recv(fd, &buffer, limit, 0)
        return count > 0 ? Array(buffer[..<count]) : nil
    }

    /// Reads up to the end of the stream.
    func readToEnd() -> String {
        var bytes: [UInt8] = []
        while let piece = read() { bytes += piece }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads until the text ends with `end`, or the stream ends.
    func read(until end: String) -> String {
        var bytes: [UInt8] = []
        let wanted = Array(end.utf8)
        while !bytes.ends(with: wanted), let piece = read(limit: 1) { bytes += piece }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads one reply with Content-Length.
    func readReply() -> String {
        let head = read(until: "\r\n\r\n")
        guard let field = head.split(separator: "\r\n").first(where: { $0.hasPrefix("Content-Length: ") }),
            let length = Int(field.dropFirst(16))
        else { return head }
        var body: [UInt8] = []
        while body.count < length, let piece = read(limit: length - body.count) { body += piece }
        return head + String(decoding: body, as: UTF8.self)
    }
}

extension Array where Element: Equatable {
    fileprivate func ends(with other: [Element]) -> Bool { suffix(other.count) == other[...] }
}
