// The meaning of a body.

import Catalogue
import Engine
import Testing

@testable import Service

@Suite struct RecommendCodecTests {
    private let codec = RecommendCodec.forTests

    private func call(_ change: (inout RecommendCall) -> Void) -> RecommendCall {
        var call = RecommendCall(.forTests)
        change(&call)
        return call
    }

    private func history(_ rows: [Int32], _ timestamps: [Int64]?, events: Int) -> RecommendCall {
        call { call in
            call.request.history = rows
            call.request.timestamps = timestamps
            call.eventCount = events
        }
    }

    @Test func everyFieldIsRead() throws {
        var decoded = try codec.decode(
            """
            {
              "user_id": "u-42",
              "history": [
                {"item": "a", "timestamp": 1700000000, "action": "watch"},
                {"action": 3, "timestamp": 1700000060, "item": "c"}
              ],
              "request_time": 1700003600,
              "k": 7,
              "mode": "sequence",
              "sampling": {"temperature": 0.5, "top_p": 0.9, "seed": 7},
              "exclude": {"items": ["b"], "tags": ["drama"], "seen": false},
              "allow": {"items": ["c", "a"], "tags": ["scifi"]},
              "deadline_ms": 80,
              "priority": "high",
              "stream": true
            }
            """
        )
        #expect(decoded.request.actions.count == 2)
        decoded.request.actions = []
        #expect(
            decoded
                == call { call in
                    call.request.userID = "u-42"
                    call.request.history = [1, 3]
                    call.request.timestamps = [1_700_000_000, 1_700_000_060]
                    call.eventCount = 2
                    call.request.requestTime = 1_700_003_600
                    call.request.count = 7
                    call.request.mode = .sequence(Sampling(temperature: 0.5, topP: 0.9, seed: 7))
                    call.request.eligibility.excludedRows = [2]
                    call.request.eligibility.excludedTags = [1]
                    call.request.eligibility.excludesSeen = false
                    call.request.eligibility.allowance = .init(rows: [3, 1], tags: [0])
                    call.request.deadline = Instant(nanoseconds: 1_080_000_000)
                    call.request.priority = .high
                    call.stream = true
                }
        )
    }

    @Test(arguments: [#"{"history":[]}"#, #"{"history":{"items":[]}}"#, #" { "history" : { "items" : [ ] } } "#])
    func absentFieldsHaveDefaults(body: String) throws {
        let decoded = try codec.decode(body)
        #expect(decoded == RecommendCall(.forTests))
        #expect(decoded.request.eligibility.excludesSeen)
        #expect(decoded.request.mode == .topK)
        #expect(decoded.request.priority == .normal)
        #expect(decoded.request.eligibility.allowance == nil)
        #expect(decoded.request.requestTime == Arrival.forTests.time && decoded.request.deadline == nil)
    }

    @Test(arguments: [
        "user_id", "request_time", "k", "mode", "sampling", "exclude", "allow", "deadline_ms", "priority", "stream",
    ])
    func nullIsAbsent(field: String) throws {
        #expect(try codec.decode("{\"\(field)\":null,\"history\":[]}") == RecommendCall(.forTests))
    }

    @Test func nullIsAbsent_AlsoInside() throws {
        let body = #"""
            {"history":{"items":["a"],"timestamps":null,"actions":null},"mode":"sequence",
             "sampling":{"temperature":null,"top_p":null,"seed":null},"exclude":{"items":null,"tags":null,"seen":null}}
            """#
        let decoded = try codec.decode(body)
        var expected = history([1], nil, events: 1)
        expected.request.mode = .sequence(Sampling())
        #expect(decoded == expected)
        let events = try codec.decode(#"{"history":[{"item":"a","timestamp":null,"action":null}]}"#)
        #expect(events == history([1], nil, events: 1))
    }

    // MARK: History

    @Test(arguments: [
        #"[{"item":"a","timestamp":5},{"item":"b","timestamp":5},{"item":"c","timestamp":9}]"#,
        #"[{"timestamp":5,"item":"a","action":1},{"timestamp":5.0,"item":"b"},{"timestamp":0.9e1,"item":"c"}]"#,
        #"{"items":["a","b","c"],"timestamps":[5,5,9]}"#,
        #"{"timestamps":[5,5,9],"items":["a","b","c"]}"#,
        #"{"actions":["x",2,null],"timestamps":[5,5,9],"items":["a","b","\u0063"]}"#,
    ])
    func bothFormsMeanTheSame_InAnyOrderOfFields(text: String) throws {
        var decoded = try codec.decode("{\"history\":\(text)}")
        decoded.request.actions = []
        #expect(decoded == history([1, 2, 3], [5, 5, 9], events: 3))
    }

    @Test func actionsBecomeFingerprints_OfKnownEventsAlone_EqualForEqualOnes() throws {
        func actions(_ text: String) throws -> [UInt64] { try codec.decode("{\"history\":\(text)}").request.actions }
        let texts = try actions(#"{"actions":["buy",null,"b\u0075y","7"],"items":["a","?","b","c"]}"#)
        let numbers = try actions(#"{"items":["a","b"],"actions":[7,7.0]}"#)
        #expect(texts.count == 3 && texts[0] == texts[1])
        #expect(numbers.count == 2 && numbers[0] == numbers[1])
        #expect(Set(texts + numbers).count == 3 && !(texts + numbers).contains(0))
        let events = #"[{"item":"a"},{"item":"b","action":"buy"},{"action":7,"item":"c"},{"item":"a","action":null}]"#
        #expect(try actions(events) == [0, texts[0], numbers[0], 0])
        #expect(try actions(#"[{"item":"a","action":null},{"item":"b"}]"#) == [])
        #expect(try actions(#"{"items":["a","b"],"actions":[null,null]}"#) == [])
    }

    @Test(
        arguments: [
            (#"[{"item":"a"},{"item":"?"},{"item":"b"}]"#, [1, 2], nil, 3, 1),
            (#"[{"item":"?","timestamp":1},{"item":"b","timestamp":2},{"item":"?","timestamp":3}]"#, [2], [2], 3, 2),
            (#"{"timestamps":[1,2,3,4],"items":["a","?","c","?"]}"#, [1, 3], [1, 3], 4, 2),
            (#"{"items":["?","?"],"timestamps":[1,2]}"#, [], [], 2, 2),
            (#"{"items":["?"]}"#, [], nil, 1, 1),
            (#"{"items":["","é \"1\""]}"#, [5, 4], nil, 2, 0),
        ] as [(String, [Int32], [Int64]?, Int, Int)]
    )
    func unknownItemsAreSkippedWithTheirTimes_AndCounted(
        text: String,
        rows: [Int32],
        timestamps: [Int64]?,
        events: Int,
        unknown: Int
    ) throws {
        let decoded = try codec.decode("{\"history\":\(text)}")
        var expected = history(rows, timestamps, events: events)
        expected.unknownItems = unknown
        #expect(decoded == expected)
    }

    /// Nine of ten are not more than 90 %, and four events are too few to judge.
    @Test(
        arguments: [
            ("[7,8,9,10]", nil), ("[7,8,9,10,11]", "7"), (#"["x","y",1,2,3,4]"#, "x"),
            (#"["a","1","2","3","4","5","6","7","8","9"]"#, nil),
            (#"["a","1","2","3","4","5","6","7","8","9","0"]"#, "1"),
            (#"["a","b","c","a","b"]"#, nil),
        ] as [(String, String?)]
    )
    func historyOfUnknownItems_ShowsOneOfThem(items: String, id: String?) throws {
        let codec = RecommendCodec(
            limits: CallLimits(defaultK: 10, maxK: 100, maxHistory: 20, maxListed: 3, maxBatch: 2)
        )
        let body = #"{"exclude":{"items":["?"]},"history":{"items":\#(items)}}"#
        #expect(try codec.decode(body).strangeID == id)
    }

    @Test func requestTimeInMilliseconds_IsRefused() {
        let sentence =
            "422 request_time lies after the year 9999; times are in seconds since 1970, and this looks like milliseconds"
        #expect(codec.refusal(#"{"history":[],"request_time":1700000000000}"#) == sentence)
    }

    /// Rows are looked up a few dozen at a time. An id with escapes is valid only until the reader continues, so it is
    /// looked up immediately.
    @Test(arguments: [1, 31, 32, 33, 64, 200])
    func longHistories_HaveTheRowOfEachIDInItsPlace(count: Int) throws {
        let codec = RecommendCodec(
            limits: CallLimits(defaultK: 10, maxK: 100, maxHistory: 200, maxListed: 3, maxBatch: 2, maxCandidates: 4)
        )
        let ids = ["\"a\"", "\"nobody\"", "\"\\u0061\"", "\"c\"", "17", "\"é \\\"1\\\"\"", "\"\"", "\"b\""]
        let rows: [Int32?] = [1, nil, 1, 3, nil, 4, 5, 2]
        let order = (0..<count).map { ($0 * $0 + $0 / 3) % ids.count }
        var expected = history(
            order.compactMap { rows[$0] },
            order.indices.filter { rows[order[$0]] != nil }.map(Int64.init),
            events: count
        )
        expected.unknownItems = order.count { rows[$0] == nil }
        let items = order.map { ids[$0] }
        let events = items.enumerated().map { "{\"timestamp\":\($0),\"item\":\($1)}" }.joined(separator: ",")
        let times = items.indices.map(String.init).joined(separator: ",")
        for body in [
            "{\"history\":[\(events)]}",
            "{\"history\":{\"items\":[\(items.joined(separator: ","))],\"timestamps\":[\(times)]}}",
            "{\"history\":{\"timestamps\":[\(times)],\"items\":[\(items.joined(separator: " , "))]}}",
        ] {
            #expect(try codec.decode(body) == expected)
        }
    }

    @Test func unknownItemsAreCountedWhereverTheyStand_AndUnknownTagsNot() throws {
        let decoded = try codec.decode(
            #"""
            {"exclude":{"items":["?","a","?"],"tags":["?","scifi"]},"history":{"items":["?","b"]},
             "allow":{"items":["?"],"tags":["?",""]}}
            """#
        )
        #expect(decoded.unknownItems == 4)
        let eligibility = decoded.request.eligibility
        #expect(eligibility.excludedRows == [1])
        #expect(eligibility.excludedTags == [0])
        #expect(eligibility.allowance == .init(rows: [], tags: [2]))
    }

    @Test(
        arguments: [
            ("[10,20,-30]", [1, 2, 3], 0), ("[10.0,2e1]", [1, 2], 0),
            ("[9223372036854775807,-9223372036854775808]", [4, 5], 0),
            ("[11]", [], 1), (#"["10",10]"#, [1, 1], 0), (#"["010","+10","10.0",""]"#, [], 4),
        ] as [(String, [Int32], Int)]
    )
    func integerIds_MayBeCanonicalStrings(text: String, rows: [Int32], unknown: Int) throws {
        let decoded = try codec.decode("{\"history\":{\"items\":\(text)}}", items: .integers)
        #expect(decoded.request.history == rows)
        #expect(decoded.unknownItems == unknown)
    }

    @Test(arguments: [0, -1, 253_402_300_799, -9_007_199_254_740_992] as [Int64])
    func timestampsReachToTheYear9999(timestamp: Int64) throws {
        let decoded = try codec.decode(
            "{\"history\":{\"items\":[\"a\"],\"timestamps\":[\(timestamp)]},\"request_time\":\(timestamp)}"
        )
        #expect(decoded.request.timestamps == [timestamp])
        #expect(decoded.request.requestTime == timestamp)
    }

    @Test func requestTimeMayLieBeforeTheNewestEvent() throws {
        let body = #"{"request_time":1,"history":{"items":["a"],"timestamps":[2]}}"#
        #expect(try codec.decode(body).request.requestTime == 1)
    }

    // MARK: Allowance

    @Test(arguments: [
        #"{"items":[]}"#, #"{"tags":[]}"#, #"{"items":["?"]}"#, #"{"items":null,"tags":["?"]}"#,
    ])
    func allowanceThatNamesNothingKnown_AllowsNothing(text: String) throws {
        let decoded = try codec.decode("{\"history\":[],\"allow\":\(text)}")
        #expect(decoded.request.eligibility.allowance == .init(rows: [], tags: []))
    }

    // MARK: Limits

    @Test(arguments: [
        (#""k":1"#, nil), (#""k":100"#, nil), (#""k":0"#, "k must be an integer from 1 to 100"),
        (#""k":101"#, "k must be an integer from 1 to 100"),
        (#""deadline_ms":1"#, nil), (#""deadline_ms":86400000"#, nil),
        (#""deadline_ms":0"#, "deadline_ms must be an integer from 1 to 86400000"),
        (#""deadline_ms":86400001"#, "deadline_ms must be an integer from 1 to 86400000"),
        (#""exclude":{"items":["a","?","c"]}"#, nil),
        (#""exclude":{"items":["a","?","c","a"]}"#, "exclude.items has more than 3 entries"),
        (#""exclude":{"tags":["a","b","c","d"]}"#, "exclude.tags has more than 3 entries"),
        (#""allow":{"items":["a","b","c","d"]}"#, "allow.items has more than 3 entries"),
        (#""allow":{"tags":["a","b","c","d"]}"#, "allow.tags has more than 3 entries"),
    ])
    func limitsAreKept(member: String, sentence: String?) {
        #expect(codec.refusal("{\"history\":[],\(member)}") == sentence.map { "422 " + $0 })
    }

    @Test(arguments: [
        (#"{"items":["a","?","c","a"],"timestamps":[1,2,3,4],"actions":[1,2,3,4]}"#, nil),
        (#"{"items":["a","?","c","a","b"]}"#, "history.items has more than 4 events"),
        (#"{"timestamps":[1,2,3,4,5],"items":[]}"#, "history.timestamps has more than 4 events"),
        (#"{"actions":[1,2,3,4,5],"items":[]}"#, "history.actions has more than 4 events"),
        (#"[{"item":"a"},{"item":"a"},{"item":"a"},{"item":"a"}]"#, nil),
        (#"[{"item":"a"},{"item":"a"},{"item":"a"},{"item":"a"},{"item":"a"}]"#, "history has more than 4 events"),
    ])
    func historyIsLimited(text: String, sentence: String?) {
        #expect(codec.refusal("{\"history\":\(text)}") == sentence.map { "422 " + $0 })
    }

    @Test func userIDHasUpTo256Bytes() throws {
        let longest = String(repeating: "é", count: 128)
        #expect(try codec.decode("{\"history\":[],\"user_id\":\"\(longest)\"}").request.userID == longest)
        #expect(
            codec.refusal("{\"history\":[],\"user_id\":\"\(longest)x\"}") == "422 user_id must have 1 to 256 bytes"
        )
    }

    // MARK: Batches

    @Test func batchKeepsTheOrder_AndEachCallsOwnFault() throws {
        let body = #"""
            {"requests":[{"history":[{"item":"a"},{"item":7.5,"x":[1,{"y":"]}"}]}],"k":"ten"},{"history":{"items":["?","b"]},"k":3}]}
            """#
        let calls = try codec.decodeBatch(body)
        try #require(calls.count == 2)
        guard case .failure(let fault) = calls[0] else {
            Issue.record("the first call is broken")
            return
        }
        #expect(fault.code == .unusable)
        #expect(fault.detail == "history[1].item must be a string or a 64-bit integer")
        #expect(
            try calls[1].get()
                == call { call in
                    call = history([2], nil, events: 2)
                    call.request.count = 3
                    call.unknownItems = 1
                }
        )
    }

    @Test func nothingOfOneCallLeaksIntoTheNext() throws {
        let body = #"""
            {"requests":[{"history":{"items":["a","?","c"],"timestamps":[7,8,9]},"user_id":"u","exclude":{"items":["?"]}},
            {"history":{"timestamps":[1],"items":["b"]}}]}
            """#
        let calls = try codec.decodeBatch(body)
        try #require(calls.count == 2)
        #expect(try calls[0].get().unknownItems == 2)
        #expect(try calls[1].get() == history([2], [1], events: 1))
    }

    @Test(
        arguments: [
            (#"{"requests":[]}"#, nil),
            (#"{"requests":[1,null]}"#, nil),
            (#"{"requests":[{"history":[]},{"history":[]},{"history":[]}]}"#, "422 requests has more than 2 entries"),
            (#"{}"#, "422 requests is missing"),
            (#"{"requests":null}"#, "422 requests must be an array"),
            (#"{"requests":{}}"#, "422 requests must be an array"),
            (#"[]"#, "422 the batch must be an object"),
            (#"{"request":[]}"#, "422 unknown field 'request'"),
            (#"{"requests":[],"requests":[]}"#, "400 byte 15: the key 'requests' is duplicated"),
            (#"{"requests":[{"k":0,"history":[]},{"history":[]]}"#, "400 byte 47: expected ',' or '}'"),
            (#"{"requests":[{"k":0} {}]}"#, "400 byte 21: expected ',' or ']'"),
            (#"{"requests":[]} x"#, "400 byte 16: expected the end"),
        ] as [(String, String?)]
    )
    func batchAsAWholeIsRefused(body: String, refusal: String?) {
        do throws(CallError) {
            _ = try codec.decodeBatch(body)
            #expect(refusal == nil)
        } catch {
            #expect("\(error.status) \(error.detail)" == refusal)
        }
    }

    @Test func entryThatIsNoCall_IsThatEntrysFault() throws {
        let calls = try codec.decodeBatch(#"{"requests":[1,null]}"#)
        #expect(calls == [.failure(CallError(.unusable, "")), .failure(CallError(.unusable, ""))])
    }
}
