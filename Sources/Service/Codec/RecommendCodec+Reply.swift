// Replies to bytes: one body, the body of a batch, and the records of a stream. A score that is not finite has no JSON and is
// thrown, since it means that the model is broken; the caller answers with an error instead of a reply.

package import JSON

/// How a stream separates its records.
package enum StreamFormat: Sendable, CaseIterable {
    /// One JSON object a line.
    case ndjson
    /// Server-sent events; the data of each is the line that NDJSON would have.
    case serverSentEvents

    /// The value of `Content-Type`.
    package var contentType: String {
        switch self {
        case .ndjson: "application/x-ndjson"
        case .serverSentEvents: "text/event-stream"
        }
    }
}

extension RecommendCodec {
    /// The body of a reply.
    package static func encode(_ reply: RecommendReply, ids: some ItemIDWriter) throws(JSONError) -> [UInt8] {
        // An item has some fifty bytes, the rest some four hundred.
        var writer = JSONWriter(capacity: 512 + 64 * reply.rows.count)
        try write(reply, ids: ids, to: &writer)
        return writer.bytes
    }

    /// The body of a batch's reply, `{"results":[…]}`: a reply or a problem per request, in the requests' order.
    package static func encodeBatch(
        _ results: [BatchResult],
        ids: some ItemIDWriter
    ) throws(JSONError) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("results")
        writer.beginArray()
        for result in results {
            switch result {
            case .reply(let reply): try write(reply, ids: ids, to: &writer)
            case .problem(let problem): problem.write(to: &writer)
            }
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    // MARK: Streams

    /// The record of one item; ranks count from 1.
    package static func encodeStreamItem(
        row: Int32,
        score: Float,
        rank: Int,
        ids: some ItemIDWriter,
        format: StreamFormat
    ) throws(JSONError) -> [UInt8] {
        var writer = JSONWriter()
        if format == .serverSentEvents { writer.raw("event: item\ndata: ") }
        writer.beginObject()
        try writeMembers(row: row, score: score, ids: ids, to: &writer)
        writer.key("rank")
        writer.integer(rank)
        writer.endObject()
        end(&writer, format)
        return writer.bytes
    }

    /// The record that ends a stream: the reply without its items, which have been sent.
    package static func encodeStreamEnd(_ reply: RecommendReply, format: StreamFormat) -> [UInt8] {
        var writer = JSONWriter()
        if format == .serverSentEvents { writer.raw("event: done\ndata: ") }
        writer.beginObject()
        writer.key("done")
        writer.bool(true)
        writeIdentity(of: reply, to: &writer)
        writeOutcome(of: reply, to: &writer)
        writer.endObject()
        end(&writer, format)
        return writer.bytes
    }

    /// The record of a fault after the status line; the stream then closes without its last chunk.
    package static func encodeStreamError(_ problem: ProblemDetails, format: StreamFormat) -> [UInt8] {
        var writer = JSONWriter()
        if format == .serverSentEvents { writer.raw("event: error\ndata: ") }
        writer.beginObject()
        writer.key("error")
        problem.write(to: &writer)
        writer.endObject()
        end(&writer, format)
        return writer.bytes
    }

    private static func end(_ writer: inout JSONWriter, _ format: StreamFormat) {
        writer.endLine()
        // An empty line dispatches the event.
        if format == .serverSentEvents { writer.endLine() }
    }

    // MARK: Parts

    private static func write(
        _ reply: RecommendReply,
        ids: some ItemIDWriter,
        to writer: inout JSONWriter
    ) throws(JSONError) {
        writer.beginObject()
        writeIdentity(of: reply, to: &writer)
        writer.key("items")
        writer.beginArray()
        for (row, score) in zip(reply.rows, reply.scores) {
            writer.beginObject()
            try writeMembers(row: row, score: score, ids: ids, to: &writer)
            writer.endObject()
        }
        writer.endArray()
        writeOutcome(of: reply, to: &writer)
        writer.endObject()
    }

    private static func writeMembers(
        row: Int32,
        score: Float,
        ids: some ItemIDWriter,
        to writer: inout JSONWriter
    ) throws(JSONError) {
        writer.key("item")
        writer.value { ids.appendID(ofRow: row, to: &$0) }
        writer.key("score")
        try writer.number(score)
    }

    private static func writeIdentity(of reply: RecommendReply, to writer: inout JSONWriter) {
        writer.key("request_id")
        writer.string(reply.requestID)
        writer.key("model")
        writer.beginObject()
        writer.key("name")
        writer.string(reply.model.name)
        writer.key("version")
        writer.string(reply.model.version)
        writer.endObject()
    }

    private static func writeOutcome(of reply: RecommendReply, to writer: inout JSONWriter) {
        writer.key("source")
        writer.string(reply.source.rawValue)
        if reply.isHistoryStored {
            writer.key("history_source")
            writer.string("store")
        }
        writer.key("history_used")
        writer.integer(reply.historyUsed)
        writer.key("history_cached")
        writer.integer(reply.historyCached)
        if let start = reply.historyStart {
            writer.key("history_start")
            writer.integer(start)
        }
        writer.key("unknown_items")
        writer.integer(reply.unknownItems)
        writer.key("exhausted")
        writer.bool(reply.exhausted)
        writer.key("timing_ms")
        writer.beginObject()
        writer.key("queue")
        writer.thousandths(microseconds(reply.timing.queue))
        writer.key("prefill")
        writer.thousandths(microseconds(reply.timing.prefill))
        writer.key("decode")
        writer.thousandths(microseconds(reply.timing.decode))
        writer.key("total")
        writer.thousandths(microseconds(reply.timing.total))
        writer.endObject()
    }

    /// Rounded down; a duration too long for the type cannot be a request's.
    private static func microseconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        return Int(seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000)
    }
}
