// The TLS transport alone, over a pair of sockets whose other end the test holds: the test decides which bytes arrive
// when, and how many the kernel takes.

import CLinux
import Glibc
import TLSTesting
import Testing

@testable import HTTP

/// A transport and a client on the two ends of a pair of sockets.
private final class Pair {
    let transport: TLSTransport
    let client: TLSTestEngine
    private let fd: Int32

    /// - Parameter sendBuffer: bytes that the kernel buffers for the client; it rounds up.
    init(_ fixture: TLSFixture, _ version: TLSTestVersion = .tls13, sendBuffer: Int32? = nil) throws {
        var fds: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        try #require(socketpair(CLinux_AF_UNIX, type, 0, &fds) == 0)
        if var size = sendBuffer { setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, 4) }
        transport = try #require(TLSTransport(fd: fds[0], context: fixture.credentials.current))
        fd = fds[1]
        client = try TLSTestEngine(fixture.options(version))
    }

    deinit {
        transport.close(isOrderly: false)
        close(fd)
    }

    func send(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        #expect(Glibc.send(fd, bytes, bytes.count, CLinux_MSG_NOSIGNAL) == bytes.count)
        transport.becameReady(readable: true, writable: false)
    }

    /// Delivers the pending bytes, at most `limit`, to the client. False if there were none.
    @discardableResult
    func deliver(limit: Int = 65_536, reportsRoom: Bool = true) -> Bool {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = recv(fd, &buffer, limit, 0)
        if count > 0 { client.receive(Array(buffer[..<count])) }
        if reportsRoom { transport.becameReady(readable: false, writable: true) }
        return count > 0
    }

    /// Completes the handshake; the client's bytes are sent in pieces that end at `cut` of each flight.
    func shakeHands(cutting cut: (Int) -> [Int] = { _ in [] }) throws {
        var isDone = (client: false, server: false)
        for _ in 0..<10 where !isDone.client || !isDone.server {
            isDone.client = try client.shakeHands() == .done
            let flight = client.takeOutput()
            var start = 0
            for end in cut(flight.count) + [flight.count] where end > start {
                send(flight[start..<end])
                start = end
                switch transport.shakeHands() {
                case .finished: isDone.server = true
                case .blocked: break
                case .failed(let failure, let detail): Issue.record("\(failure): \(detail)")
                }
            }
            while deliver() {}
        }
        #expect(isDone.client && isDone.server)
    }

    /// The client closes its sending side.
    func halfClose() {
        shutdown(fd, Int32(SHUT_WR))
        transport.peerHasClosed = true
        transport.becameReady(readable: true, writable: false)
    }

    /// Reads until the socket is drained or the transport returns something other than bytes.
    func readAll() -> (bytes: [UInt8], end: Transfer) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let transfer = buffer.withUnsafeMutableBytes { transport.read(into: $0) }
            guard case .moved(let count, let isDrained) = transfer else { return (bytes, transfer) }
            bytes += buffer[..<count]
            if isDrained { return (bytes, transfer) }
        }
    }

    func write(_ bytes: [UInt8]) -> Transfer {
        bytes.withUnsafeBytes { bytes in
            let entry = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
            return withUnsafePointer(to: entry) { transport.write(UnsafeBufferPointer(start: $0, count: 1)) }
        }
    }
}

@Suite struct TLSTransportTests {
    @Test(arguments: [TLSTestVersion.tls12, .tls13]) func handshake_mayBeCutAnywhere(_ version: TLSTestVersion) throws {
        let fixture = try TLSFixture()
        let probe = try Pair(fixture, version)
        var lengths: [Int] = []
        try probe.shakeHands { length in
            lengths.append(length)
            return []
        }
        let longest = lengths.max() ?? 0
        #expect(longest > 100)
        for cut in 1..<longest {
            let pair = try Pair(fixture, version)
            try pair.shakeHands { min($0, cut) == cut ? [cut] : [] }
            try pair.client.write(Array("hello".utf8))
            pair.send(pair.client.takeOutput())
            #expect(pair.readAll().bytes.elementsEqual("hello".utf8))
        }
    }

    @Test func records_mayBeCutAnywhere_andComeTogether() throws {
        let pair = try Pair(TLSFixture())
        try pair.shakeHands()
        for text in ["first", "second", "third"] { try pair.client.write(Array(text.utf8)) }
        let bytes = pair.client.takeOutput()
        var text: [UInt8] = []
        for byte in bytes {
            pair.send([byte])
            let (bytes, end) = pair.readAll()
            text += bytes
            if bytes.isEmpty { #expect(end == .blocked(until: .readable)) }
        }
        #expect(text.elementsEqual("firstsecondthird".utf8))
    }

    /// With edge-triggered events, a transport that reports the socket as drained too early waits forever, and one that
    /// never does calls the kernel in vain.
    @Test func drained_isSaidWhenNothingIsLeft_neitherInTheSocketNorInTheBuffer() throws {
        let pair = try Pair(TLSFixture())
        try pair.shakeHands()
        // The TLS 1.3 tickets have been read; nothing of the handshake remains in the transport.
        #expect(pair.readAll().end == .blocked(until: .readable))
        try pair.client.write(Array("ab".utf8))
        try pair.client.write(Array("cd".utf8))
        let bytes = pair.client.takeOutput()
        pair.send(bytes)
        var buffer = [UInt8](repeating: 0, count: 1)
        func next() -> Transfer { buffer.withUnsafeMutableBytes { pair.transport.read(into: $0) } }
        #expect(next() == .moved(1, isDrained: false))
        // More bytes arrive and are reported while the buffer is not empty.
        try pair.client.write(Array("ef".utf8))
        pair.send(pair.client.takeOutput())
        for _ in 0..<4 { #expect(next() == .moved(1, isDrained: false)) }
        #expect(next() == .moved(1, isDrained: true))
        // The client's end of stream is in the socket after the last bytes.
        try pair.client.write(Array("g".utf8))
        pair.transport.peerHasClosed = true
        pair.send(pair.client.takeOutput())
        #expect(next() == .moved(1, isDrained: false))
    }

    @Test func fullSocket_blocksWriting_andLosesNothing() throws {
        let pair = try Pair(TLSFixture(), sendBuffer: 4_096)
        try pair.shakeHands()
        let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 2) }
        var sent = 0
        var received: [UInt8] = []
        var blocks = 0
        while received.count < content.count {
            while sent < content.count {
                let transfer = pair.write(Array(content[sent...]))
                guard case .moved(let count, _) = transfer else {
                    #expect(transfer == .blocked(until: .writable))
                    blocks += 1
                    break
                }
                #expect(count <= 16_384)
                sent += count
            }
            pair.deliver(limit: 3_000)
            while case (.done, let bytes) = try pair.client.read(limit: 65_536) { received += bytes }
        }
        let isSame = received == content
        #expect(isSame && blocks > 5)
    }

    /// A key update requires an answer, and the socket has no room for it.
    @Test func reading_waitsForRoomToWrite() throws {
        let pair = try Pair(TLSFixture(), sendBuffer: 4_096)
        try pair.shakeHands()
        let content = [UInt8](repeating: 0x63, count: 16_384)
        var written = 0
        while case .moved(let count, _) = pair.write(content) { written += count }
        try pair.client.updateKeys()
        try pair.client.write(Array("after".utf8))
        pair.send(pair.client.takeOutput())
        #expect(pair.readAll().end == .blocked(until: .writable))
        var received = 0
        func drain() throws {
            while pair.deliver() {}
            while case (.done, let bytes) = try pair.client.read(limit: 65_536) { received += bytes.count }
        }
        var transfer = Transfer.blocked(until: .writable)
        while transfer == .blocked(until: .writable) {
            try drain()
            transfer = pair.write(content)
        }
        #expect(transfer == .moved(content.count, isDrained: false))
        let (bytes, _) = pair.readAll()
        #expect(bytes.elementsEqual("after".utf8))
        try drain()
        #expect(received == written + content.count)
    }

    @Test func headAndBody_leaveAsOneRecord() throws {
        let pair = try Pair(TLSFixture())
        try pair.shakeHands()
        let (head, body) = ([UInt8](repeating: 1, count: 200), [UInt8](repeating: 2, count: 40_000))
        let transfer = head.withUnsafeBytes { head in
            body.withUnsafeBytes { body in
                let entries = [head, body].map { bytes in
                    iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
                }
                return entries.withUnsafeBufferPointer { pair.transport.write($0) }
            }
        }
        #expect(transfer == .moved(16_384, isDrained: false))
        pair.deliver()
        #expect(try pair.client.read(limit: 65_536).bytes == head + body.prefix(16_184))
    }

    @Test func closureAlert_waitsForRoom() throws {
        let fixture = try TLSFixture()
        func fill(_ pair: Pair, upTo limit: Int) -> Int {
            var records = 0
            while records < limit, case .moved = pair.write([1]) { records += 1 }
            return records
        }
        let probe = try Pair(fixture, sendBuffer: 4_096)
        try probe.shakeHands()
        let room = fill(probe, upTo: .max)
        let pair = try Pair(fixture, sendBuffer: 4_096)
        try pair.shakeHands()
        #expect(fill(pair, upTo: room) == room)
        pair.transport.shutdownWrite(isOrderly: true)
        while pair.deliver(reportsRoom: false) {}
        var count = 0
        while case (.done, let bytes) = try pair.client.read(limit: 65_536) { count += bytes.count }
        #expect(count == room)
        #expect(try pair.client.read(limit: 1).step == .needsInput)
        pair.transport.becameReady(readable: false, writable: true)
        pair.deliver()
        #expect(try pair.client.read(limit: 1).step == .closed)
    }

    @Test func endWithoutClosureAlert_isAFailure_andWithIt_anEnd() throws {
        for isOrderly in [false, true] {
            let pair = try Pair(TLSFixture())
            try pair.shakeHands()
            try pair.client.write(Array("last".utf8))
            if isOrderly { try pair.client.sayClose() }
            pair.send(pair.client.takeOutput())
            pair.halfClose()
            let (bytes, end) = pair.readAll()
            #expect(bytes.elementsEqual("last".utf8))
            #expect(end == (isOrderly ? .endOfStream : .failed))
        }
    }
}
