// Parses the same bytes in one piece, byte by byte, and cut in two at every offset, and requires equal outcomes. Every
// parser test uses it: if the outcome depends on how the network cuts the bytes, an attacker chooses the cut.

import Testing

@testable import HTTP

/// The outcome of a run of bytes: the requests, and the refusal that ended it.
struct RequestOutcome: Equatable, CustomStringConvertible {
    struct Request: Equatable {
        var method: HTTPMethod
        var path: String
        var query: String?
        var fields: [String]
        var body: [UInt8]
    }

    var requests: [Request] = []
    /// Status and sentence.
    var refusal: String?
    var status: Int?
    /// Unconsumed bytes.
    var unread = 0

    var description: String { "\(requests) \(refusal ?? "no refusal") \(unread) unread" }

    /// The outcome of these pieces, read one after another. Every request is accepted and answered immediately.
    init(_ pieces: [ArraySlice<UInt8>], limits: HTTPLimits, maximumBody: Int) {
        var script = ScriptedConnection(limits: limits)
        script.verdict = { _ in .accept(maximumBodyBytes: maximumBody) }
        for piece in pieces {
            script.receive(piece)
            _ = script.takeOutput()
        }
        requests = script.requests.map { request in
            Request(
                method: request.head.method,
                path: request.head.path,
                query: request.head.query,
                fields: request.head.allHeaders.map { "\($0.name)=\($0.value)" },
                body: request.body
            )
        }
        for event in script.events {
            if case .refused(let status) = event {
                self.status = status
                refusal = "\(status) \(script.detail)"
            }
        }
        unread = script.unreadCount
    }
}

/// The outcome of `bytes`, the same however they are cut.
func outcome(
    of bytes: [UInt8],
    limits: HTTPLimits = HTTPLimits(),
    maximumBody: Int = 1 << 20,
    sourceLocation: SourceLocation = #_sourceLocation
) -> RequestOutcome {
    let whole = RequestOutcome([bytes[...]], limits: limits, maximumBody: maximumBody)
    let single = RequestOutcome(bytes.indices.map { bytes[$0...$0] }, limits: limits, maximumBody: maximumBody)
    #expect(single == whole, "byte by byte", sourceLocation: sourceLocation)
    // Every offset; for long inputs (large bodies and default limits) a sample, and all offsets near the end, where the
    // limits are.
    let step = bytes.count <= 2_048 ? 1 : bytes.count / 64
    let offsets = Array(stride(from: 0, to: bytes.count, by: step))
    for offset in offsets + Array(bytes.indices.suffix(16)) {
        let cut = RequestOutcome([bytes[..<offset], bytes[offset...]], limits: limits, maximumBody: maximumBody)
        #expect(cut == whole, "cut at \(offset)", sourceLocation: sourceLocation)
    }
    return whole
}

/// The outcome of a literal.
func outcome(
    of text: String,
    limits: HTTPLimits = HTTPLimits(),
    maximumBody: Int = 1 << 20,
    sourceLocation: SourceLocation = #_sourceLocation
) -> RequestOutcome {
    outcome(of: Array(text.utf8), limits: limits, maximumBody: maximumBody, sourceLocation: sourceLocation)
}
