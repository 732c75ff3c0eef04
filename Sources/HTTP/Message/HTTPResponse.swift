// A reply from a handler. HTTP adds framing, date and connection management when it encodes the reply.

/// The fields of a reply, in their order. HTTP writes Content-Length, Transfer-Encoding, Connection and Date itself and
/// omits them if given here. It adds Content-Encoding, and Accept-Encoding in Vary, if it codes the content.
package typealias HTTPFields = [(name: String, value: String)]

/// A whole reply.
package struct HTTPResponse: Sendable {
    /// 200 … 599.
    package var status: Int
    package var headers: HTTPFields
    /// The content. A reply to HEAD has only its length; a reply with status 204 or 304 has neither.
    package var body: [UInt8]
    /// Closes the connection after this reply.
    package var closesConnection: Bool
    /// A number chosen by the handler and returned in `HTTPEvent.replyFinished`, such as its route.
    package var label: Int

    package init(
        status: Int,
        headers: HTTPFields = [],
        body: [UInt8] = [],
        closesConnection: Bool = false,
        label: Int = 0
    ) {
        precondition((200...599).contains(status), "\(status) is not the status of a final reply")
        self.status = status
        self.headers = headers
        self.body = body
        self.closesConnection = closesConnection
        self.label = label
    }
}
