// The socket that reports the state of a service to systemd (sd_notify(3)). The protocol is a datagram of lines
// `KEY=VALUE`, so no library is needed.

internal import Glibc

/// The socket that `NOTIFY_SOCKET` names.
struct NotifySocket: Sendable {
    private let path: [UInt8]

    /// nil if the variable is absent or is not the path of a UNIX socket. A leading `@` names an abstract socket.
    init?(environment: [String: String]) {
        guard let text = environment["NOTIFY_SOCKET"], text.hasPrefix("/") || text.hasPrefix("@") else { return nil }
        path = Array(text.utf8)
        guard path.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path), !path.contains(0) else { return nil }
    }

    /// The messages of a service to systemd.
    enum Message {
        case ready(status: String)
        case reloading
        case reloaded
        case stopping(status: String)
        case watchdog

        /// The datagram. A reload states its time on the monotonic clock, which `Type=notify-reload` requires.
        var text: String {
            switch self {
            case .ready(let status): "READY=1\nSTATUS=\(status)"
            case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(Self.monotonicMicroseconds())"
            case .reloaded: "READY=1"
            case .stopping(let status): "STOPPING=1\nSTATUS=\(status)"
            case .watchdog: "WATCHDOG=1"
            }
        }

        private static func monotonicMicroseconds() -> UInt64 {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1_000
        }
    }

    /// Sends one message. False if it could not be sent within five seconds; there is nobody else to tell.
    @discardableResult
    func send(_ message: Message) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { target in
            target.copyBytes(from: path)
            // An abstract name starts with a zero byte and has no terminator.
            if path[0] == UInt8(ascii: "@") { target[0] = 0 }
        }
        let pathOffset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let length = socklen_t(pathOffset + path.count + (path[0] == UInt8(ascii: "/") ? 1 : 0))
        let bytes = Array(message.text.utf8)
        let sent = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
        return sent == bytes.count
    }
}
