// Encodes replies: a single one, a batch, and the records of a stream. A score that is not finite has no JSON and
// throws, since it means that the model is broken; the caller answers with an error instead.

internal import Catalogue
internal import Compute
internal import Engine
package import JSON

/// How a stream separates its records.
package enum StreamFormat: Sendable, CaseIterable {
    /// One JSON object per line.
    case ndjson
    /// Server-sent events; the data of each is one line of NDJSON.
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
        // An item takes some fifty bytes, the rest some four hundred. Ten items stay below one kibibyte, up to which
        // malloc has memory at hand.
        var writer = JSONWriter(capacity: 400 + 56 * reply.recommendation.items.count)
        try write(reply, ids: ids, to: &writer)
        return writer.bytes
    }

    /// The body of a batch's reply, `{"results":[…]}`: a reply or a problem per request, in the requests' order.
    ///
    /// - Parameter ids: the catalogue of the model that answered a request, by the request's index.
    package static func encodeBatch(
        _ results: [BatchResult],
        ids: (Int) -> any ItemIDWriter & Sendable
    ) throws(JSONError) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.beginArray("results")
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

    /// The body of a batch's reply in which every request failed.
    package static func encodeBatch(_ problems: [ProblemDetails]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.beginArray("results")
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
        try record("event: item\ndata: ", format) { (writer) throws(JSONError) in
            try writeMembers(item, ids: ids, to: &writer)
            writer.member("rank", rank)
        }
    }

    /// The record that ends a stream: the reply without its items, which have been sent.
    package static func encodeStreamEnd(_ reply: RecommendReply, format: StreamFormat) -> [UInt8] {
        record("event: done\ndata: ", format) { writer in
            writer.member("done", true)
            writeIdentity(of: reply, to: &writer)
            writeOutcome(of: reply, to: &writer)
        }
    }

    /// The record of a fault that occurs after the status line was sent. The stream then closes without its last chunk.
    package static func encodeStreamError(_ problem: ProblemDetails, format: StreamFormat) -> [UInt8] {
        record("event: error\ndata: ", format) { writer in
            writer.key("error")
            problem.write(to: &writer)
        }
    }

    /// An object on a line of its own, or as the data of an event that begins with `start`.
    private static func record<Failure>(
        _ start: StaticString,
        _ format: StreamFormat,
        _ writeMembers: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) -> [UInt8] {
        var writer = JSONWriter()
        if format == .serverSentEvents { writer.raw(start) }
        writer.beginObject()
        try writeMembers(&writer)
        writer.endObject()
        writer.endLine()
        // An empty line dispatches the event.
        if format == .serverSentEvents { writer.endLine() }
        return writer.bytes
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
        writer.beginArray("items")
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
        writer.beginArray("explanation")
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
        // Only a candidate can be unavailable.
        if item.row > 0, ids.ids.isWithdrawn(item.row) { writer.member("available", false) }
        guard ids.includesTokens else { return }
        writer.beginArray("tokens")
        for token in ids.ids.tokens(ofRow: item.row) { writer.integer(Int(token)) }
        writer.endArray()
    }

    private static func writeIdentity(of reply: RecommendReply, to writer: inout JSONWriter) {
        writer.member("request_id", reply.requestID)
        writer.beginObject("model")
        writer.member("name", reply.model.name)
        writer.member("version", reply.model.version)
        writer.endObject()
    }

    private static func write(_ removals: Removals, to writer: inout JSONWriter) {
        writer.member("eligible", removals.eligible)
        writer.beginObject("removed")
        writer.member("seen", removals.seen)
        writer.member("excluded", removals.excluded)
        writer.member("not_allowed", removals.notAllowed)
        writer.member("unavailable", removals.unavailable)
        writer.member("max_per_tag", removals.maxPerTag)
        writer.endObject()
    }

    private static func write(
        _ paths: Recommendation.PathFacts,
        includesExact: Bool,
        to writer: inout JSONWriter
    ) {
        if let width = paths.beams.first, paths.beams.allSatisfy({ $0 == width }) {
            writer.member("beams", width)
        } else {
            writer.member("beams", paths.beams)
        }
        if includesExact, let isExact = paths.isExact { writer.member("exact", isExact) }
        writer.member("prompt_tokens", paths.promptTokens)
        writer.member("tokens_cached", paths.tokensCached)
    }

    private static func writeOutcome(of reply: RecommendReply, to writer: inout JSONWriter) {
        let recommendation = reply.recommendation
        writer.member("source", recommendation.source.rawValue)
        writer.member("degraded", recommendation.degradation?.rawValue)
        if reply.isHistoryStored { writer.member("history_source", "store") }
        writer.member("history_used", recommendation.historyUsed)
        writer.member("history_cached", recommendation.historyCached)
        writer.member("history_start", recommendation.historyStart)
        if let paths = recommendation.paths { write(paths, includesExact: reply.includesExact, to: &writer) }
        writer.member("unknown_items", reply.unknownItems)
        if let ranking = reply.ranking {
            writer.member("unknown_candidates", ranking.unknown.count)
        } else {
            writer.member("exhausted", recommendation.exhausted)
            if let removals = reply.removals { write(removals, to: &writer) }
        }
        writer.beginObject("timing_ms")
        // Microseconds, rounded down.
        writer.member("queue", thousandths: Int(recommendation.timing.queue / 1_000))
        writer.member("prefill", thousandths: Int(recommendation.timing.prefill / 1_000))
        writer.member("decode", thousandths: Int(recommendation.timing.decode / 1_000))
        writer.member("total", thousandths: Int(reply.totalNanoseconds / 1_000))
        writer.endObject()
    }
}
