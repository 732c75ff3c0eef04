// The log's descriptor in every bad state: unread, full, closed. The server answers every request.

import Foundation
import Testing

@Suite struct LogTests {
    /// Every request is logged.
    private static let debug = ["GENREC_LOG_LEVEL": "debug"]

    /// The value of the counter of lost lines.
    private func lostLines(_ connection: TestConnection) throws -> Double {
        let text = try connection.get("/metrics").text
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("genrec_log_dropped_total ") })
        return try #require(Double(line.split(separator: " ")[1]))
    }

    private func answers(_ count: Int, _ connection: TestConnection) throws -> Int {
        try (0..<count).count { _ in try connection.recommend("{\"history\":[],\"k\":1}").status == 200 }
    }

    @Test func logThatNobodyReads_StopsNothing_AndTheEndWaitsNoLongerThanASecond() throws {
        let pipe = Pipe()
        let server = try RunningServer(
            environment: Self.debug.merging(["GENREC_LOG_QUEUE_BYTES": "65536"]) { $1 },
            standardError: pipe.fileHandleForWriting
        )
        let connection = try server.connect()
        #expect(try answers(3_000, connection) == 3_000)
        #expect(try lostLines(connection) > 0)
        #expect(server.stop().status == 0)
    }

    @Test func logThatIsReadAgain_SaysHowManyLinesItHasLost() throws {
        let pipe = Pipe()
        let server = try RunningServer(
            environment: Self.debug.merging(["GENREC_LOG_QUEUE_BYTES": "4096"]) { $1 },
            standardError: pipe.fileHandleForWriting
        )
        let connection = try server.connect()
        #expect(try answers(1_000, connection) == 1_000)
        try pipe.fileHandleForWriting.close()
        let log = StreamCollector(pipe.fileHandleForReading)
        #expect(server.stop().status == 0)
        let lines = log.waitForEnd().split(separator: "\n")
        let lost = lines.compactMap { line in
            line.firstMatch(of: #/log lines were lost log\.dropped=(\d+)$/#).flatMap { Int($0.1) }
        }
        #expect(lost.reduce(0, +) > 0)
        // Every request is either in the log or among the lost lines.
        let replied = lines.count { $0.contains(" debug genrec: replied ") && $0.contains("/recommend") }
        #expect(replied + lost.reduce(0, +) >= 1_000)
        #expect(lines.allSatisfy { $0.contains(" genrec: ") })
    }

    @Test func fullFileSystemUnderTheLog_StopsNothing() throws {
        let full = try #require(FileHandle(forWritingAtPath: "/dev/full"))
        let server = try RunningServer(environment: Self.debug, standardError: full)
        let connection = try server.connect()
        #expect(try answers(100, connection) == 100)
        while try lostLines(connection) < 100 {}
        #expect(server.stop().status == 0)
    }

    @Test func readerOfTheLogThatCloses_StopsNothing() throws {
        let pipe = Pipe()
        let server = try RunningServer(environment: Self.debug, standardError: pipe.fileHandleForWriting)
        try pipe.fileHandleForWriting.close()
        try pipe.fileHandleForReading.close()
        let connection = try server.connect()
        #expect(try answers(100, connection) == 100)
        while try lostLines(connection) < 100 {}
        #expect(server.stop().status == 0)
    }
}
