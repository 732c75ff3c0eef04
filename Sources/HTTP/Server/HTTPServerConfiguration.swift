// The operator's settings: addresses, loops, limits, time-outs, compression. Every value has a default; `validate`
// names the first value out of range.

/// How a server is set up.
package struct HTTPServerConfiguration: Sendable {
    /// Where to listen. At least one address is required, here or in `handedSockets`.
    package var addresses: [ListenAddress]
    /// Descriptors of listening sockets that another process opened for this one. The server closes them but keeps the
    /// file of a UNIX socket.
    package var handedSockets: [Int32] = []
    /// Event loops. Each has a thread and a share of the connections.
    package var loops: Int
    package var limits: HTTPLimits
    package var timeouts: HTTPTimeouts
    /// The certificate and key for all TCP addresses; nil: plain HTTP. UNIX sockets always speak plain HTTP.
    package var tls: TLSCredentials?
    package var compression: HTTPCompression

    package init(
        addresses: [ListenAddress],
        loops: Int = 1,
        limits: HTTPLimits = HTTPLimits(),
        timeouts: HTTPTimeouts = HTTPTimeouts(),
        tls: TLSCredentials? = nil,
        compression: HTTPCompression = HTTPCompression()
    ) {
        self.addresses = addresses
        self.loops = loops
        self.limits = limits
        self.timeouts = timeouts
        self.tls = tls
        self.compression = compression
    }

    /// Throws `invalidConfiguration` with the first value that is out of its range.
    package func validate() throws(HTTPError) {
        guard !addresses.isEmpty || !handedSockets.isEmpty else {
            throw HTTPError(.invalidConfiguration, "There is no address to listen on.")
        }
        try HTTPLimits.check("loops", loops, 1...256)
        try limits.validate()
        try timeouts.validate()
        try compression.validate()
    }
}

/// Limits on what a client may send or hold. Anything beyond a limit is refused with the status given there.
package struct HTTPLimits: Sendable, Equatable {
    /// Bytes of the request line, its CRLF included: 414.
    package var requestLineBytes = 8_192
    /// Bytes of all field lines together, their CRLFs and the empty line included: 431.
    package var fieldBytes = 32_768
    /// Field lines: 431.
    package var fieldCount = 100
    /// Bytes of a body on the wire; the handler may accept less: 413.
    package var bodyBytes = 8 << 20
    /// Bytes of a gzip body after inflation: 413.
    package var inflatedBodyBytes = 8 << 20
    /// Ratio of inflated to compressed size of a gzip body, beyond its first 64 KiB of content: 413. JSON has 5 to 30;
    /// gzip's maximum is 1032.
    package var inflationRatio = 200
    /// Bytes of all chunk extensions of one body together: 400.
    package var chunkExtensionBytes = 1_024
    /// Bytes of all trailer lines of one body together, their CRLFs included: 431.
    package var trailerBytes = 4_096
    /// Bytes of pipelined requests read while one is being answered. Beyond that, reading pauses.
    package var readAheadBytes = 65_536
    /// Longest body of a rejected request that is read and dropped to keep the connection open. With a longer one the
    /// connection closes.
    package var droppedBodyBytes = 65_536
    /// Unsent bytes of a streamed reply beyond which its writer must wait.
    package var streamHoldBytes = 65_536
    /// Unsent bytes of a streamed reply at which it is aborted, because its writer did not wait.
    package var streamBufferBytes = 1 << 20
    /// Open connections in total: 503.
    package var connections = 16_384
    /// Open connections of one IPv4 address or IPv6 /64: 503. The default equals `connections`, because behind a load
    /// balancer all clients share one address; lower it where clients connect directly.
    package var connectionsPerAddress = 16_384

    package init() {}

    func validate() throws(HTTPError) {
        // RFC 9112 §3 recommends at least 8000 bytes of request line. The upper bounds keep offsets within 31 bits.
        try HTTPLimits.check("limits.requestLineBytes", requestLineBytes, 64...(1 << 24))
        try HTTPLimits.check("limits.fieldBytes", fieldBytes, 64...(1 << 24))
        try HTTPLimits.check("limits.fieldCount", fieldCount, 1...65_536)
        try HTTPLimits.check("limits.bodyBytes", bodyBytes, 0...(1 << 40))
        try HTTPLimits.check("limits.inflatedBodyBytes", inflatedBodyBytes, 0...(1 << 40))
        try HTTPLimits.check("limits.inflationRatio", inflationRatio, 1...(1 << 16))
        try HTTPLimits.check("limits.chunkExtensionBytes", chunkExtensionBytes, 0...(1 << 24))
        try HTTPLimits.check("limits.trailerBytes", trailerBytes, 0...(1 << 24))
        try HTTPLimits.check("limits.readAheadBytes", readAheadBytes, 1...(1 << 30))
        try HTTPLimits.check("limits.droppedBodyBytes", droppedBodyBytes, 0...(1 << 30))
        try HTTPLimits.check("limits.streamHoldBytes", streamHoldBytes, 1...(1 << 30))
        try HTTPLimits.check("limits.streamBufferBytes", streamBufferBytes, streamHoldBytes...(1 << 30))
        try HTTPLimits.check("limits.connections", connections, 1...(1 << 20))
        try HTTPLimits.check("limits.connectionsPerAddress", connectionsPerAddress, 1...(1 << 20))
    }

    static func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(HTTPError) {
        guard range.contains(value) else {
            throw HTTPError(
                .invalidConfiguration,
                "\(name) is \(value); it must be \(range.lowerBound) … \(range.upperBound)."
            )
        }
    }
}

/// Time-outs. 408 is sent if a request had started; otherwise the connection closes silently.
package struct HTTPTimeouts: Sendable, Equatable {
    /// From accepting a connection to the end of its TLS handshake; beyond it the connection closes.
    package var handshake = Duration.seconds(10)
    /// From accepting a connection, or the end of its TLS handshake, to the first byte of its first request.
    package var firstByte = Duration.seconds(10)
    /// From the first byte of a request to the end of its head: 408.
    package var header = Duration.seconds(10)
    /// Window over which a body must keep up `bodyBytesPerSecond`: 408.
    package var bodyWindow = Duration.seconds(10)
    /// Minimum rate of a body, in bytes on the wire.
    package var bodyBytesPerSecond = 256
    /// Between two requests of a connection.
    package var idle = Duration.seconds(75)
    /// Longest time without progress in sending a reply before the connection is cut.
    package var writeStall = Duration.seconds(30)
    /// How long a closing connection is still read, so that the client gets the reply instead of a reset.
    package var linger = Duration.seconds(3)

    package init() {}

    func validate() throws(HTTPError) {
        try HTTPTimeouts.check("timeouts.handshake", handshake)
        try HTTPTimeouts.check("timeouts.firstByte", firstByte)
        try HTTPTimeouts.check("timeouts.header", header)
        try HTTPTimeouts.check("timeouts.bodyWindow", bodyWindow)
        try HTTPTimeouts.check("timeouts.idle", idle)
        try HTTPTimeouts.check("timeouts.writeStall", writeStall)
        try HTTPTimeouts.check("timeouts.linger", linger)
        try HTTPLimits.check("timeouts.bodyBytesPerSecond", bodyBytesPerSecond, 0...(1 << 30))
    }

    private static func check(_ name: String, _ value: Duration) throws(HTTPError) {
        guard value >= .milliseconds(10), value <= .seconds(86_400) else {
            throw HTTPError(.invalidConfiguration, "\(name) is \(value); it must be 10 ms … one day.")
        }
    }
}

/// Which replies are compressed for clients that accept gzip.
package struct HTTPCompression: Sendable, Equatable {
    /// zlib's level, 1 (fast) to 9 (small); 0: replies are never compressed. Requests are inflated either way.
    package var level = 1
    /// Shorter replies are not compressed: they fit one packet either way.
    package var minimumBytes = 1_024

    package init() {}

    /// Whether clients may request gzip.
    package var isOffered: Bool { level > 0 }

    func validate() throws(HTTPError) {
        try HTTPLimits.check("compression.level", level, 0...9)
        try HTTPLimits.check("compression.minimumBytes", minimumBytes, 0...(1 << 30))
    }
}

extension Duration {
    /// Whole nanoseconds. Only for durations that `validate` has accepted.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) &* 1_000_000_000 &+ UInt64(max(0, attoseconds)) / 1_000_000_000
    }
}
