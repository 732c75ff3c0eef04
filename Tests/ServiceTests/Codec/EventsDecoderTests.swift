// Valid and invalid bodies of `POST /events`.

import TestSupport
import Testing
import Users

@testable import Service

private func decode(_ body: String, lines: Bool = false) throws(CallError) -> [IncomingEvent] {
    let bytes = Array(body.utf8)
    return try bytes.withUnsafeBufferPointer { bytes throws(CallError) in
        lines ? try EventsDecoder.decodeLines(bytes, now: 77) : try EventsDecoder.decode(bytes, now: 77)
    }
}

private func event(_ user: String, _ item: String, _ timestamp: Int64, _ action: String? = nil) -> IncomingEvent {
    IncomingEvent(user: user, event: UserEvent(item: item, timestamp: timestamp, action: action))
}

@Suite struct EventsDecoderTests {
    @Test func eventsAreRead_InBothForms() throws {
        let events = [event("u", "a", 5, "buy"), event("v", "17", 77), event("é", "b", -3, "2")]
        let texts = [
            #"{"user_id":"u","item":"a","timestamp":5,"action":"buy"}"#, #"{"item":17,"user_id":"v","timestamp":null}"#,
            #"{"user_id":"\u00e9","item":"b","timestamp":-3.0,"action":2}"#,
        ]
        #expect(try decode(#"{"events":[\#(texts.joined(separator: ","))]}"#) == events)
        #expect(try decode("\n" + texts.joined(separator: "\r\n\n") + "\n", lines: true) == events)
        #expect(try decode(#"{"events":[]}"#).isEmpty)
        #expect(try decode("", lines: true).isEmpty)
    }

    @Test(arguments: [
        ("{}", "422 events is missing"), ("[]", "422 the body must be an object"),
        (#"{"events":{}}"#, "422 events must be an array"), (#"{"event":[]}"#, "422 unknown field 'event'"),
        (#"{"events":[7]}"#, "422 events[0] must be an object"),
        (#"{"events":[7]"#, "400 byte 13: expected ',' or '}', but the text ends"),
        (#"{"events":[{"user_id":"u","item":"a"},{"user_id":"u"}]}"#, "422 events[1].item is missing"),
        (#"{"events":[{"item":"a"}]}"#, "422 events[0].user_id is missing"),
        (#"{"events":[{"user_id":7,"item":"a"}]}"#, "422 events[0].user_id must be a string"),
        (#"{"events":[{"user_id":"","item":"a"}]}"#, "422 events[0].user_id must have 1 to 256 bytes"),
        (
            #"{"events":[{"user_id":"u","item":""}]}"#,
            "422 events[0].item must be a string of 1 to 1024 bytes or an integer"
        ),
        (
            #"{"events":[{"user_id":"u","item":1.5}]}"#,
            "422 events[0].item must be a string of 1 to 1024 bytes or an integer"
        ),
        (
            #"{"events":[{"user_id":"u","item":"a","timestamp":"5"}]}"#,
            "422 events[0].timestamp must be an integer from -2^53 to 2^53"
        ),
        (
            #"{"events":[{"user_id":"u","item":"a","timestamp":1700000000000}]}"#,
            "422 events[0].timestamp lies after the year 9999; times are in seconds since 1970, and this looks like milliseconds"
        ),
        (
            #"{"events":[{"user_id":"u","item":"a","action":true}]}"#,
            "422 events[0].action must be a string of 1 to 256 bytes or an integer"
        ),
        (#"{"events":[{"user_id":"u","itm":"a"}]}"#, "422 events[0].itm is an unknown field"),
        (#"{"events":[{"user_id":"u","user_id":"u"}]}"#, "400 byte 26: the key 'user_id' is duplicated"),
        (#"{"events":["#, "400 byte 11: expected a value, but the text ends"),
    ])
    func malformedBody_IsRefusedByName(body: String, sentence: String) {
        do {
            _ = try decode(body)
            Issue.record("no error")
        } catch {
            #expect("\(error.status) \(error.detail)" == sentence)
        }
    }

    @Test func malformedLine_IsNamed() {
        do {
            _ = try decode("{\"user_id\":\"u\",\"item\":1}\n\n{\"user_id\":\"u\",\"item\":}\n", lines: true)
            Issue.record("no error")
        } catch {
            #expect("\(error.status) \(error.detail)" == "422 line 3: byte 22: expected a value")
        }
    }

    @Test func damagedBodies_DoNotCrash() {
        let seed = #"{"events":[{"user_id":"u","item":"a","timestamp":5,"action":"buy"},{"item":17,"user_id":"v"}]}"#
        let line = #"{"user_id":"u","item":"a","timestamp":5,"action":"buy"}"#
        var mutation = Mutation(seed: 9, seeds: [seed, line + "\n" + line], fragments: ["user_id", "item", "\n"])
        let start = ContinuousClock.now
        var round = 0
        while Mutation.shouldGoOn(round: round, of: 5_000, since: start) {
            let text = String(decoding: mutation.next(), as: UTF8.self)
            _ = try? decode(text)
            _ = try? decode(text, lines: true)
            round += 1
        }
    }
}
