// Histories unknown to the catalogue: each is counted, with one warning per minute.

import Catalogue
import Locking
import Logging
import Telemetry
import Testing

@testable import Service

@Suite struct StrangeHistoriesTests {
    private final class Lines: Sendable {
        private let lines = Lock<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    private struct Handler: LogHandler {
        let lines: Lines
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        init(_ lines: Lines) { self.lines = lines }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            lines.add("\(event.level) \(event.metadata?["history.id"] ?? "") \(event.metadata?["catalogue.id"] ?? "")")
        }
    }

    @Test func warning_ComesOnceAMinute_WithAnIDOfEach() {
        let lines = Lines()
        let histories = StrangeHistories(logger: Logger(label: "test") { _ in Handler(lines) })
        let catalogue = Catalogue.numbered(rows: 5)
        let second: UInt64 = 1_000_000_000
        for time in [1, 2, 60, 61, 62, 200] as [UInt64] {
            histories.note("item-\(time)", CatalogueSnapshot(catalogue), now: time * second)
        }
        #expect(lines.all == ["warning item-1 1", "warning item-61 1", "warning item-200 1"])
    }
}
