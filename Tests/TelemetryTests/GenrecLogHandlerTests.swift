// Log lines to the byte, and hostile text in them.

import Glibc
import Logging
import Testing

@testable import Telemetry

@Suite struct LogLineTests {
    private func line(
        _ format: LogFormat,
        message: String,
        metadata: Logger.Metadata = [:],
        logger: String = "genrec"
    ) -> String {
        let line = LogLine(
            timestamp: Timestamp(milliseconds: 1_767_225_599_042),
            level: .info,
            logger: logger,
            message: message,
            metadata: metadata
        )
        return String(decoding: line.bytes(format), as: UTF8.self)
    }

    private static let metadata: Logger.Metadata = [
        "request.id": "r 1", "batch.size": .stringConvertible(32), "device": ["name": "cpu", "share": "0.5"],
        "empty": "", "list": ["a", "b"], "ok": .stringConvertible(true), "ratio": .stringConvertible(0.25),
    ]

    @Test func textLine_ToTheByte() {
        #expect(
            line(.text, message: "listening", metadata: Self.metadata)
                == "2025-12-31T23:59:59.042Z info genrec: listening batch.size=32 device.name=cpu device.share=0.5 "
                + "empty=\"\" list=\"[\\\"a\\\", \\\"b\\\"]\" ok=true ratio=0.25 request.id=\"r 1\"\n"
        )
    }

    @Test func jsonLine_ToTheByte() {
        #expect(
            line(.json, message: "listening", metadata: Self.metadata)
                == #"{"time":"2025-12-31T23:59:59.042Z","level":"info","logger":"genrec","message":"listening","#
                + #""metadata":{"batch.size":32,"device":{"name":"cpu","share":"0.5"},"empty":"","list":["a","b"],"#
                + #""ok":true,"ratio":0.25,"request.id":"r 1"}}"# + "\n"
        )
    }

    @Test func jsonLineWithoutMetadata_HasNoSuchMember() {
        #expect(line(.json, message: "x").hasSuffix(#""message":"x"}"# + "\n"))
    }

    @Test(arguments: LogFormat.allCases, ["\n", "\r", "\u{0}", "\u{1b}[2J", "\u{7f}", "\u{85}", "\u{9b}", "\u{2028}"])
    func controlCharactersCannotForgeALine(format: LogFormat, hostile: String) {
        let metadata: Logger.Metadata = ["k\(hostile)": "v\(hostile)", "n": ["\(hostile)": ["\(hostile)"]]]
        let line = line(format, message: "a\(hostile)b", metadata: metadata, logger: "l\(hostile)")
        for scalar in line.dropLast().unicodeScalars {
            #expect(scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value) && scalar.value != 0x2028)
        }
        #expect(line.utf8.last == UInt8(ascii: "\n"))
    }

    @Test func quotesAndBackslashesAreEscaped() {
        #expect(line(.json, message: #"say "a\b""#).contains(#""message":"say \"a\\b\"""#))
        #expect(line(.text, message: "m", metadata: ["k": #"a "b\""#]).hasSuffix(#" k="a \"b\\\"""# + "\n"))
    }

    @Test func textOutsideASCIIIsKept() {
        #expect(line(.text, message: "Füße 🚀").contains("genrec: Füße 🚀\n"))
        #expect(line(.json, message: "Füße 🚀").contains(#""message":"Füße 🚀""#))
    }

    @Test func numberThatJSONCannotSay_IsAString() {
        let metadata: Logger.Metadata = ["x": .stringConvertible(Double.nan)]
        #expect(line(.json, message: "m", metadata: metadata).contains(#""x":"nan""#))
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_001, "2000-03-01T00:00:00.001Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (-2_208_988_800_000, "1900-01-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ])
    func timestampIsRFC3339(milliseconds: Int64, text: String) {
        var line: [UInt8] = []
        Timestamp(milliseconds: milliseconds).append(to: &line)
        #expect(String(decoding: line, as: UTF8.self) == text)
    }

    @Test func clockSaysNow() {
        let before = Int64(time(nil))
        let now = Timestamp.now().milliseconds / 1_000
        // The coarse clock behind time() may be a tick late.
        #expect((before...Int64(time(nil)) + 1).contains(now))
    }
}

@Suite struct GenrecLogHandlerTests {
    /// A pipe whose write end is the sink.
    private struct Pipe: ~Copyable {
        let reader: Int32
        let writer: Int32

        init() throws {
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            reader = ends[0]
            writer = ends[1]
        }

        /// Closes the write end and reads the rest.
        consuming func lines() -> [Substring] {
            close(writer)
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 4_096)
            while case let count = read(reader, &chunk, chunk.count), count > 0 { bytes += chunk[..<count] }
            close(reader)
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        }
    }

    private struct Broken: Error, CustomStringConvertible {
        var description: String { "it broke" }
    }

    @Test func recordsBelowTheLevelAreDropped() throws {
        let pipe = try Pipe()
        let sink = LogSink(descriptor: pipe.writer, format: .text)
        var logger = Logger(label: "t") { GenrecLogHandler(label: $0, level: .notice, sink: sink) }
        logger.info("quiet")
        logger.notice("loud")
        logger.logLevel = .debug
        logger.debug("now too")
        sink.flush(timeout: .seconds(60))
        let lines = pipe.lines()
        #expect(lines.count == 3)
        #expect(lines[0].hasSuffix(" notice t: loud"))
        #expect(lines[1].hasSuffix(" debug t: now too"))
    }

    @Test func recordsMetadataWinsOverTasks_AndTasksOverHandlers() throws {
        let pipe = try Pipe()
        let sink = LogSink(descriptor: pipe.writer, format: .text)
        let provider = Logger.MetadataProvider { ["a": "task", "b": "task", "c": "task"] }
        var logger = Logger(label: "t") {
            GenrecLogHandler(label: $0, metadataProvider: provider, sink: sink)
        }
        logger[metadataKey: "a"] = "handler"
        logger[metadataKey: "d"] = "handler"
        logger.info("m", metadata: ["b": "record"])
        logger.error("failed", error: Broken())
        sink.flush(timeout: .seconds(60))
        let lines = pipe.lines()
        #expect(lines[0].hasSuffix("t: m a=task b=record c=task d=handler"))
        #expect(lines[1].hasSuffix("error=\"it broke\""))
    }

    @Test func linesOfManyThreadsStayWhole() async throws {
        let pipe = try Pipe()
        let sink = LogSink(descriptor: pipe.writer, format: .json)
        // Less than a pipe's 64 KiB, because nobody reads before the end.
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask {
                    let logger = Logger(label: "t\(task)") { GenrecLogHandler(label: $0, sink: sink) }
                    for index in 0..<40 { logger.info("message \(index)", metadata: ["task": "\(task)"]) }
                }
            }
        }
        sink.flush(timeout: .seconds(60))
        let lines = pipe.lines().dropLast()
        #expect(lines.count == 160)
        #expect(lines.allSatisfy { $0.hasPrefix("{\"time\":\"") && $0.hasSuffix("\"}}") })
    }
}
