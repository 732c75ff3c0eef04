// Single requests outside a load test. Before the test starts, they check that the server listens and what it serves,
// so that a refused connection is one sentence instead of a table of ten thousand failures. A demonstration consists of
// them.

internal import CLinux
internal import Glibc
internal import HTTP
internal import JSON

/// Single requests, one after another, on the calling thread.
struct Probe {
    /// The longest time in milliseconds for connecting, sending and each read.
    private static let patience: Int32 = 10_000
    /// The most bytes of a reply to read.
    private static let contentLimit = 16 << 20

    let target: LoadTarget
    let authorization: String?

    /// The first address of the target that accepts a connection.
    func address() throws(LoadError) -> SocketAddress {
        let addresses = try target.addresses()
        var reason = ""
        for address in addresses {
            switch Self.connect(to: address) {
            case .success(let socket):
                Syscall.close(socket)
                return address
            case .failure(let error): reason = error.description
            }
        }
        throw LoadError("\(place) does not accept a connection (\(reason)); is the server running there?")
    }

    /// A reply.
    struct Reply {
        var status: Int
        var content: [UInt8]
        /// From the first byte sent to the last one received, without connecting.
        var nanoseconds: UInt64
    }

    /// Sends a GET or, with a body, a POST of JSON, and returns the reply.
    func send(_ path: String, _ body: [UInt8]? = nil, at address: SocketAddress) throws(LoadError) -> Reply {
        let socket: Int32
        switch Self.connect(to: address) {
        case .success(let connected): socket = connected
        case .failure(let error): throw LoadError("\(place) does not accept a connection (\(error.description))")
        }
        defer { Syscall.close(socket) }
        let method = body == nil ? "GET" : "POST"
        let call = "\(method) \(path)"
        var text = "\(method) \(target.basePath)\(path) HTTP/1.1\r\nHost: \(target.authority)\r\n"
        text += "Connection: close\r\nUser-Agent: genrec-load\r\nAccept: application/json\r\n"
        if let authorization { text += "Authorization: \(authorization)\r\n" }
        if let body { text += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
        // A few kilobytes, which fit into the send buffer of a new socket.
        let start = Syscall.now()
        let isSent = (Array((text + "\r\n").utf8) + (body ?? [])).withUnsafeBytes {
            Glibc.send(socket, $0.baseAddress, $0.count, CLinux_MSG_NOSIGNAL) == $0.count
        }
        guard isSent else { throw LoadError("\(place) did not accept a request: \(Syscall.message(errno))") }
        var reply = try receive(call, on: socket)
        reply.nanoseconds = Syscall.now() - start
        return reply
    }

    private func receive(_ call: String, on socket: Int32) throws(LoadError) -> Reply {
        var parser = ReplyParser()
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while content.count <= Self.contentLimit {
            guard Self.wait(for: socket, POLLIN) else { throw LoadError("\(place) did not answer \(call)") }
            let result = buffer.withUnsafeMutableBytes { Syscall.read(socket, into: $0) }
            guard case .value(let count) = result, count > 0 else {
                if parser.endOfStream() { return Reply(status: parser.status, content: content, nanoseconds: 0) }
                throw LoadError("\(place) closed the connection without answering \(call)")
            }
            var index = 0
            do throws(ReplyFault) {
                while index < count {
                    let step = try parser.parse(buffer.span.extracting(index..<count))
                    content += buffer[index + step.content.lowerBound..<index + step.content.upperBound]
                    index += step.consumed
                    if step.isComplete { return Reply(status: parser.status, content: content, nanoseconds: 0) }
                }
            } catch {
                throw LoadError("\(place) answered \(call) with something other than HTTP/1.1: \(error.detail)")
            }
        }
        throw LoadError("\(place) answered \(call) with more than \(Self.contentLimit) bytes")
    }

    /// The name of the first model that the server lists.
    ///
    /// - Parameter advice: the end of an error's sentence.
    func servedModel(at address: SocketAddress, advice: String) throws(LoadError) -> String {
        let reply = try send("/models", at: address)
        guard reply.status == 200 else {
            throw LoadError("the server answered GET /models with \(reply.status) instead of its models; \(advice)")
        }
        let value = reply.content.withUnsafeBytes { try? JSONValue(parsing: $0) }
        guard case .array(let models)? = value?["models"], case .string(let name)? = models.first?["name"] else {
            throw LoadError("the server's answer to GET /models is not in genrec's format; \(advice)")
        }
        return name
    }

    /// The server's name in messages.
    private var place: String {
        switch target.endpoint {
        case .tcp: "http://\(target.authority)"
        case .unix(let path): "unix:\(path)"
        }
    }

    private static func connect(to address: SocketAddress) -> Result<Int32, LoadError> {
        let socket = CLinux_stream_socket(address.family)
        guard socket >= 0 else { return .failure(LoadError(Syscall.message(errno))) }
        var code = address.withSockaddr { Glibc.connect(socket, $0, $1) == 0 ? 0 : errno }
        if code == EINPROGRESS {
            var length = socklen_t(MemoryLayout<Int32>.size)
            code = wait(for: socket, POLLOUT) ? 0 : ETIMEDOUT
            if code == 0, getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) != 0 { code = errno }
        }
        guard code == 0 else {
            Syscall.close(socket)
            return .failure(LoadError(Syscall.message(code)))
        }
        return .success(socket)
    }

    private static func wait(for socket: Int32, _ events: Int32) -> Bool {
        var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
        let result = Syscall.retrying { Int(poll(&entry, 1, patience)) }
        guard case .value(let count) = result else { return false }
        return count > 0
    }
}
