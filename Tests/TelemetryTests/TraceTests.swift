// Trace contexts, the address of a collector, and spans in OTLP's JSON.

import Testing

@testable import Telemetry

@Suite struct TraceTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let parent = "b7ad6b7169203331"

    @Test(arguments: [("00", false), ("01", true), ("02", false), ("ff", true)])
    func child_KeepsTraceAndSampling_AndHasASpanOfItsOwn(_ flags: String, _ isSampled: Bool) throws {
        let context = try #require(
            TraceContext(traceparent: "00-\(Self.trace)-\(Self.parent)-\(flags)", tracestate: "a=b")
        )
        #expect(context.trace.hexadecimal == Self.trace)
        #expect(context.parent?.hexadecimal == Self.parent)
        #expect(context.isSampled == isSampled && context.state == "a=b")
        let child = "00-\(Self.trace)-\(context.span.hexadecimal)-\(isSampled ? "01" : "00")"
        #expect(context.traceparent.description == child)
        #expect(context.span != context.parent)
    }

    @Test func laterVersion_MayHaveMoreFields() {
        let known = "\(Self.trace)-\(Self.parent)-01"
        #expect(TraceContext(traceparent: "cc-\(known)", tracestate: nil)?.isSampled == true)
        #expect(TraceContext(traceparent: "cc-\(known)-what", tracestate: nil)?.isSampled == true)
        #expect(TraceContext(traceparent: "cc-\(known).what", tracestate: nil) == nil)
        #expect(TraceContext(traceparent: "00-\(known)-what", tracestate: nil) == nil)
    }

    @Test(arguments: [
        "", "00", "ff-\(trace)-\(parent)-01", "00-\(trace.uppercased())-\(parent)-01",
        "00-00000000000000000000000000000000-\(parent)-01", "00-\(trace)-0000000000000000-01",
        "00-\(trace)-\(parent)-0", "00_\(trace)-\(parent)-01", "00-\(trace)-\(parent)-0g", " 00-\(trace)-\(parent)-01",
    ])
    func malformedParent_IsNone(_ text: String) {
        #expect(TraceContext(traceparent: text, tracestate: nil) == nil)
    }

    @Test func unusableState_IsLeftOut() {
        func state(_ text: String) -> String? {
            TraceContext(traceparent: "00-\(Self.trace)-\(Self.parent)-01", tracestate: text)?.state
        }
        #expect(state(String(repeating: "a", count: 513)) == "")
        #expect(state(String(repeating: ",", count: 32)) == "")
        #expect(state("a=\u{7}") == "")
        #expect(state(String(repeating: "a", count: 512))?.count == 512)
    }

    @Test func newTraces_AreRecordedByTheirShare() {
        let (none, half, all) = (TraceSampler(share: 0), TraceSampler(share: 0.5), TraceSampler(share: 1))
        #expect((0..<1_000).allSatisfy { _ in !none.begin().isSampled && all.begin().isSampled })
        #expect((0..<1_000).allSatisfy { _ in none.beginRecorded() == nil && all.beginRecorded() != nil })
        // Eight standard deviations.
        #expect(4_600...5_400 ~= (0..<10_000).count { _ in half.begin().isSampled })
        #expect(4_600...5_400 ~= (0..<10_000).count { _ in half.beginRecorded() != nil })
    }

    /// Servers with the same share decide alike from the id, even for a trace that only the caller is told about.
    @Test(arguments: [0, 0.01, 0.5, 0.999])
    func idsOfUnrecordedTraces_AreThoseThatTheShareLeavesOut(_ share: Double) {
        let sampler = TraceSampler(share: share)
        let fractions = (0..<10_000).map { _ in
            let told = sampler.unrecorded()
            #expect(told.description.hasSuffix("-00") && told.trace.low != 0 && told.span != 0)
            return Double(told.trace.low >> 11) * 0x1p-53
        }
        #expect(fractions.allSatisfy { share..<1 ~= $0 })
        // All fractions are above the share, and uniform: eight standard deviations of the mean of a uniform
        // distribution.
        let deviation = fractions.reduce(0, +) / 10_000 - (1 + share) / 2
        #expect(abs(deviation) < 8 * (1 - share) / (12 * 10_000.0).squareRoot())
        for _ in 0..<1_000 {
            let context = sampler.begin()
            #expect(context.isSampled == (Double(context.trace.low >> 11) * 0x1p-53 < share))
        }
    }

    @Test func ids_DifferAmongThreads() async {
        let ids = await withTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<10_000).flatMap { _ in
                        let context = TraceSampler(share: 1).begin()
                        return [context.trace.high, context.trace.low, context.span]
                    }
                }
            }
            return await group.reduce(into: Set()) { $0.formUnion($1) }
        }
        #expect(ids.count == 120_000)
    }

    @Test func endpoint_IsReadInItsForms() {
        func text(_ endpoint: String) -> String? { CollectorEndpoint(endpoint)?.description }
        #expect(text("http://agent") == "http://agent:4318/v1/traces")
        #expect(text("http://127.0.0.1:99/") == "http://127.0.0.1:99/v1/traces")
        #expect(text("http://[::1]:99/otlp/") == "http://[::1]:99/otlp/v1/traces")
        for wrong in [
            "", "agent:4318", "https://agent", "http://", "http://:99", "http://a:0", "http://a:99999", "http://u@a",
            "http://a b", "http://a?x", "http://a\r\nX: y",
        ] {
            #expect(text(wrong) == nil, "\(wrong)")
        }
    }

    @Test func digits_AreHexadecimal() {
        let numbers: [UInt64] = [0, 1, .max, 0x0123_4567_89AB_CDEF, 0xF0E1_D2C3_B4A5_9687, 0x9A00_0000_0000_00A9]
        for number in numbers {
            let digits = String(number, radix: 16)
            #expect(number.hexadecimal == String(repeating: "0", count: 16 - digits.count) + digits)
        }
    }

    @Test func spans_AreOTLP() throws {
        let context = try #require(TraceContext(traceparent: "00-\(Self.trace)-\(Self.parent)-01", tracestate: "a=b"))
        let server = TraceSpan(
            server: context,
            name: "POST /recommend",
            start: 1_000,
            end: 900,
            attributes: [("http.route", .text("/recommend")), ("http.response.status_code", .integer(503))],
            fault: "status 503"
        )
        let part = TraceSpan(part: "queue", of: context, start: 1_000, end: 1_500)
        let body = TraceSpan.request([server, part], resource: [("service.name", .text("genrec"))], version: "1")
        let text = String(decoding: body, as: UTF8.self)
        #expect(
            text == """
                {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"genrec"}}]},\
                "scopeSpans":[{"scope":{"name":"genrec","version":"1"},"spans":[\
                {"traceId":"\(Self.trace)","spanId":"\(context.span.hexadecimal)","parentSpanId":"\(Self.parent)",\
                "traceState":"a=b","name":"POST /recommend","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"1000",\
                "attributes":[{"key":"http.route","value":{"stringValue":"/recommend"}},\
                {"key":"http.response.status_code","value":{"intValue":"503"}}],\
                "status":{"code":2,"message":"status 503"}},\
                {"traceId":"\(Self.trace)","spanId":"\(part.span.hexadecimal)","parentSpanId":"\(context.span.hexadecimal)",\
                "traceState":"a=b","name":"queue","kind":1,"startTimeUnixNano":"1000","endTimeUnixNano":"1500",\
                "attributes":[],"status":{}}]}]}]}
                """
        )
    }
}
