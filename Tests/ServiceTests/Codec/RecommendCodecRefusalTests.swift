// Refused bodies: their statuses and the names in their sentences.

import Testing

@testable import Service

@Suite struct RecommendCodecRefusalTests {
    private let codec = RecommendCodec.forTests

    @Test(arguments: [
        ("", "byte 0: expected a value, but the text ends"),
        ("{", "byte 1: expected a key in double quotes, but the text ends"),
        ("\u{feff}{}", "byte 0: expected a value, found a byte order mark"),
        (#"{"history":[]}}"#, "byte 14: expected the end"),
        (#"{"history":[],}"#, "byte 14: expected a key in double quotes"),
        (#"{"history":[{"item":"a"},]}"#, "byte 25: expected a value"),
        (#"{"history":[],"k":010}"#, "byte 18: a leading zero"),
        (#"{"history":[],"k":NaN}"#, "byte 18: expected a value"),
        (#"{"history":[],"user_id":"\ud800"}"#, "byte 25: a lone surrogate"),
        (#"{"history":[],"history":[]}"#, "byte 14: the key 'history' is duplicated"),
        (#"{"k":1,"\u006b":2,"history":[]}"#, "byte 7: the key 'k' is duplicated"),
        (#"{"history":[{"item":"a","item":"a"}]}"#, "byte 24: the key 'item' is duplicated"),
        (#"{"history":{"items":[],"items":[]}}"#, "byte 23: the key 'items' is duplicated"),
        (#"{"history":[],"exclude":{"seen":true,"seen":true}}"#, "byte 37: the key 'seen' is duplicated"),
        (#"{"history":[],"allow":{"tags":[],"tags":[]}}"#, "byte 33: the key 'tags' is duplicated"),
        (#"{"history":[],"sampling":{"seed":1,"seed":1}}"#, "byte 35: the key 'seed' is duplicated"),
        (#"{"x":[[[[[[[[[[[[[[[["#, "byte 20: nested deeper than 16 levels"),
    ])
    func malformedBodyIs400_NamingTheByte(body: String, sentence: String) {
        #expect(codec.refusal(body) == "400 " + sentence)
    }

    @Test(arguments: [
        ("[]", "the request must be an object"),
        ("null", "the request must be an object"),
        ("{}", "history is missing"),
        (#"{"k":1}"#, "history is missing"),
        (#"{"history":[],"exlude":{}}"#, "unknown field 'exlude'"),
        (#"{"history":[],"":1}"#, "unknown field ''"),
        (#"{"history":[],"exclude":{"itms":[]}}"#, "unknown field 'itms' in exclude"),
        (#"{"history":[],"allow":{"seen":true}}"#, "unknown field 'seen' in allow"),
        (#"{"history":[],"sampling":{"top_k":1}}"#, "unknown field 'top_k' in sampling"),
        (#"{"history":[],"user_id":7}"#, "user_id must be a string"),
        (#"{"history":[],"user_id":""}"#, "user_id must have 1 to 256 bytes"),
        (#"{"history":[],"user_id":"a\u0000"}"#, "user_id must not have control characters"),
        (#"{"history":[],"user_id":"a\nb"}"#, "user_id must not have control characters"),
        ("{\"history\":[],\"user_id\":\"a\u{7f}\"}", "user_id must not have control characters"),
        ("{\"history\":[],\"user_id\":\"a\u{9f}\"}", "user_id must not have control characters"),
        (#"{"history":[],"request_time":"now"}"#, "request_time must be an integer from -2^53 to 2^53"),
        (#"{"history":[],"request_time":9007199254740993}"#, "request_time must be an integer from -2^53 to 2^53"),
        (#"{"history":[],"request_time":1.5}"#, "request_time must be an integer from -2^53 to 2^53"),
        (#"{"history":[],"k":1.5}"#, "k must be an integer from 1 to 100"),
        (#"{"history":[],"k":"10"}"#, "k must be an integer from 1 to 100"),
        (#"{"history":[],"k":-1}"#, "k must be an integer from 1 to 100"),
        (#"{"history":[],"k":1e999}"#, "k must be an integer from 1 to 100"),
        (#"{"history":[],"k":99999999999999999999}"#, "k must be an integer from 1 to 100"),
        (#"{"history":[],"k":[]}"#, "k must be an integer from 1 to 100"),
        (#"{"history":[],"mode":"topk"}"#, #"mode must be one of "top_k", "sequence""#),
        (#"{"history":[],"mode":1}"#, #"mode must be one of "top_k", "sequence""#),
        (#"{"history":[],"priority":"urgent"}"#, #"priority must be one of "high", "normal", "low""#),
        (#"{"history":[],"stream":"yes"}"#, "stream must be true or false"),
        (#"{"history":[],"deadline_ms":1.5}"#, "deadline_ms must be an integer from 1 to 86400000"),
        (#"{"history":[],"sampling":{}}"#, #"sampling requires mode "sequence""#),
        (#"{"sampling":{},"mode":"top_k","history":[]}"#, #"sampling requires mode "sequence""#),
        (#"{"history":[],"sampling":[]}"#, "sampling must be an object"),
        (#"{"history":[],"exclude":[]}"#, "exclude must be an object"),
        (#"{"history":[],"exclude":{"items":"a"}}"#, "exclude.items must be an array"),
        (#"{"history":[],"exclude":{"items":["a",null]}}"#, "exclude.items[1] must be a string or an integer"),
        (#"{"history":[],"exclude":{"items":[1.5]}}"#, "exclude.items[0] must be a string or a 64-bit integer"),
        (#"{"history":[],"exclude":{"tags":["a",7]}}"#, "exclude.tags[1] must be a string"),
        (#"{"history":[],"exclude":{"seen":0}}"#, "exclude.seen must be true or false"),
        (#"{"history":[],"allow":true}"#, "allow must be an object"),
        (#"{"history":[],"allow":{}}"#, "allow must have items or tags"),
        (#"{"history":[],"allow":{"items":null,"tags":null}}"#, "allow must have items or tags"),
        (#"{"history":[],"allow":{"tags":{}}}"#, "allow.tags must be an array"),
    ])
    func unusableValueIs422_NamingTheField(body: String, sentence: String) {
        #expect(codec.refusal(body) == "422 " + sentence)
    }

    @Test(arguments: [
        ("null", "history is missing"),
        ("7", "history must be an array of events or an object of columns"),
        (#"["a"]"#, "history[0] must be an object"),
        (#"[{"item":"a"},null]"#, "history[1] must be an object"),
        ("[{}]", "history[0].item is missing"),
        (#"[{"timestamp":1}]"#, "history[0].item is missing"),
        (#"[{"item":null}]"#, "history[0].item must be a string or an integer"),
        (#"[{"item":"a","itme":1}]"#, "unknown field 'itme' in history[0]"),
        (#"[{"item":"a","timestamp":"1"}]"#, "history[0].timestamp must be an integer from -2^53 to 2^53"),
        (#"[{"item":"a","timestamp":1.5}]"#, "history[0].timestamp must be an integer from -2^53 to 2^53"),
        (#"[{"item":"a","action":true}]"#, "history[0].action must be a string or an integer"),
        (#"[{"item":"a","action":1.5}]"#, "history[0].action must be a string or an integer"),
        (
            #"[{"item":"a","timestamp":2},{"item":"?","timestamp":3},{"item":"a","timestamp":2}]"#,
            "history[2].timestamp is smaller than its predecessor"
        ),
        (
            #"[{"item":"a","timestamp":1},{"item":"a"}]"#,
            "history[1].timestamp is missing, but earlier events have one: all or none"
        ),
        (
            #"[{"item":"a"},{"item":"a","timestamp":null},{"item":"a","timestamp":1}]"#,
            "history[2].timestamp is given, but earlier events have none: all or none"
        ),
        (
            #"[{"item":"a","timestamp":253402300800}]"#,
            "history[0].timestamp lies after the year 9999; times are in seconds since 1970, and this looks like milliseconds"
        ),
        (
            #"{"items":["a"],"timestamps":[1700000000000]}"#,
            "history.timestamps[0] lies after the year 9999; times are in seconds since 1970, and this looks like "
                + "milliseconds"
        ),
        ("{}", "history.items is missing"),
        (#"{"timestamps":[]}"#, "history.items is missing"),
        (#"{"items":null}"#, "history.items must be an array"),
        (#"{"items":["a",[]]}"#, "history.items[1] must be a string or an integer"),
        (#"{"items":["a"],"timestamp":[1]}"#, "unknown field 'timestamp' in history"),
        (#"{"items":["a"],"timestamps":1}"#, "history.timestamps must be an array"),
        (#"{"items":["a"],"timestamps":[null]}"#, "history.timestamps[0] must be an integer from -2^53 to 2^53"),
        (
            #"{"items":["a"],"timestamps":[-9007199254740993]}"#,
            "history.timestamps[0] must be an integer from -2^53 to 2^53"
        ),
        (
            #"{"items":["a"],"timestamps":[-9223372036854775808]}"#,
            "history.timestamps[0] must be an integer from -2^53 to 2^53"
        ),
        (
            #"{"items":["a","?","a","a"],"timestamps":[1,2,5,4]}"#,
            "history.timestamps[3] is smaller than its predecessor"
        ),
        (#"{"timestamps":[2,1],"items":["a","a"]}"#, "history.timestamps[1] is smaller than its predecessor"),
        (#"{"items":["a","a"],"timestamps":[1]}"#, "history.timestamps has 1 entries, history.items has 2"),
        (#"{"timestamps":[1],"items":[]}"#, "history.timestamps has 1 entries, history.items has 0"),
        (#"{"items":["a"],"actions":[]}"#, "history.actions has 0 entries, history.items has 1"),
        (#"{"items":["a"],"actions":[{}]}"#, "history.actions[0] must be a string or an integer"),
    ])
    func unusableHistoryIs422_NamingThePlace(history: String, sentence: String) {
        #expect(codec.refusal("{\"history\":\(history)}") == "422 " + sentence)
    }

    @Test(
        arguments: [
            (#""temperature":0"#, "sampling.temperature must be a number above 0"),
            (#""temperature":-1"#, "sampling.temperature must be a number above 0"),
            (#""temperature":1e-40"#, "sampling.temperature must be a number above 0"),
            (#""temperature":1e39"#, "sampling.temperature must be a number above 0"),
            (#""temperature":"1""#, "sampling.temperature must be a number above 0"),
            (#""top_p":0"#, "sampling.top_p must be a number above 0 and at most 1"),
            (#""top_p":1.001"#, "sampling.top_p must be a number above 0 and at most 1"),
            (#""top_p":true"#, "sampling.top_p must be a number above 0 and at most 1"),
            (#""seed":1.5"#, "sampling.seed must be a 64-bit integer"),
            (#""seed":9223372036854775808"#, "sampling.seed must be a 64-bit integer"),
            (#""temperature":0.001,"top_p":1,"seed":-9223372036854775808"#, nil),
            (#""temperature":100,"top_p":1e-9,"seed":9223372036854775807"#, nil),
        ] as [(String, String?)]
    )
    func samplingIsWithinItsRanges(members: String, sentence: String?) {
        let body = "{\"mode\":\"sequence\",\"sampling\":{\(members)},\"history\":[]}"
        #expect(codec.refusal(body) == sentence.map { "422 " + $0 })
    }

    @Test(arguments: [
        ("[1.5]", "history.items[0] must be a string or a 64-bit integer"),
        ("[9223372036854775808]", "history.items[0] must be a string or a 64-bit integer"),
        ("[10,true]", "history.items[1] must be a string or an integer"),
    ])
    func integerIdsMustBeIntegers(items: String, sentence: String) {
        #expect(codec.refusal("{\"history\":{\"items\":\(items)}}", items: .integers) == "422 " + sentence)
    }

    /// 422 implies well-formed JSON: it must not be returned for a body that is malformed after the bad value.
    @Test(arguments: [
        (#"{"k":0,"history":[]"#, "400 byte 19: expected ',' or '}', but the text ends"),
        (#"{"k":0,"history":[]} x"#, "400 byte 21: expected the end"),
        (#"{"exlude":{"a":tru}}"#, "400 byte 15: expected a value"),
        (#"{"k":0,"x":[1,2,{"y":"\q"}]}"#, "400 byte 22: an escape that JSON does not define"),
        (#"{"k":0,"x":[1,2,{"y":"q"}]}"#, "422 k must be an integer from 1 to 100"),
    ])
    func malformedWinsOverUnusable(body: String, refusal: String) {
        #expect(codec.refusal(body) == refusal)
    }

    @Test func longUnknownFieldIsCut_AtAScalar() {
        let key = "x" + String(repeating: "é", count: 5_000)
        let excerpt = "x" + String(repeating: "é", count: 31) + "…"
        #expect(codec.refusal("{\"\(key)\":1}") == "422 unknown field '\(excerpt)'")
    }

    @Test func bodyCutAnywhereIs400() {
        let body = Array(
            #"{"user_id":"u","history":[{"item":"a","timestamp":1}],"k":5,"exclude":{"items":["b"],"seen":true}}"#.utf8
        )
        for count in 0..<body.count {
            #expect(throws: CallError(.malformed, ""), "cut after \(count) bytes") {
                _ = try codec.decode(Array(body[..<count]))
            }
        }
        #expect(throws: Never.self) { _ = try codec.decode(body) }
    }

    @Test func tenMegabytesOfOpenBracketsAre400() {
        let body = [UInt8](repeating: UInt8(ascii: "["), count: 10_000_000)
        #expect(throws: CallError(.malformed, "")) { _ = try codec.decode(body) }
    }

    @Test(
        arguments: [
            ("u-42", nil), ("é 🚀", nil), (String(repeating: "x", count: 256), nil),
            (String(repeating: "x", count: 257), "must have 1 to 256 bytes"), ("", "must have 1 to 256 bytes"),
            ("a\u{0}", "must not have control characters"), ("\u{80}", "must not have control characters"),
            ("\u{a0}", nil),
        ] as [(String, String?)]
    )
    func userIDsFromElsewhereKeepTheSameRule(id: String, fault: String?) {
        #expect(Array(id.utf8).withUnsafeBufferPointer(RecommendCodec.fault(inUserID:)) == fault)
    }
}
