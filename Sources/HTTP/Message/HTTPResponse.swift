// A reply from a handler. HTTP adds framing, date and connection management when it encodes the reply.

/// The fields of a reply, in their order. Content-Length, Transfer-Encoding, Connection and Date belong to HTTP: they are
/// written by it, and left out if given here. Content-Encoding, and Accept-Encoding in Vary, are added where the content
/// is coded.
package typealias HTTPFields = [(name: String, value: String)]

/// A whole reply.
package struct HTTPResponse: Sendable {
    /// 200 … 599.
    package var status: Int
    package var headers: HTTPFields
    /// The content. To HEAD only its length is sent; with 204 and 304 neither.
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
