// The interface between HTTP and the rest of the server: the calls HTTP makes and the events it reports. Service
// implements it.

/// The handler's verdict on a request whose head is complete.
package enum HeadVerdict: Sendable {
    /// Read the body, of at most this many bytes on the wire; a longer one gets 413. `HTTPLimits.bodyBytes` applies
    /// too, and `HTTPLimits.inflatedBodyBytes` and `inflationRatio` apply to inflated content.
    case accept(maximumBodyBytes: Int)
    /// Send this reply and ignore the body. A short body is read and dropped to keep the connection; otherwise the
    /// connection lingers before closing, so that the client gets the reply.
    case reject(HTTPResponse)
}

/// Answers requests. Every function is called on the loop of the request's connection and must not block.
package protocol HTTPHandler: AnyObject, Sendable {
    /// Called when the head is complete. The returned note is attached to the head that the other functions get and to
    /// the events about the reply. nil: no note.
    func note(for head: HTTPRequestHead) -> (any HTTPNote)?

    /// Called when the head is complete. None of the body has been consumed, and no 100 (Continue) has been sent.
    func headReceived(_ head: HTTPRequestHead) -> HeadVerdict

    /// The request is complete. Answer it through `exchange`, here or later, from any thread. Every exchange must be
    /// answered, or its connection waits forever.
    func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange)

    /// The reply to a request that HTTP itself refuses (malformed, too large, too slow, too many connections). `detail` is
    /// one sentence. The connection closes after it; HTTP adds Retry-After to 503 if it is missing.
    ///
    /// - Parameter head: the request's, if it was complete before the request was refused.
    func errorResponse(status: Int, detail: String, to head: HTTPRequestHead?) -> HTTPResponse

    /// Receives an event for metrics and the log.
    func observe(_ event: HTTPEvent)
}

extension HTTPHandler {
    package func note(for head: HTTPRequestHead) -> (any HTTPNote)? { nil }
}

/// A handler's note on one request, from its head to the end of its reply.
package protocol HTTPNote: AnyObject, Sendable {
    /// Appends header fields to every reply to the request, after the reply's own: whole lines of valid bytes, each
    /// with its CR LF.
    func appendReplyFields(to head: inout [UInt8])
}

/// Events for metrics and the log.
package enum HTTPEvent: Sendable {
    case connectionOpened
    /// Follows every `connectionOpened`, once.
    case connectionClosed
    /// A connection beyond a cap is being answered with 503 (`connectionOpened` came too), or was dropped immediately.
    case connectionRefused(wasDropped: Bool)
    /// accept(2) failed, usually for lack of descriptors or memory. The listener continues.
    case acceptFailed(errno: Int32)
    /// A TLS handshake has succeeded.
    case handshakeFinished(isResumed: Bool)
    /// A TLS handshake has failed; the connection is closing. `detail` is OpenSSL's reason, from a closed set.
    case handshakeFailed(TLSHandshakeFailure, detail: String)
    /// A reply has ended.
    case replyFinished(ReplyRecord)
    /// The client disconnected, or a time-out ended the connection, before the reply was complete. `nanoseconds` is the
    /// time since the last byte of the request.
    case exchangeCancelled(note: (any HTTPNote)?, nanoseconds: UInt64)
    /// A reply's field was omitted because it had an invalid byte (CR, LF, NUL …).
    case fieldLeftOut(name: String)
}

/// The record of one reply.
package struct ReplyRecord: Sendable, Equatable {
    /// nil if the request was refused before its method was known.
    package var method: HTTPMethod?
    package var status: Int
    /// The `label` of the handler's reply; 0 where HTTP itself answered.
    package var label: Int
    /// The handler answered, not HTTP itself.
    package var isFromHandler: Bool
    /// Bytes of the reply, head included.
    package var byteCount: Int
    /// From the last byte of the request until the kernel has accepted the last byte of the reply.
    package var durationNanoseconds: UInt64
    /// The kernel has accepted the whole reply; false if it was cut short.
    package var isComplete: Bool
    /// The request's note.
    package var note: (any HTTPNote)?

    package static func == (one: ReplyRecord, other: ReplyRecord) -> Bool {
        one.method == other.method && one.status == other.status && one.label == other.label
            && one.isFromHandler == other.isFromHandler && one.byteCount == other.byteCount
            && one.durationNanoseconds == other.durationNanoseconds && one.isComplete == other.isComplete
            && one.note === other.note
    }
}
