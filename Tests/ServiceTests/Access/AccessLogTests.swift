// The lines of the access log, byte by byte.

import Foundation
import HTTP
import Locking
import Synchronization
import Testing

@testable import Engine
@testable import Service
@testable import Telemetry

@Suite struct AccessLineTests {
    private static let end = Timestamp(milliseconds: 1_767_225_599_042)
    private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    private func line(_ entry: AccessEntry, _ format: AccessLogFormat) -> String {
        var text = ""
        AccessLog.withLine(of: entry, format, at: Self.end) { text = String(decoding: $0, as: UTF8.self) }
        return text
    }

    private func entry(requestID: String = "one", model: String, version: String = "1") throws -> AccessEntry {
        let bytes = Array("GET /recommend HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let peer = PeerAddress(ipv4: 0x7F00_0001, port: 40_001)
        let head = try #require(HTTPRequestHead(parsing: bytes, peer: peer))
        let trace = TraceContext(traceparent: Self.parent, tracestate: nil)
        let note = RequestNote(head, requestID: requestID, trace: trace)
        note.received(.recommend, bodyBytes: 1_000)
        let name = LoggedModel(RecommendReply.Model(name: model, version: version))
        note.asks(RequestNote.Question(model: name, k: 10, history: 78, user: 0xAB))
        let timing = Recommendation.Timing(queue: 1_234_567, prefill: 999, decode: 10_000_000)
        note.ended(RequestNote.Answer(outcome: .ok, source: .model, cached: 0, timing: timing))
        return AccessEntry(
            route: .recommend,
            method: .post,
            status: 200,
            byteCount: 809,
            durationNanoseconds: 12_345_678_901,
            note: note,
            answer: note.answer
        )
    }

    @Test func text_IsKeysAndValues() throws {
        #expect(
            try line(entry(model: "demo"), .text) == """
                time=2025-12-31T23:59:59.042Z request_id=one trace_id=0af7651916cd43dd8448eb211c80319c \
                client=127.0.0.1:40001 route=/recommend method=POST status=200 bytes_in=1036 bytes_out=809 \
                duration_ms=12345.678 queue_ms=1.234 prefill_ms=0.000 decode_ms=10.000 model=demo version=1 source=model \
                k=10 history=78 cached=0 outcome=ok user=00000000000000ab\n
                """
        )
    }

    @Test func json_IsOneObject() throws {
        #expect(
            try line(entry(model: "demo"), .json) == """
                {"time":"2025-12-31T23:59:59.042Z","request_id":"one","trace_id":"0af7651916cd43dd8448eb211c80319c",\
                "client":"127.0.0.1:40001","route":"/recommend","method":"POST","status":200,"bytes_in":1036,\
                "bytes_out":809,"duration_ms":12345.678,"queue_ms":1.234,"prefill_ms":0.000,"decode_ms":10.000,\
                "model":"demo","version":"1","source":"model","k":10,"history":78,"cached":0,"outcome":"ok",\
                "user":"00000000000000ab"}\n
                """
        )
    }

    @Test func requestWithoutAHead_HasWhatIsKnown() {
        let entry = AccessEntry(
            route: .none,
            method: nil,
            status: 400,
            byteCount: 0,
            durationNanoseconds: .max
        )
        #expect(
            line(entry, .text)
                == "time=2025-12-31T23:59:59.042Z route=none status=400 bytes_out=0 duration_ms=18446744073709.551\n"
        )
        #expect(line(entry, .json).hasPrefix(#"{"time":"2025-12-31T23:59:59.042Z","request_id":null,"trace_id":null,"#))
    }

    @Test func strangeTexts_AreEscaped_AndHaveRoom() throws {
        let name = "a b\n\"\\=é" + String(repeating: "\u{1}", count: 300)
        let id = String(repeating: "=", count: 128)
        let entry = try entry(requestID: id, model: name, version: "")
        let object = try JSONSerialization.jsonObject(with: Data(line(entry, .json).utf8)) as? [String: Any]
        #expect(object?["model"] as? String == name)
        #expect(object?["version"] as? String == "")
        #expect(object?["request_id"] as? String == id)
        let text = line(entry, .text)
        #expect(text.contains(" request_id=\"\(id)\" "))
        #expect(text.contains(#" model="a b\n\"\\=é\u0001"#) && text.contains(#" version="" "#))
        #expect(text.count { $0 == "\n" } == 1)
    }

    @Test func facts_AreTakenOnce() throws {
        let note = try #require(entry(model: "demo").note)
        #expect(note.take())
        #expect(!note.take())
    }

    @Test func facts_AreThoseThatCameFirst() throws {
        let note = try #require(entry(model: "demo").note)
        note.ended(RequestNote.Answer(outcome: .failed))
        let other = LoggedModel(RecommendReply.Model(name: "b", version: "2"))
        note.asks(RequestNote.Question(model: other, k: 1, history: 1))
        #expect(note.answer?.outcome == .ok)
        #expect(note.question?.k == 10)
    }

    /// A deadline may pass on the loop while the engine answers: the facts of whichever comes first stay.
    @Test func facts_AreThoseOfOneThread() throws {
        let bytes = Array("GET /recommend HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let head = try #require(HTTPRequestHead(parsing: bytes, peer: .local))
        let notes = (0..<20_000).map { _ in RequestNote(head, requestID: "one", trace: nil) }
        let seen = Lock<[[Int?]]>([[], []])
        let arrived = [Counter(), Counter()]
        let ended = DispatchGroup()
        for number in 0..<2 {
            ended.enter()
            Thread.detachNewThread {
                var own: [Int?] = []
                for (index, note) in notes.enumerated() {
                    // Both threads reach a note at the same time.
                    arrived[number].value.store(index + 1, ordering: .releasing)
                    while arrived[1 - number].value.load(ordering: .acquiring) <= index { sched_yield() }
                    note.ended(RequestNote.Answer(outcome: .ok, source: .model, cached: number))
                    own.append(note.answer?.cached)
                }
                seen.withLock { $0[number] = own }
                ended.leave()
            }
        }
        ended.wait()
        for own in seen.withLock({ $0 }) {
            // Nothing is known while the other thread writes.
            #expect(zip(own, notes).allSatisfy { $0 == nil || $0 == $1.answer?.cached })
        }
    }

    /// The engine may add its facts while the client hangs up.
    @Test func facts_AreWholeOrUnknown() async throws {
        for _ in 0..<200 {
            let bytes = Array("GET /recommend HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            let head = try #require(HTTPRequestHead(parsing: bytes, peer: .local))
            let note = RequestNote(head, requestID: "one", trace: nil)
            let model = LoggedModel(RecommendReply.Model(name: "demo", version: "1"))
            async let written: Void = {
                note.asks(RequestNote.Question(model: model, k: 10, history: 78))
                note.ended(RequestNote.Answer(outcome: .ok, source: .model, cached: 3))
            }()
            while note.answer == nil {
                if let question = note.question { #expect(question.k == 10 && question.history == 78) }
                await Task.yield()
            }
            #expect(note.answer?.cached == 3 && note.question?.model === model)
            await written
        }
    }
}

private final class Counter: Sendable { let value = Atomic<Int>(0) }
