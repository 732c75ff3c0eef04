// Replies, problems and stream records, to the byte.

import Compute
import Engine
import JSON
import TestSupport
import Testing

@testable import Service

@Suite struct ReplyTests {
    private static let recommendation = Recommendation(
        items: [ScoredRow(row: 2, score: 0.8312), ScoredRow(row: 4, score: -1.5e-7)],
        source: .model,
        historyUsed: 63,
        historyCached: 62,
        exhausted: true,
        timing: .init(queue: 100_000, prefill: 1_900_999, decode: 0)
    )

    private static let reply = RecommendReply(
        recommendation,
        requestID: "r-1",
        model: .init(name: "de\"mo", version: "1"),
        unknownItems: 1,
        totalNanoseconds: 2_200_000_000
    )

    private static let rest =
        #""source":"model","history_used":63,"history_cached":62,"unknown_items":1,"exhausted":true,"#
        + #""timing_ms":{"queue":0.1,"prefill":1.9,"decode":0.0,"total":2200.0}}"#

    private static let head = #""request_id":"r-1","model":{"name":"de\"mo","version":"1"},"#

    private static let problem = ProblemDetails(
        status: 422,
        title: "Unprocessable Content",
        detail: "unknown field 'a\"\n'",
        requestID: "r-2"
    )

    private static let problemText =
        #"{"type":"about:blank","title":"Unprocessable Content","status":422,"detail":"unknown field 'a\"\n'","#
        + #""request_id":"r-2"}"#

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func reply_ToTheByte() throws {
        let items = #""items":[{"item":"b","score":0.8312},{"item":"é \"1\"","score":-1.5e-07}],"#
        #expect(
            text(try RecommendCodec.encode(Self.reply, ids: FakeCatalogue.strings))
                == "{" + Self.head + items + Self.rest
        )
    }

    @Test func integerIdsAreWrittenAsIntegers() throws {
        let bytes = try RecommendCodec.encode(Self.reply, ids: FakeCatalogue.integers)
        #expect(text(bytes).contains(#""items":[{"item":20,"score":0.8312},{"item":9223372036854775807,"score""#))
    }

    @Test func replyWithoutItems_FromPopularity() throws {
        var reply = Self.reply
        reply.recommendation.items = []
        reply.recommendation.source = .popularity
        reply.recommendation.exhausted = false
        let text = text(try RecommendCodec.encode(reply, ids: FakeCatalogue.strings))
        #expect(text.contains(#""items":[],"source":"popularity""#))
        #expect(text.contains(#""exhausted":false"#))
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func scoreThatIsNotFinite_IsThrownAndNeverWritten(score: Float) {
        var reply = Self.reply
        reply.recommendation.items[1].score = score
        #expect(throws: JSONError(.notFinite, at: 0, "")) {
            _ = try RecommendCodec.encode(reply, ids: FakeCatalogue.strings)
        }
        #expect(throws: JSONError(.notFinite, at: 0, "")) {
            _ = try RecommendCodec.encodeStreamItem(
                ScoredRow(row: 1, score: score),
                rank: 1,
                ids: ItemWriter(ids: FakeCatalogue.strings),
                format: .ndjson
            )
        }
    }

    @Test func problem_ToTheByte() {
        #expect(text(Self.problem.bytes) == Self.problemText)
        #expect(ProblemDetails.contentType == "application/problem+json")
    }

    @Test func batch_ToTheByte() throws {
        var reply = Self.reply
        reply.recommendation.items = []
        let bytes = try RecommendCodec.encodeBatch(
            [.problem(Self.problem), .reply(reply)],
            ids: { _ in FakeCatalogue.strings }
        )
        #expect(
            text(bytes) == #"{"results":["# + Self.problemText + ",{" + Self.head + #""items":[],"# + Self.rest + "]}"
        )
        #expect(text(RecommendCodec.encodeBatch([])) == #"{"results":[]}"#)
    }

    @Test(arguments: StreamFormat.allCases)
    func streamRecords_ToTheByte(format: StreamFormat) throws {
        func record(_ event: String, _ data: String) -> String {
            format == .ndjson ? data + "\n" : "event: \(event)\ndata: \(data)\n\n"
        }
        let item = try RecommendCodec.encodeStreamItem(
            ScoredRow(row: 2, score: 0.5),
            rank: 1,
            ids: ItemWriter(ids: FakeCatalogue.strings),
            format: format
        )
        #expect(text(item) == record("item", #"{"item":"b","score":0.5,"rank":1}"#))
        let end = RecommendCodec.encodeStreamEnd(Self.reply, format: format)
        #expect(text(end) == record("done", #"{"done":true,"# + Self.head + Self.rest))
        let error = RecommendCodec.encodeStreamError(Self.problem, format: format)
        #expect(text(error) == record("error", #"{"error":"# + Self.problemText + "}"))
        for bytes in [item, end, error] {
            let line = text(bytes).split(separator: "\n").last ?? ""
            let data = line.hasPrefix("data: ") ? line.dropFirst("data: ".count) : line
            #expect(throws: Never.self) { _ = try JSONTree.read(String(data)) }
        }
    }

    @Test func streamFormatsNameTheirMediaTypes() {
        #expect(StreamFormat.ndjson.contentType == "application/x-ndjson")
        #expect(StreamFormat.serverSentEvents.contentType == "text/event-stream")
    }

    @Test func everyReplyIsReadByFoundation() throws {
        let bytes = try RecommendCodec.encode(Self.reply, ids: FakeCatalogue.strings)
        guard case .object(let members) = try JSONTree.decode(bytes) else {
            Issue.record("no object")
            return
        }
        #expect(
            members["items"]
                == .array([
                    .object(["item": .string("b"), "score": .number(0.8312)]),
                    .object(["item": .string("é \"1\""), "score": .number(-1.5e-7)]),
                ])
        )
        #expect(
            Set(members.keys) == [
                "request_id", "model", "items", "source", "history_used", "history_cached", "unknown_items",
                "exhausted",
                "timing_ms",
            ]
        )
    }
}
