// Media types as callers write them.

import Testing

@testable import Service

@Suite struct MediaTypeTests {
    @Test(arguments: [
        ("application/json", true), ("Application/JSON", true), ("application/json; charset=utf-8", true),
        ("application/json;charset=\"UTF-8\"", true), ("application/json; charset=latin1", false),
        ("application/jsonp", false), ("text/json", false), ("", false), ("application/json;", false),
    ])
    func knowsJSON(text: String, isJSON: Bool) {
        #expect(MediaType(text).isJSON == isJSON)
    }

    @Test(arguments: [
        ("application/json", true), ("*/*", true), ("application/*", true), ("text/html, */*;q=0.1", true),
        ("text/html", false), ("", false), ("application/json;q=0", false), ("application/json;q=0, */*", false),
        ("*/*;q=0, application/json", true), ("application/*;q=0.0, */*", false), ("APPLICATION/JSON", true),
    ])
    func accepts_ByTheMostSpecificRange(text: String, isAllowed: Bool) {
        #expect(AcceptedTypes(text).allow("application", "json") == isAllowed)
    }
}
