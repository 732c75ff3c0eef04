// Spans as defined by OpenTelemetry, and their OTLP form in JSON (opentelemetry-proto, trace/v1/trace.proto; 64-bit
// integers are strings, ids hexadecimal).

internal import JSON
internal import Random

/// One timed piece of work in a trace.
package struct TraceSpan: Sendable {
    /// The raw values are OTLP's.
    package enum Kind: Int, Sendable {
        case `internal` = 1
        case server = 2
    }

    /// An attribute's value.
    package enum Value: Sendable {
        case text(String)
        case integer(Int)
    }

    package var name: String
    package var kind: Kind
    package var trace: TraceID
    package var span: UInt64
    package var parent: UInt64?
    package var state: String
    /// Nanoseconds since the epoch.
    package var start: UInt64
    package var end: UInt64
    package var attributes: [(key: StaticString, value: Value)]
    /// What failed on the server's side; nil: nothing.
    package var fault: String?

    /// The server's own span of a request.
    package init(
        server context: TraceContext,
        name: String,
        start: UInt64,
        end: UInt64,
        attributes: [(key: StaticString, value: Value)],
        fault: String? = nil
    ) {
        self.name = name
        kind = .server
        trace = context.trace
        span = context.span
        parent = context.parent
        state = context.state
        self.start = start
        self.end = max(start, end)
        self.attributes = attributes
        self.fault = fault
    }

    /// A part of a request's work, below its server span.
    package init(part name: String, of context: TraceContext, start: UInt64, end: UInt64) {
        self.init(server: context, name: name, start: start, end: end, attributes: [])
        kind = .internal
        parent = context.span
        span = ProcessRandom.nextNonzero()
    }

    func write(to json: inout JSONWriter) {
        json.beginObject()
        json.key("traceId")
        Self.write(trace.high, trace.low, to: &json)
        json.key("spanId")
        Self.write(nil, span, to: &json)
        if let parent {
            json.key("parentSpanId")
            Self.write(nil, parent, to: &json)
        }
        if !state.isEmpty { json.member("traceState", state) }
        json.member("name", name)
        json.member("kind", kind.rawValue)
        json.member("startTimeUnixNano", String(start))
        json.member("endTimeUnixNano", String(end))
        json.key("attributes")
        Self.write(attributes, to: &json)
        json.beginObject("status")
        if let fault {
            json.member("code", 2)
            json.member("message", fault)
        }
        json.endObject()
        json.endObject()
    }

    /// Writes one or two numbers as a string of hexadecimal digits.
    private static func write(_ first: UInt64?, _ last: UInt64, to json: inout JSONWriter) {
        json.value { text in
            text.append(addingCapacity: 34) { span in
                span.withUnsafeMutableBufferPointer { buffer, count in
                    let place = UnsafeMutableBufferPointer(rebasing: buffer[count..<count + 34])
                    place[0] = UInt8(ascii: "\"")
                    var next = 1
                    if let first {
                        first.writeHexadecimal(to: place, at: next)
                        next += 16
                    }
                    last.writeHexadecimal(to: place, at: next)
                    place[next + 16] = UInt8(ascii: "\"")
                    count += next + 17
                }
            }
        }
    }

    /// Attributes make up most of a span, so their constant parts are written in one piece.
    private static func write(_ attributes: [(key: StaticString, value: Value)], to json: inout JSONWriter) {
        json.beginArray()
        for (index, attribute) in attributes.enumerated() {
            json.raw(index == 0 ? "{\"key\":\"" : ",{\"key\":\"")
            json.raw(attribute.key)
            switch attribute.value {
            case .text(let text):
                json.raw("\",\"value\":{\"stringValue\":")
                json.string(text)
                json.raw("}}")
            case .integer(let number):
                json.raw("\",\"value\":{\"intValue\":\"")
                json.integer(number)
                json.raw("\"}}")
            }
        }
        json.endArray()
    }

    /// The body of `POST /v1/traces`.
    ///
    /// - Parameters:
    ///   - resource: attributes of the process.
    ///   - version: version of this program, the instrumentation scope.
    static func request(
        _ spans: some Collection<TraceSpan>,
        resource: [(key: StaticString, value: Value)],
        version: String
    ) -> [UInt8] {
        var json = JSONWriter(capacity: 1_024 + 512 * spans.count)
        json.beginObject()
        json.beginArray("resourceSpans")
        json.beginObject()
        json.beginObject("resource")
        json.key("attributes")
        write(resource, to: &json)
        json.endObject()
        json.beginArray("scopeSpans")
        json.beginObject()
        json.beginObject("scope")
        json.member("name", "genrec")
        json.member("version", version)
        json.endObject()
        json.beginArray("spans")
        for span in spans { span.write(to: &json) }
        json.endArray()
        json.endObject()
        json.endArray()
        json.endObject()
        json.endArray()
        json.endObject()
        return json.bytes
    }
}
