// The form of a reply: `Accept` with its weights, and the body's `stream`.

import Testing

@testable import Service

@Suite struct MediaTypeTests {
    private static let json = "application/json"
    private static let ndjson = "application/x-ndjson"
    private static let events = "text/event-stream"

    private static let ofBodiesWithoutStream: [(accept: String?, form: ReplyForm?)] = [
        (nil, ReplyForm.whole), ("", .whole), ("*/*", .whole), (json, .whole), ("APPLICATION/JSON", .whole),
        ("application/*", .whole), ("\(ndjson), \(json)", .whole), ("text/html, */*;q=0.1", .whole),
        (ndjson, .stream(.ndjson)), (events, .stream(.serverSentEvents)), ("text/*", .stream(.serverSentEvents)),
        ("\(json);q=0.5, \(ndjson)", .stream(.ndjson)),
        ("\(json);q=0.5, \(events);q=0.501", .stream(.serverSentEvents)),
        ("\(json);q=0, */*", .stream(.ndjson)),
        ("\(json);q=0, application/*;q=0.2, text/*", .stream(.serverSentEvents)),
        ("\(events);charset=utf-8", .stream(.serverSentEvents)), (" \(ndjson)\t; q=1.000 ", .stream(.ndjson)),
        ("text/html", nil), ("\(json);q=0", nil), ("*/*;q=0", nil), ("\(json);q=2", nil), ("\(json);q=", nil),
        ("\(json);q=0.1234", nil), ("\(json);q=.5", nil), ("\(json);q=1.001", nil), ("nonsense", nil),
    ]

    @Test(arguments: ofBodiesWithoutStream)
    func form_IsWhatAcceptLikesBest(accept: String?, form: ReplyForm?) {
        #expect(ReplyForm.choose(accept: accept, wantsStream: false) == form)
    }

    private static let ofBodiesWithStream: [(accept: String?, form: ReplyForm?)] = [
        (nil, ReplyForm.stream(.ndjson)), ("*/*", .stream(.ndjson)), (events, .stream(.serverSentEvents)),
        ("\(json), \(events);q=0.1", .stream(.serverSentEvents)), ("\(events), \(ndjson)", .stream(.ndjson)),
        ("\(ndjson);q=0.9, \(events)", .stream(.serverSentEvents)), ("application/*", .stream(.ndjson)),
        (json, nil), ("\(json), \(ndjson);q=0", nil), ("text/html", nil),
    ]

    @Test(arguments: ofBodiesWithStream)
    func form_IsAlwaysAStream_WhereTheBodyWantsOne(accept: String?, form: ReplyForm?) {
        #expect(ReplyForm.choose(accept: accept, wantsStream: true) == form)
    }

    @Test func mostSpecificRange_DecidesWhateverItsPlace() {
        let accepted = AcceptedTypes("*/*;q=0.1, application/*;q=0.2, application/json;q=0.3")
        #expect(accepted.quality("application", "json") == 300)
        #expect(accepted.quality("application", "x-ndjson") == 200)
        #expect(accepted.quality("text", "event-stream") == 100)
        #expect(AcceptedTypes("application/json;q=0.3, */*").quality("application", "json") == 300)
    }
}
