// The position of a request in a distributed trace, as in the fields `traceparent` and `tracestate` of W3C Trace
// Context (https://www.w3.org/TR/trace-context/).

internal import Random

/// The 16 bytes that all spans of a trace share; never zero.
package struct TraceID: Sendable, Hashable {
    package let high: UInt64
    package let low: UInt64
}

/// One request's span in its trace.
package struct TraceContext: Sendable, Hashable {
    package let trace: TraceID
    /// The caller's span; nil: the trace starts here.
    package let parent: UInt64?
    /// This server's span; never zero.
    package let span: UInt64
    /// Whether the trace is recorded.
    package let isSampled: Bool
    /// The caller's `tracestate`, passed on unchanged; empty if there was none or it was invalid.
    package let state: String

    private init(_ trace: TraceID, parent: UInt64?, isSampled: Bool, state: String) {
        self.trace = trace
        self.parent = parent
        self.isSampled = isSampled
        self.state = state
        span = ProcessRandom.nextNonzero()
    }

    /// The first span of a trace.
    fileprivate init(beginning trace: TraceID, isSampled: Bool) {
        self.init(trace, parent: nil, isSampled: isSampled, state: "")
    }

    /// A child of the caller's span, recorded if the caller records. nil if `traceparent` is malformed; `tracestate` is
    /// then meaningless too.
    package init?(traceparent: String, tracestate: String?) {
        let bytes = Array(traceparent.utf8)
        guard bytes.count >= 55, bytes[2] == Self.dash, bytes[35] == Self.dash, bytes[52] == Self.dash,
            let version = Self.number(bytes[0..<2]), version != 0xFF,
            // Later versions may add fields after another dash.
            bytes.count == 55 || (version > 0 && bytes[55] == Self.dash),
            let high = Self.number(bytes[3..<19]), let low = Self.number(bytes[19..<35]), high | low != 0,
            let parent = Self.number(bytes[36..<52]), parent != 0,
            let flags = Self.number(bytes[53..<55])
        else { return nil }
        self.init(
            TraceID(high: high, low: low),
            parent: parent,
            isSampled: flags & 1 == 1,
            state: tracestate.flatMap { Self.isUsable(state: $0) ? $0 : nil } ?? ""
        )
    }

    /// The field's value for the next service in the trace.
    package var traceparent: Traceparent { Traceparent(trace: trace, span: span, isSampled: isSampled) }

    private static let dash = UInt8(ascii: "-")

    /// Whether a state has at most 512 printable bytes and 32 members.
    private static func isUsable(state: String) -> Bool {
        let bytes = state.utf8
        return bytes.count <= 512 && bytes.allSatisfy { 0x20...0x7E ~= $0 }
            && bytes.count { $0 == UInt8(ascii: ",") } < 32
    }

    /// The value of at most 16 lower-case hexadecimal digits; nil for any other character.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }
}

/// Starts traces, a share of which is recorded. The lower half of the id decides, so every server with the same share
/// decides alike.
package struct TraceSampler: Sendable {
    /// The number of upper bits of the lower half that decide: the precision of a `Double` between 0 and 1.
    private static let bits: UInt64 = 53
    /// Traces are recorded if those bits are below it.
    private let threshold: UInt64

    /// - Parameter share: the share of traces to record, 0 to 1.
    package init(share: Double) {
        threshold = UInt64((share * Double(1 << Self.bits)).rounded(.up))
    }

    private func records(_ low: UInt64) -> Bool { low >> (64 - Self.bits) < threshold }

    /// A span of a new trace.
    package func begin() -> TraceContext {
        let low = ProcessRandom.nextNonzero()
        return TraceContext(beginning: TraceID(high: ProcessRandom.next(), low: low), isSampled: records(low))
    }

    /// A span of a new trace if it is to be recorded; otherwise nil, and `unrecorded` gives what to tell the caller.
    package func beginRecorded() -> TraceContext? {
        let low = ProcessRandom.nextNonzero()
        guard records(low) else { return nil }
        return TraceContext(beginning: TraceID(high: ProcessRandom.next(), low: low), isSampled: true)
    }

    /// What to tell the caller of a new, unrecorded trace. Not for a share of 1, which records every trace.
    package func unrecorded() -> Traceparent {
        // One draw from the process's generator seeds three numbers.
        var generator = SplitMix64(seed: ProcessRandom.next())
        let random = generator.next()
        // Uniform among the values that are not recorded.
        let upper = threshold + random.multipliedFullWidth(by: (1 << Self.bits) - threshold).high
        let low = max(1, upper << (64 - Self.bits) | random & (1 << (64 - Self.bits) - 1))
        return Traceparent(
            trace: TraceID(high: generator.next(), low: low),
            span: max(1, generator.next()),
            isSampled: false
        )
    }
}

/// The value of `traceparent`.
package struct Traceparent: Sendable, CustomStringConvertible {
    let trace: TraceID
    let span: UInt64
    let isSampled: Bool

    /// Length of its text in bytes.
    package static let byteCount = 55

    /// Writes its text at an offset; there must be room.
    package func write(to text: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
        text[start] = UInt8(ascii: "0")
        text[start + 1] = UInt8(ascii: "0")
        text[start + 2] = UInt8(ascii: "-")
        trace.high.writeHexadecimal(to: text, at: start + 3)
        trace.low.writeHexadecimal(to: text, at: start + 19)
        text[start + 35] = UInt8(ascii: "-")
        span.writeHexadecimal(to: text, at: start + 36)
        text[start + 52] = UInt8(ascii: "-")
        text[start + 53] = UInt8(ascii: "0")
        text[start + 54] = UInt8(ascii: isSampled ? "1" : "0")
    }

    /// Its text.
    package var description: String {
        String(unsafeUninitializedCapacity: Self.byteCount) { text in
            write(to: text, at: 0)
            return Self.byteCount
        }
    }
}

extension TraceID {
    /// 32 lower-case hexadecimal digits.
    package var hexadecimal: String {
        String(unsafeUninitializedCapacity: 32) { text in
            high.writeHexadecimal(to: text, at: 0)
            low.writeHexadecimal(to: text, at: 16)
            return 32
        }
    }
}

extension UInt64 {
    /// 16 lower-case hexadecimal digits.
    package var hexadecimal: String {
        String(unsafeUninitializedCapacity: 16) { text in
            writeHexadecimal(to: text, at: 0)
            return 16
        }
    }

    /// Writes 16 lower-case hexadecimal digits at an offset; there must be room.
    package func writeHexadecimal(to text: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
        let text = UnsafeMutableRawBufferPointer(text)
        text.storeBytes(of: Self.digits(self >> 32).bigEndian, toByteOffset: start, as: UInt64.self)
        text.storeBytes(of: Self.digits(self & 0xFFFF_FFFF).bigEndian, toByteOffset: start + 8, as: UInt64.self)
    }

    /// The digits of 32 bits, one per byte, without a loop because every request writes ids.
    private static func digits(_ half: UInt64) -> UInt64 {
        var digits = (half << 16 | half) & 0x0000_FFFF_0000_FFFF
        digits = (digits << 8 | digits) & 0x00FF_00FF_00FF_00FF
        digits = (digits << 4 | digits) & 0x0F0F_0F0F_0F0F_0F0F
        // Adding 6 carries into the upper half for values from ten.
        let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        let toLetter = UInt64(UInt8(ascii: "a") - UInt8(ascii: "0") - 10)
        return digits &+ 0x3030_3030_3030_3030 &+ letters &* toLetter
    }
}
