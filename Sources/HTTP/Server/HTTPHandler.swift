// The face that HTTP turns to the rest of the server: what it calls, and the events it reports. Service implements it.

/// What the handler says to a request whose head is complete.
package enum HeadVerdict: Sendable {
    /// Read the body, of at most so many octets as it is sent; more is answered with 413. `HTTPLimits.bodyBytes` holds
    /// besides, and for what a gzip body inflates to `HTTPLimits.inflatedBodyBytes` and `inflationRatio`.
    case accept(maximumBodyBytes: Int)
    /// Send this reply and do not read the body. A short body is dropped and the connection kept; otherwise it closes
    /// in such a way that the client sees the reply.
    case reject(HTTPResponse)
}

/// What answers requests. Every function is called on the loop of the request's connection and must not block.
package protocol HTTPHandler: AnyObject, Sendable {
    /// The head is complete; no octet of the body has been used, and no 100 (Continue) has been sent.
    func headReceived(_ head: HTTPRequestHead) -> HeadVerdict

    /// The request is complete. It is answered through `exchange`, here or later, from any thread; every exchange must be
    /// answered, or its connection waits for ever.
    func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange)

    /// The reply to a request that HTTP itself refuses (malformed, too large, too slow, too many connections). `detail` is
    /// one sentence. The connection closes after it; HTTP adds Retry-After to 503 if it is missing.
    func errorResponse(status: Int, detail: String) -> HTTPResponse

    /// Something happened that is worth counting.
    func observe(_ event: HTTPEvent)
}

/// What HTTP reports for metrics.
package enum HTTPEvent: Sendable {
    case connectionOpened
    /// Follows every `connectionOpened`, once.
    case connectionClosed
    /// A connection beyond a cap is being answered with 503 (`connectionOpened` came too), or was dropped at once.
    case connectionRefused(wasDropped: Bool)
    /// accept(2) failed: out of descriptors or memory, mostly. The listener goes on.
    case acceptFailed(errno: Int32)
    /// A connection speaks TLS from here on.
    case handshakeFinished(isResumed: Bool)
    /// A connection does not, and is being closed. `detail` is OpenSSL's reason, of a bounded number of reasons.
    case handshakeFailed(TLSHandshakeFailure, detail: String)
    /// A reply is over.
    case replyFinished(ReplyRecord)
    /// The client went away, or a time-out ended it, while its reply was outstanding.
    case exchangeCancelled
    /// A reply's field had an octet that does not belong in one (CR, LF, NUL …); the field was left out.
    case fieldLeftOut(name: String)
}

/// How one reply went.
package struct ReplyRecord: Sendable, Equatable {
    /// nil if the request was refused before its method was known.
    package var method: HTTPMethod?
    package var status: Int
    /// The `label` of the handler's reply; 0 where HTTP itself answered.
    package var label: Int
    /// The handler answered, not HTTP itself.
    package var isFromHandler: Bool
    /// Octets of the reply, head included.
    package var byteCount: Int
    /// From the last octet of the request to the last octet of the reply taken by the kernel.
    package var durationNanoseconds: UInt64
    /// The whole reply was taken by the kernel; false if it was cut short.
    package var isComplete: Bool
}
