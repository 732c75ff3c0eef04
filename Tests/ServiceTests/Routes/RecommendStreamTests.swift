// A streamed reply against an exchange without a connection: the test plays the loop and the slow client.

import Compute
import Dispatch
import Engine
import Locking
import Testing

@testable import HTTP
@testable import Service

@Suite struct RecommendStreamTests {
    /// A stream and its effects.
    private struct Rig {
        let exchange: HTTPExchange
        let mailbox: Mailbox
        let stream: RecommendStream
        let queue = DispatchQueue(label: "test")
        let outcomes: OutcomeList

        init(holdBytes: Int = 65_536, format: StreamFormat = .ndjson) throws {
            var limits = HTTPLimits()
            limits.streamHoldBytes = holdBytes
            mailbox = try Mailbox()
            exchange = HTTPExchange(token: 1, mailbox: mailbox, limits: limits)
            outcomes = OutcomeList()
            stream = RecommendStream(
                exchange,
                format,
                requestID: "id",
                route: .recommend,
                ids: ItemWriter(ids: FakeCatalogue.strings),
                queue: queue,
                ended: { [outcomes, exchange] in outcomes.add($0, after: Self.take(from: exchange)) }
            )
        }

        /// The parts that the loop would pick up now, as words and content.
        func parts() -> [String] {
            // Waits until earlier writes are done.
            queue.sync {}
            var messages: [LoopMessage] = []
            mailbox.take(into: &messages)
            return outcomes.takeParts() + Self.take(from: exchange)
        }

        private static func take(from exchange: HTTPExchange) -> [String] {
            var parts: [String] = []
            exchange.takeParts { part in
                switch part {
                case .start(let status, let headers, _):
                    parts.append("start \(status) \(headers.first { $0.name == "Content-Type" }?.value ?? "")")
                case .content(let bytes): parts.append(String(decoding: bytes, as: UTF8.self))
                case .finish: parts.append("finish")
                case .abort: parts.append("abort")
                case .whole, .made: parts.append("whole")
                }
            }
            return parts
        }
    }

    /// The counted outcomes, and the parts sent by then.
    private final class OutcomeList: Sendable {
        private let list = Lock<[RecommendOutcome]>([])
        private let parts = Lock<[String]>([])
        func add(_ outcome: RecommendOutcome, after earlier: [String]) {
            list.withLock { $0.append(outcome) }
            parts.withLock { $0 += earlier }
        }
        func takeParts() -> [String] {
            parts.withLock { parts in
                defer { parts = [] }
                return parts
            }
        }
        var all: [RecommendOutcome] { list.withLock { $0 } }
    }

    private static func items(_ count: Int) -> [ScoredRow] {
        (0..<count).map { ScoredRow(row: 1, score: Float($0)) }
    }

    private static let problem = ProblemDetails(504, "too late", "id")
    private static let response = HTTPResponse(status: 504)

    private static let reply = RecommendReply(
        Recommendation(items: [], source: .model, historyUsed: 1, exhausted: false, timing: .init()),
        requestID: "id",
        model: .init(name: "m", version: "1"),
        unknownItems: 0,
        totalNanoseconds: 0
    )

    @Test func eachItem_IsSentWhenItComes_ThenTheEnd() throws {
        let rig = try Rig()
        #expect(rig.parts() == [])
        let items = [ScoredRow(row: 1, score: 2), ScoredRow(row: 2, score: 1), ScoredRow(row: 3, score: 0.5)]
        rig.stream.add(items[0])
        #expect(rig.parts() == ["start 200 application/x-ndjson", "{\"item\":\"a\",\"score\":2.0,\"rank\":1}\n"])
        rig.stream.add(items[1])
        #expect(rig.parts() == ["{\"item\":\"b\",\"score\":1.0,\"rank\":2}\n"])
        #expect(rig.outcomes.all == [])
        // The end sends the items that have not been sent.
        rig.stream.finish(Self.reply, items, .ok)
        let end = rig.parts()
        #expect(end.count == 3 && end[0] == "{\"item\":\"c\",\"score\":0.5,\"rank\":3}\n")
        #expect(end[1].hasPrefix("{\"done\":true") && end[2] == "finish")
        #expect(rig.outcomes.all == [.ok])
    }

    @Test func itemsThatComeTogether_AreOnePiece() throws {
        let rig = try Rig()
        rig.stream.finish(Self.reply, Self.items(3), .ok)
        let parts = rig.parts()
        #expect(parts.count == 4 && parts[0].hasPrefix("start 200") && parts[3] == "finish")
        #expect(parts[1].split(separator: "\n").count == 3)
    }

    @Test func failureBeforeTheFirstItem_IsAnOrdinaryReply() throws {
        let rig = try Rig()
        rig.stream.fail(.expired, Self.response, Self.problem)
        #expect(rig.parts() == ["whole"])
        #expect(rig.outcomes.all == [.expired])
    }

    @Test(arguments: StreamFormat.allCases)
    func failureAfterAnItem_IsARecord_WithoutTheMarkOfACompleteReply(format: StreamFormat) throws {
        let rig = try Rig(format: format)
        rig.stream.add(ScoredRow(row: 1, score: 1))
        rig.stream.fail(.expired, Self.response, Self.problem)
        let parts = rig.parts()
        #expect(parts.count == 4 && parts.last == "abort")
        #expect(parts[1].contains("\"rank\":1}") && parts[2].contains("{\"error\":{\"type\":\"about:blank\""))
        #expect(parts[2].contains("\"status\":504") && parts[2].contains("too late"))
        #expect(parts[2].hasPrefix("event: error\n") == (format == .serverSentEvents))
        #expect(rig.outcomes.all == [.expired])
    }

    /// A client that has seen the end finds the outcome in the metrics.
    @Test func outcome_IsCounted_BeforeTheEndIsSent() throws {
        let ending = try Rig()
        ending.stream.finish(Self.reply, Self.items(1), .ok)
        ending.queue.sync {}
        #expect(ending.outcomes.takeParts().count == 2)
        #expect(ending.parts().last == "finish")
        let failing = try Rig()
        failing.stream.add(ScoredRow(row: 1, score: 1))
        failing.stream.fail(.expired, Self.response, Self.problem)
        failing.queue.sync {}
        #expect(failing.outcomes.takeParts().count == 2)
        #expect(failing.parts().last == "abort")
        let refusing = try Rig()
        refusing.stream.fail(.expired, Self.response, Self.problem)
        refusing.queue.sync {}
        #expect(refusing.outcomes.takeParts() == [])
        #expect(refusing.parts() == ["whole"])
    }

    @Test func failure_WaitsBehindTheItems_OfASlowClient() throws {
        let rig = try Rig(holdBytes: 10)
        rig.stream.add(ScoredRow(row: 1, score: 1))
        let first = rig.parts()
        #expect(first.count == 2)
        rig.stream.add(ScoredRow(row: 2, score: 1))
        rig.stream.fail(.failed, Self.response, Self.problem)
        #expect(rig.parts() == [])
        rig.exchange.contentLeft(first[1].utf8.count)
        let second = rig.parts()
        #expect(second.count == 1 && second[0].contains("\"rank\":2}"))
        rig.exchange.contentLeft(second[0].utf8.count)
        #expect(rig.parts().last == "abort")
        #expect(rig.outcomes.all == [.failed])
    }

    @Test func slowClient_HoldsTheStream_UntilItHasMadeRoom() throws {
        let rig = try Rig(holdBytes: 1_000)
        rig.stream.finish(Self.reply, Self.items(10_000), .ok)
        var text = ""
        var rounds = 0
        var parts = rig.parts()
        #expect(parts.removeFirst() == "start 200 application/x-ndjson")
        while parts.last != "finish" {
            // One piece at a time: the piece, not the reply, limits the unsent bytes.
            let content = parts.joined()
            #expect(content.utf8.count < 20_000)
            text += content
            rounds += 1
            rig.exchange.contentLeft(content.utf8.count)
            parts = rig.parts()
            try #require(rounds < 1_000)
        }
        text += parts.dropLast().joined()
        let lines = text.split(separator: "\n")
        #expect(lines.count == 10_001)
        for (index, line) in lines.dropLast().enumerated() {
            #expect(line.hasSuffix("\"rank\":\(index + 1)}"))
        }
        #expect(rounds > 10)
        #expect(rig.outcomes.all == [.ok])
    }

    @Test func clientThatGoesAway_EndsTheStream_AndIsCountedOnce() throws {
        let rig = try Rig(holdBytes: 100)
        for item in Self.items(1_000) { rig.stream.add(item) }
        _ = rig.parts()
        rig.exchange.cancel()
        rig.stream.cancel()
        rig.stream.finish(Self.reply, Self.items(1_001), .ok)
        #expect(rig.parts() == [])
        #expect(rig.outcomes.all == [.cancelled])
    }

    @Test(arguments: StreamFormat.allCases)
    func scoreThatIsNoNumber_EndsWithAnErrorRecord_WithoutTheMarkOfACompleteReply(format: StreamFormat) throws {
        let rig = try Rig(format: format)
        let items = [ScoredRow(row: 1, score: 1), ScoredRow(row: 2, score: .nan), ScoredRow(row: 3, score: 0)]
        rig.stream.finish(Self.reply, items, .ok)
        let parts = rig.parts()
        #expect(parts.last == "abort")
        let content = parts.dropFirst().dropLast().joined()
        #expect(content.contains("\"rank\":1}") && !content.contains("\"rank\":3") && !content.contains("done"))
        #expect(content.contains("{\"error\":{\"type\":\"about:blank\"") && content.contains("\"status\":500"))
        #expect(content.contains("event: error\n") == (format == .serverSentEvents))
        #expect(rig.outcomes.all == [.failed])
    }
}
