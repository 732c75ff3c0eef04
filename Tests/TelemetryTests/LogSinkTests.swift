// The log while nobody reads it, while it cannot be written, and after it recovers.

import Glibc
import Testing

@testable import Telemetry

@Suite struct LogSinkTests {
    /// A pipe, and a separate descriptor for the sink, which a test can redirect.
    private final class Pipe {
        let reader: Int32
        let writer: Int32

        init() throws {
            // As a server does at its start.
            signal(SIGPIPE, SIG_IGN)
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            (reader, writer) = (ends[0], ends[1])
        }

        deinit {
            close(reader)
            close(writer)
        }

        /// The number of unread bytes.
        var waiting: Int {
            var count: Int32 = 0
            _ = ioctl(reader, UInt(FIONREAD), &count)
            return Int(count)
        }

        /// Reads until the text ends with `end`. Blocks if it never does.
        func read(until end: String) -> String { read { $0.hasSuffix(end) } }

        /// Reads until the text consists of whole lines and `isEnough`.
        func read(until isEnough: (String) -> Bool) -> String {
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 4_096)
            while bytes.last != UInt8(ascii: "\n") || !isEnough(String(decoding: bytes, as: UTF8.self)) {
                let count = Glibc.read(reader, &chunk, chunk.count)
                guard count > 0 else { break }
                bytes += chunk[..<count]
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private static func line(_ text: String) -> [UInt8] { Array((text + "\n").utf8) }

    @Test func nobodyReads_LinesBeyondTheQueueAreLost_AndTheLogSaysHowMany() throws {
        let pipe = try Pipe()
        let sink = LogSink(descriptor: pipe.writer, format: .text, queueBytes: 100_000)
        // 2 MB: the pipe holds 64 KiB of them, the queue 100 kB.
        for index in 0..<20_000 { sink.write(Self.line("\(index) " + String(repeating: "x", count: 100))) }
        let lost = sink.lostLines
        #expect(lost > 15_000)
        #expect(!sink.flush(timeout: .milliseconds(10)))
        func reported(_ text: String) -> UInt64 {
            text.matches(of: #/ warning genrec: log lines were lost log\.dropped=(\d+)\n/#).reduce(0) {
                $0 + (UInt64($1.1) ?? 0)
            }
        }
        // What was queued before the number was written may come after it.
        var text = pipe.read { reported($0) == lost }
        sink.write(Self.line("end"))
        text += pipe.read(until: "end\n")
        #expect(sink.flush(timeout: .seconds(60)))
        // All others arrived whole and in order, and every lost line was counted.
        let indices = text.split(separator: "\n").compactMap { line in
            line.hasSuffix(" " + String(repeating: "x", count: 100)) ? Int(line.prefix { $0 != " " }) : nil
        }
        #expect(indices.count == 20_000 - Int(lost))
        #expect(indices == indices.sorted() && Set(indices).count == indices.count)
        #expect(sink.lostLines == lost)
    }

    @Test func fullFileSystem_CostsLines_AndTheNextOneThatIsWrittenIsFollowedByTheirNumber() throws {
        let descriptor = open("/dev/full", O_WRONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let sink = LogSink(descriptor: descriptor, format: .json)
        for _ in 0..<3 {
            sink.write(Self.line("lost"))
            #expect(sink.flush(timeout: .seconds(60)))
        }
        #expect(sink.lostLines == 3)
        let pipe = try Pipe()
        try #require(dup2(pipe.writer, descriptor) >= 0)
        sink.write(Self.line("there is room again"))
        let text = pipe.read(until: "}\n")
        #expect(text.hasPrefix("there is room again\n{\"time\":"))
        #expect(text.hasSuffix("\"message\":\"log lines were lost\",\"metadata\":{\"log.dropped\":3}}\n"))
        sink.write(Self.line("next"))
        #expect(pipe.read(until: "next\n") == "next\n")
    }

    @Test func readerThatCloses_CostsTheLineBegun_AndTheNextOneBeginsOnItsOwn() throws {
        let next = try Pipe()
        let descriptor: Int32
        let sink: LogSink
        do {
            let first = try Pipe()
            descriptor = dup(first.writer)
            sink = LogSink(descriptor: descriptor, format: .text)
            sink.write(Self.line(String(repeating: "y", count: 100_000)))
            while first.waiting < 65_536 { usleep(1_000) }
        }
        defer { close(descriptor) }
        #expect(sink.flush(timeout: .seconds(60)))
        #expect(sink.lostLines == 1)
        try #require(dup2(next.writer, descriptor) >= 0)
        sink.write(Self.line("whole"))
        #expect(next.read(until: "log.dropped=1\n").hasPrefix("\nwhole\n"))
    }

    @Test func descriptorThatDoesNotBlock_IsWaitedFor() throws {
        let pipe = try Pipe()
        try #require(fcntl(pipe.writer, F_SETFL, O_NONBLOCK) == 0)
        let sink = LogSink(descriptor: pipe.writer, format: .text)
        for _ in 0..<2_000 { sink.write(Self.line(String(repeating: "z", count: 100))) }
        sink.write(Self.line("end"))
        #expect(pipe.read(until: "\nend\n").utf8.count == 2_000 * 101 + 4)
        #expect(sink.lostLines == 0)
    }

    @Test func heldSink_WritesNothingBeforeItsRelease() throws {
        let pipe = try Pipe()
        let sink = LogSink(descriptor: pipe.writer, format: .text, isHeld: true)
        sink.write(Self.line("early"))
        #expect(sink.flush(timeout: .seconds(60)))
        #expect(pipe.waiting == 0)
        sink.release()
        sink.release()
        sink.write(Self.line("late"))
        #expect(pipe.read(until: "late\n") == "early\nlate\n")
    }

    @Test func lossesAreAMetric() {
        let registry = MetricRegistry()
        let sink = LogSink(descriptor: -1, format: .text)
        sink.register(in: registry)
        sink.write(Self.line("nowhere"))
        #expect(sink.flush(timeout: .seconds(60)))
        let text = String(decoding: registry.exposition(.text), as: UTF8.self)
        #expect(text.contains("\ngenrec_log_dropped_total 1.0\n"))
    }
}
