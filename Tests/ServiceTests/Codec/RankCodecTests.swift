// The meaning of a body of `POST /rank`, and the encoding of its scores.

import Compute
import Engine
import Testing

@testable import Service

@Suite struct RankCodecTests {
    private let codec = RecommendCodec.forTests

    private func ranking(_ members: String, items: FakeCatalogue = .strings) throws -> Ranking {
        try #require(try codec.decode("{\"history\":[],\(members)}", as: .rank, items: items).ranking)
    }

    /// The reply's items, with a score of 10 per row number, as ids and scores.
    private func text(_ ranking: Ranking, items: FakeCatalogue = .strings) throws -> String {
        let scored = ranking.rows.map { ScoredRow(row: $0, score: Float(10 * $0)) }
        let reply = RecommendReply(
            Recommendation(items: scored, source: .model, historyUsed: 1, exhausted: false, timing: .init()),
            requestID: "r",
            model: .init(name: "m", version: "1"),
            unknownItems: 2,
            totalNanoseconds: 0,
            ranking: ranking
        )
        return String(decoding: try RecommendCodec.encode(reply, ids: items), as: UTF8.self)
    }

    @Test func everyFieldIsRead() throws {
        let call = try codec.decode(
            """
            {"user_id": "u", "history": {"items": ["a", "?"]}, "candidates": ["c", "?", "b", "c"], "request_time": 7,
             "order": "score", "k": 2, "deadline_ms": 80, "priority": "low", "stream": true}
            """,
            as: .rank
        )
        var request = RecommendationRequest.forTests
        request.userID = "u"
        request.history = [1]
        request.requestTime = 7
        request.mode = .rank([3, 2])
        request.deadline = Instant(nanoseconds: 1_080_000_000)
        request.priority = .low
        #expect(call.request == request)
        // Unknown candidates are counted separately from unknown items.
        #expect(call.eventCount == 2 && call.unknownItems == 1 && call.stream)
        #expect(call.ranking?.count == 2 && call.ranking?.namedCount == 4 && call.ranking?.unknown.count == 1)
    }

    @Test func theOrderOfScores_LeavesUnknownOnesOut_AndKeepsRepetitions() throws {
        let text = try text(try ranking(#""candidates":["a","?","c","a"]"#))
        #expect(
            text.contains(
                #""items":[{"item":"c","score":30.0},{"item":"a","score":10.0},{"item":"a","score":10.0}]"#
            )
        )
        #expect(text.contains(#""unknown_items":2,"unknown_candidates":1,"timing_ms""#))
        #expect(!text.contains("exhausted"))
    }

    @Test func theOrderOfTheRequest_KeepsEveryPlace() throws {
        let text = try text(try ranking(#""order":"request","candidates":["a","x\"\u00e9","c","a"]"#))
        let items = #"{"item":"a","score":10.0},{"item":"x\"é","score":null},{"item":"c","score":30.0},"#
        #expect(text.contains(#""items":["# + items + #"{"item":"a","score":10.0}]"#))
    }

    @Test func unknownIntegers_ComeBackAsTheyWere() throws {
        let ranking = try ranking(#""order":"request","candidates":[20,11,"020",-7e0]"#, items: .integers)
        let text = try text(ranking, items: .integers)
        let unknown = #"{"item":11,"score":null},{"item":"020","score":null},{"item":-7,"score":null}"#
        #expect(text.contains(#""items":[{"item":20,"score":20.0},"# + unknown + "]"))
        #expect(text.contains(#""unknown_candidates":3"#))
    }

    @Test func equalScores_StandByRow_AndTheBestAreCut() throws {
        var ranking = try ranking(#""k":2,"candidates":["c","a","b"]"#)
        let equal = ranking.rows.map { ScoredRow(row: $0, score: 1) }
        #expect(ranking.arranged(equal).map(\.row) == [1, 2])
        ranking.count = nil
        #expect(ranking.arranged(equal).map(\.row) == [1, 2, 3])
    }

    @Test(
        arguments: [
            (#""candidates":[]"#, "candidates must have 1 to 4 entries"),
            (#""candidates":["a","a","a","?","b"]"#, "candidates has more than 4 entries"),
            (#""candidates":null"#, "candidates must be an array"),
            (#""candidates":["a",1.5]"#, "candidates[1] must be a string or a 64-bit integer"),
            (#""candidates":["a",{}]"#, "candidates[1] must be a string or an integer"),
            (#""k":1"#, "candidates is missing"),
            (#""candidates":["a"],"k":0"#, "k must be an integer from 1 to 4"),
            (#""candidates":["a"],"k":5"#, "k must be an integer from 1 to 4"),
            (#""candidates":["a"],"order":"best""#, #"order must be one of "score", "request""#),
            (#""candidates":["a"],"order":"request","k":1"#, #"k requires order "score""#),
            (#""candidates":["a"],"mode":"top_k""#, "unknown field 'mode'"),
            (#""candidates":["a"],"exclude":{}"#, "unknown field 'exclude'"),
        ]
    )
    func refusals_NameTheField(members: String, sentence: String) {
        #expect(codec.refusal("{\"history\":[],\(members)}", as: .rank) == "422 " + sentence)
    }

    @Test func theOtherRoute_DoesNotKnowCandidates() {
        #expect(codec.refusal(#"{"history":[],"candidates":["a"]}"#) == "422 unknown field 'candidates'")
        #expect(codec.refusal(#"{"candidates":["a"]}"#, as: .rank) == "422 history is missing")
    }

    @Test func aBatch_KeepsEachCallsOwnFault() throws {
        let body = #"{"requests":[{"history":[],"candidates":["a"]},{"history":[],"candidates":[]}]}"#
        let calls = try codec.decodeBatch(body, as: .rank)
        #expect(try calls[0].get().request.mode == .rank([1]))
        #expect(throws: CallError(.unusable, "")) { try calls[1].get() }
    }
}
