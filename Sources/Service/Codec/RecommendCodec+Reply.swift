// Encodes replies: one body, the body of a batch, and the records of a stream. A score that is not finite has no JSON
// and throws, since it means that the model is broken; the caller answers with an error instead.

internal import Catalogue
internal import Compute
internal import Engine
package import JSON

/// How a stream separates its records.
package enum StreamFormat: Sendable, CaseIterable {
    /// One JSON object per line.
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
    package static func encode(
        _ reply: RecommendReply,
        ids: any ItemIDWriter & Sendable
    ) throws(JSONError) -> [UInt8] {
        // An item has some fifty bytes, the rest some four hundred. Ten items stay below the kibibyte up to which malloc has memory
        // at hand.
        var writer = JSONWriter(capacity: 400 + 56 * reply.recommendation.items.count)
        try write(reply, ids: ids, to: &writer)
        return writer.bytes
    }

    /// The body of a batch's reply, `{"results":[…]}`: a reply or a problem per request, in the requests' order.
    ///
    /// - Parameter ids: the catalogue of the model that answered a request, by the request's number.
    package static func encodeBatch(
        _ results: [BatchResult],
        ids: (Int) -> any ItemIDWriter & Sendable
    ) throws(JSONError) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("results")
        writer.beginArray()
        for (number, result) in results.enumerated() {
            switch result {
            case .reply(let reply): try write(reply, ids: ids(number), to: &writer)
            case .problem(let problem): problem.write(to: &writer)
            }
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    /// The body of a batch's reply without an answer.
    package static func encodeBatch(_ problems: [ProblemDetails]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("results")
        writer.beginArray()
        for problem in problems { problem.write(to: &writer) }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    // MARK: Streams

    /// The record of one item; ranks count from 1.
    static func encodeStreamItem(
        _ item: ScoredRow,
        rank: Int,
        ids: ItemWriter,
        format: StreamFormat
    ) throws(JSONError) -> [UInt8] {
        var writer = JSONWriter()
        if format == .serverSentEvents { writer.raw("event: item\ndata: ") }
        writer.beginObject()
        try writeMembers(item, ids: ids, to: &writer)
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
        ids: any ItemIDWriter & Sendable,
        to writer: inout JSONWriter
    ) throws(JSONError) {
        let ids = ItemWriter(ids: ids, unknown: reply.ranking?.unknown ?? [], includesTokens: reply.includesTokens)
        writer.beginObject()
        writeIdentity(of: reply, to: &writer)
        writer.key("items")
        writer.beginArray()
        let explanations = reply.recommendation.explanations
        for (index, item) in reply.items.enumerated() {
            writer.beginObject()
            try writeMembers(item, ids: ids, to: &writer)
            if index < explanations.count { try write(explanations[index], ids: ids, to: &writer) }
            writer.endObject()
        }
        writer.endArray()
        writeOutcome(of: reply, to: &writer)
        writer.endObject()
    }

    private static func write(
        _ explanation: [ScoredRow],
        ids: ItemWriter,
        to writer: inout JSONWriter
    ) throws(JSONError) {
        writer.key("explanation")
        writer.beginArray()
        for event in explanation {
            writer.beginObject()
            writer.key("item")
            writer.value { ids.appendID(ofRow: event.row, to: &$0) }
            writer.key("effect")
            try writer.number(event.score)
            writer.endObject()
        }
        writer.endArray()
    }

    private static func writeMembers(
        _ item: ScoredRow,
        ids: ItemWriter,
        to writer: inout JSONWriter
    ) throws(JSONError) {
        writer.key("item")
        writer.value { ids.appendID(ofRow: item.row, to: &$0) }
        writer.key("score")
        if item.row < 0 { writer.null() } else { try writer.number(item.score) }
        // Only candidates that the caller has named can be.
        if item.row > 0, ids.ids.isWithdrawn(item.row) {
            writer.key("available")
            writer.bool(false)
        }
        guard ids.includesTokens else { return }
        writer.key("tokens")
        writer.beginArray()
        for token in ids.ids.tokens(ofRow: item.row) { writer.integer(Int(token)) }
        writer.endArray()
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

    private static func write(_ removals: Removals, to writer: inout JSONWriter) {
        writer.key("eligible")
        writer.integer(removals.eligible)
        writer.key("removed")
        writer.beginObject()
        writer.key("seen")
        writer.integer(removals.seen)
        writer.key("excluded")
        writer.integer(removals.excluded)
        writer.key("not_allowed")
        writer.integer(removals.notAllowed)
        writer.key("unavailable")
        writer.integer(removals.unavailable)
        writer.key("max_per_tag")
        writer.integer(removals.maxPerTag)
        writer.endObject()
    }

    private static func write(
        _ paths: Recommendation.PathFacts,
        includesExact: Bool,
        to writer: inout JSONWriter
    ) {
        writer.key("beams")
        if let width = paths.beams.first, paths.beams.allSatisfy({ $0 == width }) {
            writer.integer(width)
        } else {
            writer.beginArray()
            for width in paths.beams { writer.integer(width) }
            writer.endArray()
        }
        if includesExact, let isExact = paths.isExact {
            writer.key("exact")
            writer.bool(isExact)
        }
        writer.key("prompt_tokens")
        writer.integer(paths.promptTokens)
        writer.key("tokens_cached")
        writer.integer(paths.tokensCached)
    }

    private static func writeOutcome(of reply: RecommendReply, to writer: inout JSONWriter) {
        let recommendation = reply.recommendation
        writer.key("source")
        writer.string(recommendation.source.rawValue)
        if let degradation = recommendation.degradation {
            writer.key("degraded")
            writer.string(degradation.rawValue)
        }
        if reply.isHistoryStored {
            writer.key("history_source")
            writer.string("store")
        }
        writer.key("history_used")
        writer.integer(recommendation.historyUsed)
        writer.key("history_cached")
        writer.integer(recommendation.historyCached)
        if let start = recommendation.historyStart {
            writer.key("history_start")
            writer.integer(start)
        }
        if let paths = recommendation.paths { write(paths, includesExact: reply.includesExact, to: &writer) }
        writer.key("unknown_items")
        writer.integer(reply.unknownItems)
        if let ranking = reply.ranking {
            writer.key("unknown_candidates")
            writer.integer(ranking.unknown.count)
        } else {
            writer.key("exhausted")
            writer.bool(recommendation.exhausted)
            if let removals = reply.removals { write(removals, to: &writer) }
        }
        writer.key("timing_ms")
        writer.beginObject()
        // Microseconds, rounded down.
        writer.key("queue")
        writer.thousandths(Int(recommendation.timing.queue / 1_000))
        writer.key("prefill")
        writer.thousandths(Int(recommendation.timing.prefill / 1_000))
        writer.key("decode")
        writer.thousandths(Int(recommendation.timing.decode / 1_000))
        writer.key("total")
        writer.thousandths(Int(reply.totalNanoseconds / 1_000))
        writer.endObject()
    }
}
