// What an operator may set: addresses, loops, limits, time-outs, compression. Every value has a default, and `validate` says in one
// sentence which of them cannot be.

/// How a server is set up.
package struct HTTPServerConfiguration: Sendable {
    /// Where to listen. At least one.
    package var addresses: [ListenAddress]
    /// Event loops, each with its own thread of work and its share of the connections.
    package var loops: Int
    package var limits: HTTPLimits
    package var timeouts: HTTPTimeouts
    /// What every TCP address speaks TLS with; nil: they speak plain HTTP, as UNIX sockets always do.
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
        guard !addresses.isEmpty else { throw HTTPError(.invalidConfiguration, "There is no address to listen on.") }
        try HTTPLimits.check("loops", loops, 1...256)
        try limits.validate()
        try timeouts.validate()
        try compression.validate()
    }
}

/// The most that a client may send or hold. Whatever goes beyond is refused with the status named.
package struct HTTPLimits: Sendable, Equatable {
    /// Octets of the request line, its CRLF included: 414.
    package var requestLineBytes = 8_192
    /// Octets of all field lines together, their CRLFs and the empty line included: 431.
    package var fieldBytes = 32_768
    /// Field lines: 431.
    package var fieldCount = 100
    /// Octets of a body as it is sent, whatever the handler accepts: 413.
    package var bodyBytes = 8 << 20
    /// Octets of content that a gzip body inflates to: 413.
    package var inflatedBodyBytes = 8 << 20
    /// How many times its size a gzip body inflates to, beyond the first 64 KiB of content: 413. JSON has 5 to 30; the
    /// most that gzip can do is 1032.
    package var inflationRatio = 200
    /// Octets of all chunk extensions of one body together: 400.
    package var chunkExtensionBytes = 1_024
    /// Octets of all trailer lines of one body together, their CRLFs included: 431.
    package var trailerBytes = 4_096
    /// Octets read ahead while a request is being answered: pipelined requests. Beyond it reading pauses.
    package var readAheadBytes = 65_536
    /// A rejected request's body up to so many octets is read and dropped to keep the connection; with a longer one the
    /// connection closes.
    package var droppedBodyBytes = 65_536
    /// From so many octets waiting on, a streamed reply's writer is told to hold on.
    package var streamHoldBytes = 65_536
    /// A streamed reply whose writer goes on to so many octets waiting is aborted.
    package var streamBufferBytes = 1 << 20
    /// Open connections of the whole server: 503.
    package var connections = 16_384
    /// Open connections of one IPv4 address or IPv6 /64: 503. The default narrows nothing, since behind a load balancer
    /// all clients have one address; set it where clients come directly.
    package var connectionsPerAddress = 16_384

    package init() {}

    func validate() throws(HTTPError) {
        // RFC 9112 §3 wants 8000 octets of request line; the upper bounds keep offsets within 31 bits.
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

/// How long a client may take. 408 is sent where a request had begun; otherwise the connection closes silently.
package struct HTTPTimeouts: Sendable, Equatable {
    /// From accepting a connection to the end of its TLS handshake; then it is closed.
    package var handshake = Duration.seconds(10)
    /// From accepting a connection, or the end of its TLS handshake, to the first octet of its first request.
    package var firstByte = Duration.seconds(10)
    /// From the first octet of a request to the end of its head: 408.
    package var header = Duration.seconds(10)
    /// A body must bring `bodyBytesPerSecond` in each stretch of this length: 408.
    package var bodyWindow = Duration.seconds(10)
    /// The minimum rate of a body, octets on the wire.
    package var bodyBytesPerSecond = 256
    /// Between two requests of a connection.
    package var idle = Duration.seconds(75)
    /// A reply must make some progress in each stretch of this length, or the connection is cut.
    package var writeStall = Duration.seconds(30)
    /// How long a closing connection is still read, so that the client sees the reply and not a reset.
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

/// Which replies are sent as gzip to clients that ask for it.
package struct HTTPCompression: Sendable, Equatable {
    /// zlib's, 1 (fast) to 9 (small); 0: none are, and requests are still inflated.
    package var level = 1
    /// Shorter replies are sent as they are: one packet carries them either way.
    package var minimumBytes = 1_024

    package init() {}

    /// Whether gzip may be asked for.
    package var isOffered: Bool { level > 0 }

    func validate() throws(HTTPError) {
        try HTTPLimits.check("compression.level", level, 0...9)
        try HTTPLimits.check("compression.minimumBytes", minimumBytes, 0...(1 << 30))
    }
}

extension Duration {
    /// Whole nanoseconds; for durations that `validate` has let pass.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) &* 1_000_000_000 &+ UInt64(max(0, attoseconds)) / 1_000_000_000
    }
}
