// A streamed reply against an exchange without a connection: the test plays the loop and the slow client.

import Compute
import Dispatch
import Synchronization
import Testing

@testable import HTTP
@testable import Service

@Suite struct RecommendStreamTests {
    /// A stream and what it does.
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
                ids: FakeCatalogue.strings,
                queue: queue,
                ended: { [outcomes] in outcomes.add($0) }
            )
            stream.start()
        }

        /// The parts that the loop would pick up now, as words and content.
        func parts() -> [String] {
            // Whatever was to be written before has been.
            queue.sync {}
            var messages: [LoopMessage] = []
            mailbox.take(into: &messages)
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

    private final class OutcomeList: Sendable {
        private let list = Mutex<[RecommendOutcome]>([])
        func add(_ outcome: RecommendOutcome) { list.withLock { $0.append(outcome) } }
        var all: [RecommendOutcome] { list.withLock { $0 } }
    }

    private static let reply = RecommendReply(
        requestID: "id",
        model: .init(name: "m", version: "1"),
        rows: [],
        scores: [],
        source: .model,
        historyUsed: 1,
        historyCached: 0,
        unknownItems: 0,
        exhausted: false,
        timing: .init(queue: .zero, prefill: .zero, decode: .zero, total: .zero)
    )

    @Test func itemsComeInOrder_RanksGoOn_ThenTheEnd() throws {
        let rig = try Rig()
        rig.stream.add([ScoredRow(row: 1, score: 2), ScoredRow(row: 2, score: 1)])
        rig.stream.add([ScoredRow(row: 3, score: 0.5)])
        #expect(
            rig.parts().joined(separator: "|")
                .replacing("}\n|{", with: "}\n{")
                    == """
                    start 200 application/x-ndjson|{"item":"a","score":2.0,"rank":1}
                    {"item":"b","score":1.0,"rank":2}
                    {"item":"c","score":0.5,"rank":3}

                    """
        )
        #expect(rig.outcomes.all == [])
        rig.stream.finish(Self.reply, .ok)
        let end = rig.parts()
        #expect(end.count == 2 && end[0].hasPrefix("{\"done\":true") && end[1] == "finish")
        #expect(rig.outcomes.all == [.ok])
    }

    @Test func slowClient_HoldsTheStream_UntilItHasMadeRoom() throws {
        let rig = try Rig(holdBytes: 1_000)
        rig.stream.add((0..<10_000).map { ScoredRow(row: 1, score: Float($0)) })
        rig.stream.finish(Self.reply, .ok)
        var text = ""
        var rounds = 0
        var parts = rig.parts()
        #expect(parts.removeFirst() == "start 200 application/x-ndjson")
        while parts.last != "finish" {
            // One piece at a time: what waits for the client is bounded by the piece, not by the reply.
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
        rig.stream.add((0..<1_000).map { ScoredRow(row: 1, score: Float($0)) })
        _ = rig.parts()
        rig.exchange.cancel()
        rig.stream.finish(Self.reply, .ok)
        #expect(rig.parts() == [])
        #expect(rig.outcomes.all == [.cancelled])
    }

    @Test(arguments: StreamFormat.allCases)
    func scoreThatIsNoNumber_EndsWithAnErrorRecord_WithoutTheMarkOfACompleteReply(format: StreamFormat) throws {
        let rig = try Rig(format: format)
        rig.stream.add([ScoredRow(row: 1, score: 1), ScoredRow(row: 2, score: .nan), ScoredRow(row: 3, score: 0)])
        rig.stream.finish(Self.reply, .ok)
        let parts = rig.parts()
        #expect(parts.last == "abort")
        let content = parts.dropFirst().dropLast().joined()
        #expect(content.contains("\"rank\":1}") && !content.contains("\"rank\":3") && !content.contains("done"))
        #expect(content.contains("{\"error\":{\"type\":\"about:blank\"") && content.contains("\"status\":500"))
        #expect(content.contains("event: error\n") == (format == .serverSentEvents))
        #expect(rig.outcomes.all == [.failed])
    }
}
