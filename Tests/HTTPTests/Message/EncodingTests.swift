// Output of HTTP: reply heads, dates, numbers, the output queue.

import Glibc
import Random
import Testing

@testable import HTTP

@Suite struct ReplyHeadTests {
    private let date = DateField(unixSeconds: 784_111_777)

    private func encode(
        _ fields: HTTPFields,
        status: Int = 200,
        framing: ReplyFraming = .length(0),
        keepsAlive: Bool = true,
        isVersion10: Bool = false
    ) -> (text: String, leftOut: String?) {
        let head = ReplyHead(status: status, framing: framing, keepsAlive: keepsAlive, isVersion10: isVersion10)
        var output: [UInt8] = []
        let leftOut = head.encode(fields, date: date, into: &output)
        return (String(decoding: output, as: UTF8.self), leftOut)
    }

    @Test func head_isWritten() {
        let expected =
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-A: b\r\nContent-Length: 12345\r\n\r\n"
        #expect(encode([("X-A", "b")], framing: .length(12_345)).text == expected)
    }

    @Test(arguments: 200...599) func everyStatus_hasAWellFormedLine(_ status: Int) {
        let line = encode([], status: status).text.prefix { $0 != "\r\n" }
        #expect(line.hasPrefix("HTTP/1.1 \(status) "))
    }

    @Test(arguments: ["a\r\nInjected: yes", "a\nb", "a\rb", "a\0b", "a\u{7f}b", "\u{1b}[0m"])
    func field_isLeftOut_whenItsValueCouldInject(_ value: String) {
        let (text, leftOut) = encode([("X-Request-Id", value), ("X-B", "c")])
        #expect(!text.contains("X-Request-Id"))
        #expect(!text.contains("Injected"))
        #expect(text.contains("\r\nX-B: c\r\n"))
        #expect(leftOut == "X-Request-Id")
    }

    /// The check reads eight bytes at a time, so a control may be at any place among them.
    @Test(arguments: 0...20) func control_isFound_whereverItIs(_ length: Int) {
        for byte in UInt8.min...UInt8.max {
            for place in 0..<length {
                var value = Array(repeating: UInt8(ascii: "~"), count: length)
                value[place] = byte
                let mayHave = value.withUnsafeBufferPointer(\.mayHaveControls)
                #expect(mayHave || !byte.isControl, "\(byte) at \(place)")
                #expect(!mayHave || byte.isControl || byte == Byte.tab, "\(byte) at \(place)")
            }
        }
        #expect(encode([("X-A", "long enough\tfor a word")]).leftOut == nil)
    }

    @Test func fieldsOfANote_comeBehindTheReplys() {
        final class Note: HTTPNote {
            func appendReplyFields(to head: inout [UInt8]) { head += Array("X-Note: n\r\n".utf8) }
        }
        let head = ReplyHead(status: 200, framing: .length(0), keepsAlive: true, isVersion10: false)
        var output: [UInt8] = []
        #expect(head.encode([("X-A", "b")], note: Note(), date: date, into: &output) == nil)
        let end = "\r\nX-A: b\r\nX-Note: n\r\nContent-Length: 0\r\n\r\n"
        #expect(String(decoding: output, as: UTF8.self).hasSuffix(end))
    }

    @Test(arguments: ["", "X Y", "X:", "X\r\nY", "X\u{e9}"]) func field_isLeftOut_whenItsNameIsNone(_ name: String) {
        #expect(encode([(name, "value")]).leftOut == name)
        #expect(!encode([(name, "value")]).text.contains("value"))
    }

    @Test(arguments: ["Content-Length", "content-length", "Transfer-Encoding", "CONNECTION", "Date"])
    func field_isLeftOut_whenItBelongsToHTTP(_ name: String) {
        #expect(!encode([(name, "marker")]).text.contains("marker"))
    }

    @Test func retryAfter_isAddedTo503_unlessGiven() {
        #expect(encode([], status: 503).text.contains("\r\nRetry-After: 1\r\n"))
        let given = encode([("retry-after", "30")], status: 503).text
        #expect(given.contains("\r\nretry-after: 30\r\n") && !given.contains("Retry-After: 1"))
        #expect(!encode([], status: 500).text.contains("Retry-After"))
    }

    @Test func connection_isAnnounced_whereItIsNotTheDefault() {
        #expect(!encode([]).text.contains("Connection"))
        #expect(encode([], keepsAlive: false).text.contains("\r\nConnection: close\r\n"))
        #expect(encode([], isVersion10: true).text.contains("\r\nConnection: keep-alive\r\n"))
        #expect(encode([], keepsAlive: false, isVersion10: true).text.contains("\r\nConnection: close\r\n"))
    }
}

@Suite struct DateFieldTests {
    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
    ]) func date_isWritten(_ seconds: Int, _ text: String) {
        #expect(DateField(unixSeconds: seconds).line == Array("Date: \(text)\r\n".utf8))
    }

    @Test func date_agreesWithTheSystem_overManyDays() {
        for day in stride(from: 0, to: 40_000, by: 37) {
            var time = time_t(day * 86_400 + day % 86_400)
            let expected = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
                var parts = tm()
                gmtime_r(&time, &parts)
                let count = strftime(buffer.baseAddress, 64, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts)
                return buffer.prefix(count).map { UInt8(bitPattern: $0) }
            }
            #expect(DateField(unixSeconds: Int(time)).line == expected)
        }
    }

    @Test func date_followsTheClock() {
        var date = DateField(unixSeconds: 0)
        date.update(unixSeconds: 1)
        #expect(date.line == DateField(unixSeconds: 1).line)
    }
}

@Suite struct NumberTests {
    @Test(arguments: [0, 1, 9, 10, 15, 16, 99, 100, 255, 256, 4_095, 4_096, 1_234_567_890, Int.max])
    func number_isWritten(_ value: Int) {
        var decimal: [UInt8] = []
        decimal.append(decimal: value)
        #expect(String(decoding: decimal, as: UTF8.self) == String(value))
        var hexadecimal: [UInt8] = []
        hexadecimal.append(hexadecimal: value)
        #expect(String(decoding: hexadecimal, as: UTF8.self) == String(value, radix: 16))
    }
}

@Suite struct OutputQueueTests {
    /// Takes what one call would write, cut to `limit`.
    private func take(_ queue: inout OutputQueue, limit: Int) -> [UInt8] {
        let piece = queue.withVector { vector in
            vector.flatMap { [UInt8](UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len)) }
        }
        let taken = Array(piece.prefix(limit))
        queue.wrote(taken.count)
        return taken
    }

    @Test(arguments: [1, 7, 100, 8_192, 1 << 20]) func bytes_leaveInOrder_howeverTheyAreTaken(_ limit: Int) {
        var queue = OutputQueue()
        var expected: [UInt8] = []
        var taken: [UInt8] = []
        var generator = SplitMix64(seed: UInt64(limit))
        for round in 0..<60 {
            let size = [0, 3, 500, OutputQueue.copyLimit, OutputQueue.copyLimit + 1, 30_000].randomElement(
                using: &generator
            )
            let body = (0..<(size ?? 0)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ round) }
            queue.append(body: body)
            queue.append("literal")
            expected += body + Array("literal".utf8)
            if round % 3 == 0 {
                for _ in 0..<5 where !queue.isEmpty { taken += take(&queue, limit: max(limit, 1_000)) }
            }
        }
        while !queue.isEmpty { taken += take(&queue, limit: max(limit, 1_000)) }
        #expect(taken == expected)
        #expect(queue.flushed == UInt64(expected.count))
    }

    @Test func headAndLargeBody_leaveInOneCall() {
        var queue = OutputQueue()
        queue.append("head")
        queue.append(body: [UInt8](repeating: 1, count: 100_000))
        queue.append("tail")
        #expect(queue.withVector { $0.map(\.iov_len) } == [4, 100_000, 4])
    }

    @Test func removedBytes_areNotCountedAsFlushed() {
        var queue = OutputQueue()
        queue.append("12345")
        queue.wrote(2)
        queue.removeAll()
        #expect(queue.isEmpty && queue.flushed == 2)
        queue.append("67")
        #expect(queue.withVector { $0.map(\.iov_len) } == [2])
    }

    @Test func buffer_isLentAndGivenBack() {
        var spare: [UInt8] = []
        spare.reserveCapacity(1_000)
        var queue = OutputQueue()
        queue.borrowBuffer(from: &spare)
        #expect(spare.capacity == 0)
        queue.append("waiting")
        queue.returnBuffer(to: &spare, limit: 65_536)
        #expect(spare.capacity == 0)
        queue.wrote(7)
        queue.returnBuffer(to: &spare, limit: 65_536)
        #expect(spare.capacity >= 1_000 && spare.isEmpty)
    }
}
