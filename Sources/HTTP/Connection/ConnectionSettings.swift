// The settings that the connections of a server share: limits, time-outs (converted to nanoseconds once), and whether
// the server is ending.

import Synchronization

/// The settings of every connection of a server.
final class ConnectionSettings: Sendable {
    let limits: HTTPLimits
    let handshake: UInt64
    let compression: HTTPCompression
    let firstByte: UInt64
    let header: UInt64
    let bodyWindow: UInt64
    /// The minimum bytes of a body per window.
    let bodyWindowBytes: Int
    let idle: UInt64
    let writeStall: UInt64
    let linger: UInt64
    private let ending = Atomic<Bool>(false)

    init(limits: HTTPLimits, timeouts: HTTPTimeouts, compression: HTTPCompression = HTTPCompression()) {
        self.limits = limits
        handshake = timeouts.handshake.nanoseconds
        self.compression = compression
        firstByte = timeouts.firstByte.nanoseconds
        header = timeouts.header.nanoseconds
        bodyWindow = timeouts.bodyWindow.nanoseconds
        // Both factors are bounded by `validate`; a rate of zero still requires one byte, or a body could stall
        // forever.
        let milliseconds = Int(bodyWindow / 1_000_000)
        bodyWindowBytes = max(1, timeouts.bodyBytesPerSecond * milliseconds / 1_000)
        idle = timeouts.idle.nanoseconds
        writeStall = timeouts.writeStall.nanoseconds
        linger = timeouts.linger.nanoseconds
    }

    /// The server is about to end: replies say `Connection: close`.
    var isEnding: Bool { ending.load(ordering: .acquiring) }
    func beginEnding() { ending.store(true, ordering: .releasing) }
}
