// Listening sockets, created once at start, one for each loop and address. TCP sockets of one address share its port
// (SO_REUSEPORT), and the kernel spreads new connections over them. A UNIX socket exists once; each loop has a
// duplicate of its descriptor.

import CLinux
import Glibc

/// A listening socket.
struct ListenSocket {
    let fd: Int32
    /// Another process handed it over and may keep it open.
    var isHanded = false

    /// The most unsent bytes that the kernel holds for one client.
    private static let unsentLowWater: Int32 = 65_536

    typealias Opened = (sockets: [ListenSocket], bound: ListenAddress, file: SocketFile?)

    /// Opens the sockets for `count` loops on `address`. Also returns the address, with the kernel's choice instead of
    /// port 0, and the file of a UNIX socket.
    static func open(_ address: ListenAddress, count: Int) throws(HTTPError) -> Opened {
        switch address {
        case .unix(let path):
            let sockets = try openLocal(address, path: path, count: count)
            return (sockets, address, SocketFile(path: path))
        case .tcp(let host, let port):
            return try openTCP(host: host, port: port, count: count)
        }
    }

    /// The sockets for `count` loops over a listening socket that another process opened. All share its backlog, which
    /// outlives this process if the other one keeps the socket open.
    ///
    /// - Throws: `cannotListen` if the descriptor is not a listening stream socket.
    static func adopt(_ fd: Int32, count: Int) throws(HTTPError) -> Opened {
        guard let name = ListenAddress(boundTo: fd), isListening(fd) else {
            throw HTTPError(
                .cannotListen,
                "The descriptor \(fd) that was handed over is not a listening stream socket."
            )
        }
        let flags = fcntl(fd, F_GETFL)
        guard flags >= 0, fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0, fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 else {
            throw failure("set up the socket of", name)
        }
        if case .tcp = name {
            _ = CLinux_set_no_delay(fd)
            _ = CLinux_set_unsent_low_water(fd, unsentLowWater)
        }
        return (try copies(of: fd, name, count: count).map { ListenSocket(fd: $0, isHanded: true) }, name, nil)
    }

    private static func isListening(_ fd: Int32) -> Bool {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        return option(SO_TYPE) == Int32(SOCK_STREAM.rawValue) && option(SO_ACCEPTCONN) == 1
    }

    /// `fd` and enough duplicates of it for `count` loops. Closes all of them if that fails.
    private static func copies(of fd: Int32, _ name: ListenAddress, count: Int) throws(HTTPError) -> [Int32] {
        var fds = [fd]
        while fds.count < count {
            let copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)
            guard copy >= 0 else {
                let error = failure("duplicate the socket of", name)
                for fd in fds { close(fd) }
                throw error
            }
            fds.append(copy)
        }
        return fds
    }

    // MARK: TCP

    private static func openTCP(host: String, port: UInt16, count: Int) throws(HTTPError) -> Opened {
        let name = ListenAddress.tcp(host: host, port: port)
        var address = try name.socketAddress()
        if host == "*", !hasIPv6 { address = try ListenAddress.tcp(host: "0.0.0.0", port: port).socketAddress() }
        if port != 0 {
            // Only our own loops may share the port. Binding a socket without SO_REUSEPORT fails if another process
            // has the port, even another server of the same user.
            close(try bound(address, name, sharesPort: false))
        }
        var fds: [Int32] = []
        do throws(HTTPError) {
            var actual = port
            for _ in 0..<count {
                let fd = try bound(address, name, sharesPort: true)
                fds.append(fd)
                // Connections inherit these options. Without them they are slower, not wrong.
                _ = CLinux_set_no_delay(fd)
                _ = CLinux_set_unsent_low_water(fd, unsentLowWater)
                try listen(on: fd, name)
                if actual == 0 {
                    actual = boundPort(fd)
                    address.setPort(actual)
                }
            }
            return (fds.map { ListenSocket(fd: $0) }, .tcp(host: host, port: actual), nil)
        } catch {
            for fd in fds { close(fd) }
            throw error
        }
    }

    private static var hasIPv6: Bool {
        let fd = CLinux_stream_socket(CLinux_AF_INET6)
        guard fd >= 0 else { return false }
        close(fd)
        return true
    }

    private static func bound(
        _ address: SocketAddress,
        _ name: ListenAddress,
        sharesPort: Bool
    ) throws(HTTPError) -> Int32 {
        let fd = CLinux_stream_socket(address.family)
        guard fd >= 0 else { throw failure("make a socket for", name) }
        var isReady = true
        if address.family != CLinux_AF_UNIX {
            isReady = CLinux_set_reuse_address(fd) == 0 && (!sharesPort || CLinux_set_reuse_port(fd) == 0)
        }
        if address.family == CLinux_AF_INET6 {
            isReady = isReady && CLinux_set_ipv6_only(fd, 0) == 0
        }
        guard isReady, address.withSockaddr({ bind(fd, $0, $1) }) == 0 else {
            let error = failure("bind to", name)
            close(fd)
            throw error
        }
        return fd
    }

    private static func boundPort(_ fd: Int32) -> UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &length) }
        }
        return PeerAddress(storage).port
    }

    private static func listen(on fd: Int32, _ name: ListenAddress) throws(HTTPError) {
        // The kernel reduces the backlog to net.core.somaxconn.
        guard Glibc.listen(fd, 65_535) == 0 else { throw failure("listen on", name) }
    }

    // MARK: UNIX

    private static func openLocal(_ name: ListenAddress, path: String, count: Int) throws(HTTPError) -> [ListenSocket] {
        let address = try name.socketAddress()
        removeStale(address, path: path)
        let fd = try bound(address, name, sharesPort: false)
        do throws(HTTPError) {
            do throws(HTTPError) {
                try listen(on: fd, name)
            } catch {
                close(fd)
                throw error
            }
            return try copies(of: fd, name, count: count).map { ListenSocket(fd: $0) }
        } catch {
            unlink(path)
            throw error
        }
    }

    /// Removes a socket file left behind by a server that no longer runs. A socket that answers, or any other kind of
    /// file, stays, and binding will fail.
    private static func removeStale(_ address: SocketAddress, path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        let fd = CLinux_stream_socket(CLinux_AF_UNIX)
        guard fd >= 0 else { return }
        defer { close(fd) }
        if address.withSockaddr({ connect(fd, $0, $1) }) != 0, errno == ECONNREFUSED { unlink(path) }
    }

    private static func failure(_ what: String, _ name: ListenAddress) -> HTTPError {
        let code = errno
        return HTTPError(.cannotListen, "Cannot \(what) \(name): \(Syscall.message(code)).")
    }

    private static func close(_ fd: Int32) { Syscall.close(fd) }
}

/// The file of a UNIX socket that this process has bound. When a new server takes over, it may replace the file before
/// the old one removes it.
struct SocketFile {
    private let path: String
    private let device: UInt64
    private let inode: UInt64

    /// nil if there is no such file.
    init?(path: String) {
        guard let identity = Self.identity(of: path) else { return nil }
        self.path = path
        (device, inode) = identity
    }

    /// Removes the file if it is still the same one. Call it before the socket closes: the open socket keeps its inode,
    /// so that no other file can have the same number.
    func remove() {
        if let present = Self.identity(of: path), present == (device, inode) { unlink(path) }
    }

    private static func identity(of path: String) -> (device: UInt64, inode: UInt64)? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return (UInt64(status.st_dev), UInt64(status.st_ino))
    }
}
