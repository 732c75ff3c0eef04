// Messages to collectors against the public schema: opentelemetry-proto 1 (trace, common and resource) in OTLP's JSON
// mapping. That is proto3's JSON with lowerCamelCase keys, 64-bit numbers as decimal strings, and two exceptions: ids
// are hexadecimal and enumerations are numbers. Receivers skip unknown keys; a sender must not send any.

import JSON
import Testing

@testable import Telemetry

/// The type of a field.
private indirect enum Field: Sendable {
    case text
    case flag
    case number
    /// uint32 or fixed32.
    case count
    /// int64, as text.
    case integer
    /// fixed64, as text.
    case time
    /// This many bytes, not all zero.
    case id(Int)
    case bytes
    /// The largest number of an enumeration.
    case choice(Int64)
    case message(String)
    case list(Field)
}

private let messages: [String: [String: Field]] = [
    "ExportTraceServiceRequest": ["resourceSpans": .list(.message("ResourceSpans"))],
    "ResourceSpans": [
        "resource": .message("Resource"), "scopeSpans": .list(.message("ScopeSpans")), "schemaUrl": .text,
    ],
    "Resource": ["attributes": .list(.message("KeyValue")), "droppedAttributesCount": .count],
    "ScopeSpans": ["scope": .message("InstrumentationScope"), "spans": .list(.message("Span")), "schemaUrl": .text],
    "InstrumentationScope": [
        "name": .text, "version": .text, "attributes": .list(.message("KeyValue")), "droppedAttributesCount": .count,
    ],
    "Span": [
        "traceId": .id(16), "spanId": .id(8), "traceState": .text, "parentSpanId": .id(8), "flags": .count,
        "name": .text, "kind": .choice(5), "startTimeUnixNano": .time, "endTimeUnixNano": .time,
        "attributes": .list(.message("KeyValue")), "droppedAttributesCount": .count,
        "events": .list(.message("Event")), "droppedEventsCount": .count, "links": .list(.message("Link")),
        "droppedLinksCount": .count, "status": .message("Status"),
    ],
    "Event": [
        "timeUnixNano": .time, "name": .text, "attributes": .list(.message("KeyValue")),
        "droppedAttributesCount": .count,
    ],
    "Link": [
        "traceId": .id(16), "spanId": .id(8), "traceState": .text, "attributes": .list(.message("KeyValue")),
        "droppedAttributesCount": .count, "flags": .count,
    ],
    "Status": ["message": .text, "code": .choice(2)],
    "KeyValue": ["key": .text, "value": .message("AnyValue")],
    "AnyValue": [
        "stringValue": .text, "boolValue": .flag, "intValue": .integer, "doubleValue": .number,
        "arrayValue": .message("ArrayValue"), "kvlistValue": .message("KeyValueList"), "bytesValue": .bytes,
    ],
    "ArrayValue": ["values": .list(.message("AnyValue"))],
    "KeyValueList": ["values": .list(.message("KeyValue"))],
]

/// The keys that the schema requires.
private let required: [String: Set<String>] = [
    "Span": ["traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"],
    "KeyValue": ["key", "value"], "ExportTraceServiceRequest": ["resourceSpans"],
]

/// All values of the wrong type, each with its path.
private func faults(_ value: JSONValue, _ field: Field, _ path: String) -> [String] {
    switch (field, value) {
    case (.text, .string), (.flag, .boolean), (.number, .integer), (.number, .real), (.bytes, .string): return []
    case (.count, .integer(let number)): return 0...Int64(UInt32.max) ~= number ? [] : ["\(path): \(number)"]
    case (.choice(let last), .integer(let number)): return 0...last ~= number ? [] : ["\(path): \(number)"]
    case (.integer, .string(let text)): return Int64(text)?.description == text ? [] : ["\(path): \(text)"]
    case (.time, .string(let text)): return UInt64(text)?.description == text ? [] : ["\(path): \(text)"]
    case (.id(let count), .string(let text)):
        let isHexadecimal = text.utf8.count == 2 * count && text.allSatisfy { $0.isASCII && $0.isHexDigit }
        return isHexadecimal && text.contains { $0 != "0" } ? [] : ["\(path): \(text)"]
    case (.list(let element), .array(let elements)):
        return elements.enumerated().flatMap { faults($1, element, "\(path)[\($0)]") }
    case (.message(let name), .object(let members)):
        let keys = members.map(\.key)
        var found = (required[name] ?? []).subtracting(keys).map { "\(path).\($0) is missing" }
        if name == "AnyValue", keys.count > 1 { found.append("\(path) has several values") }
        for member in members {
            guard let type = messages[name]?[member.key] else {
                found.append("\(path).\(member.key) is unknown")
                continue
            }
            found += faults(member.value, type, "\(path).\(member.key)")
            if member.key == "attributes", case .array(let pairs) = member.value {
                let names = pairs.map { $0["key"] }
                if names.enumerated().contains(where: { names[..<$0].contains($1) }) {
                    found.append("\(path).attributes has a key twice")
                }
            }
        }
        return found
    default: return ["\(path) has another type"]
    }
}

private func faults(_ text: [UInt8]) throws -> [String] {
    let value = try text.withUnsafeBytes { try JSONValue(parsing: $0) }
    return faults(value, .message("ExportTraceServiceRequest"), "request")
}

@Suite struct OTLPSchemaTests {
    private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func requests_FollowTheSchema() throws {
        let child = try #require(TraceContext(traceparent: Self.parent, tracestate: "a=1,b=2"))
        let hostile = "\"\\\u{0}\u{1F}\u{7F}é\u{1F3AC}\u{2028}</script>"
        var spans: [TraceSpan] = []
        for context in [child, TraceSampler(share: 1).begin()] {
            for fault in [nil, "status 503", hostile] {
                spans.append(
                    TraceSpan(
                        server: context,
                        name: "POST /recommend",
                        start: 0,
                        end: .max,
                        attributes: [
                            ("http.route", .text(hostile)), ("http.response.status_code", .integer(.max)),
                            ("genrec.k", .integer(.min)), ("url.path", .text("")),
                        ],
                        fault: fault
                    )
                )
            }
            spans.append(TraceSpan(part: "queue", of: context, start: 1_000, end: 1_500))
        }
        for count in [0, 1, spans.count] {
            let body = TraceSpan.request(
                Array(spans.prefix(count)),
                resource: [("service.name", .text(hostile)), ("process.pid", .integer(1))],
                version: "1"
            )
            #expect(try faults(body) == [])
        }
    }

    /// The schema above must detect everything that collectors refuse.
    @Test(arguments: [
        ("\"traceId\":\"0af7651916cd43dd8448eb211c80319c\"", "\"traceId\":\"CvdlGRbNQ92ESOshHIAxnA==\""),
        ("\"traceId\"", "\"trace_id\""), ("\"kind\":2", "\"kind\":\"SPAN_KIND_SERVER\""), ("\"kind\":2", "\"kind\":6"),
        ("\"startTimeUnixNano\":\"7\"", "\"startTimeUnixNano\":7"), ("\"intValue\":\"503\"", "\"intValue\":503"),
        ("\"endTimeUnixNano\":\"9\"", "\"endTimeUnixNano\":\"-9\""), ("\"code\":2", "\"code\":\"STATUS_CODE_ERROR\""),
        ("\"intValue\":\"503\"", "\"intValue\":\"503\",\"stringValue\":\"\""), ("\"name\":\"POST\",", ""),
        ("\"key\":\"a\"", "\"key\":\"b\""), ("\"parentSpanId\":\"b7ad6b7169203331\"", "\"parentSpanId\":\"\""),
    ])
    func deviation_IsSeen(_ right: String, _ wrong: String) throws {
        let context = try #require(TraceContext(traceparent: Self.parent, tracestate: nil))
        let span = TraceSpan(
            server: context,
            name: "POST",
            start: 7,
            end: 9,
            attributes: [("a", .integer(503)), ("b", .text("c"))],
            fault: "status 503"
        )
        let text = String(decoding: TraceSpan.request([span], resource: [], version: "1"), as: UTF8.self)
        #expect(try faults(Array(text.utf8)) == [])
        #expect(text.contains(right))
        #expect(try faults(Array(text.replacing(right, with: wrong).utf8)) != [])
    }
}
