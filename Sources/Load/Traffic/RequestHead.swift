// The part of every request before the body, without the length.

/// The head of `POST …/recommend`, `…/rank` or `…/events`.
struct RequestHead: Sendable {
    /// Up to and including the name of the last field, `Content-Length`.
    private let bytes: [UInt8]

    init(target: LoadTarget, route: String, authorization: String?) {
        var text = "POST \(target.basePath)/\(route) HTTP/1.1\r\nHost: \(target.authority)\r\n"
        text += "User-Agent: genrec-load\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
        if let authorization { text += "Authorization: \(authorization)\r\n" }
        bytes = Array((text + "Content-Length: ").utf8)
    }

    /// Replaces the content of `output` with a whole request.
    func write(_ body: [UInt8], to output: inout [UInt8]) {
        output.removeAll(keepingCapacity: true)
        output.reserveCapacity(bytes.count + 24 + body.count)
        output.append(contentsOf: bytes)
        output.append(contentsOf: body.count.description.utf8)
        output.append(contentsOf: "\r\n\r\n".utf8)
        output.append(contentsOf: body)
    }
}
