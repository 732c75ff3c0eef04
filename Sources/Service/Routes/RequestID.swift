// Request ids: the caller's own if usable, so that its log can be compared with this server's.

internal import HTTP
internal import Synchronization
internal import Telemetry

/// Makes and checks request ids.
final class RequestIDs: Sendable {
    /// The longest id accepted from a caller, in bytes.
    private static let maximumLength = 128

    /// Random per process. The counter tells requests apart.
    private let prefix = UInt64.random(in: .min ... .max)
    private let counter = Atomic<UInt64>(0)

    /// The caller's `X-Request-Id` if it is 1 to 128 visible ASCII characters, otherwise a new id.
    func id(for head: HTTPRequestHead) -> String {
        if let note = head.note as? RequestNote { return note.requestID }
        guard let sent = head.header("x-request-id"),
            1...Self.maximumLength ~= sent.utf8.count,
            // A quote or a backslash would need escapes in logs and headers.
            sent.utf8.allSatisfy({ 0x21...0x7E ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
        else { return fresh() }
        return sent
    }

    /// An id that is unique in this process: 32 hexadecimal digits.
    func fresh() -> String {
        let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
        return String(unsafeUninitializedCapacity: 32) { text in
            prefix.writeHexadecimal(to: text, at: 0)
            number.writeHexadecimal(to: text, at: 16)
            return 32
        }
    }
}
