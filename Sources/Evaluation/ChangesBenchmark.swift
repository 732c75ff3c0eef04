// The cost of catalogue changes, for `bench --changes`: applying them, reading them after a restart, adding one item to
// many, and answering by popularity. Uses a generated catalogue and no model.

internal import Catalogue
internal import Compute
internal import Foundation
internal import Glibc
internal import Random

/// Timings of changes to a generated catalogue.
package struct ChangesReport: Sendable {
    /// Number of items, and of changes to random items: half change the availability, a quarter each the popularity and
    /// the tags.
    package var items: Int
    /// Processor seconds for applying the changes in one call, without waiting for the disk.
    package var applySeconds: Double
    /// Processor seconds for reading their journal and building the served catalogue; the minimum of several runs.
    package var replaySeconds: Double
    package var journalBytes: Int
    /// Calls that add one item to none, and to many.
    package var additions: [(added: Int, durations: Durations)]
    /// Ten items by popularity, with all items available and with a tenth unavailable.
    package var popularity: [(name: String, durations: Durations)]

    /// One JSON object.
    package var json: String {
        let additions = additions.map { "{\"added\":\($0.added),\"milliseconds\":\($0.durations.json)}" }
        let answers = popularity.map { "\"\($0.name)\":\($0.durations.json)" }
        return """
            {"items":\(items),"changes":\(items),"apply_seconds":\(applySeconds),"replay_seconds":\(replaySeconds),\
            "journal_bytes":\(journalBytes),"additions":[\(additions.joined(separator: ","))],\
            "popularity_milliseconds":{\(answers.joined(separator: ","))}}
            """
    }

    /// One line per figure.
    package var table: String {
        var lines = [
            "\(items) items, \(items) changes, a journal of \(journalBytes) bytes",
            String(format: "apply             %.2f s of CPU time", applySeconds),
            String(format: "replay            %.2f s of CPU time", replaySeconds),
        ]
        for (added, durations) in additions { lines.append("add 1 to \(added)  \(durations.text) ms") }
        for (name, durations) in popularity {
            let micros = [durations.median, durations.p99].map { String(format: "%.2f", 1_000 * $0) }
            lines.append("popularity, \(name)  median \(micros[0])  p99 \(micros[1]) us")
        }
        return lines.joined(separator: "\n")
    }
}

/// Benchmarks changes to a generated catalogue.
package enum ChangesBenchmark {
    private static let replays = 3
    private static let calls = 50
    private static let answers = 2_000
    /// Width of an added item's row.
    private static let width = 64

    /// - Parameters:
    ///   - items: number of items and of changes, at least 1.
    ///   - directory: for the journal; created if missing.
    /// - Throws: errors of the folder and the journal.
    package static func run(items count: Int, directory: String) throws -> ChangesReport {
        var random = SplitMix64(seed: 1)
        let base = try makeCatalogue(count, &random)
        var report = ChangesReport(
            items: count,
            applySeconds: 0,
            replaySeconds: .infinity,
            journalBytes: 0,
            additions: [],
            popularity: []
        )
        do {
            let store = try CatalogueStore(directory: directory)
            let changes = makeChanges(count, &random)
            let start = processorSeconds()
            _ = try store.apply(changes, current: { [base] }, publish: { _ in })
            report.applySeconds = processorSeconds() - start
        }
        let journal = try FileManager.default.attributesOfItem(atPath: directory + "/journal.1")
        report.journalBytes = journal[.size] as? Int ?? 0
        for _ in 0..<replays {
            let start = processorSeconds()
            _ = try CatalogueStore(directory: directory).snapshot(of: base)
            report.replaySeconds = min(report.replaySeconds, processorSeconds() - start)
        }
        report.additions = try additions(to: base)
        let away = (1...max(1, count / 10)).map { _ in
            var change = CatalogueChange(item: id(Int(random.next() % UInt64(count)) + 1))
            change.available = false
            return change
        }
        var hidden = base
        _ = try CatalogueStore(directory: nil).apply(away, current: { [base] }, publish: { hidden = $0[0] })
        report.popularity = [("all available", answer(base)), ("a tenth hidden", answer(hidden))]
        return report
    }

    private static func id(_ row: Int) -> String { "item-\(row * 7)" }

    private static func makeCatalogue(_ count: Int, _ random: inout SplitMix64) throws -> CatalogueSnapshot {
        var text: [UInt8] = []
        for row in 1...count {
            text +=
                "{\"index\":\(row),\"id\":\"\(id(row))\",\"tags\":[\"t\(row % 50)\"],\"popularity\":\(random.next() % 100_000)}\n"
                .utf8
        }
        let items = try text.withUnsafeBytes { try Catalogue(reading: $0, path: "", rowCount: count + 1) }
        let table = ItemTable(rows: count + 1, width: width) { _ in nil }
        return CatalogueSnapshot(items, extensibility: .by(table))
    }

    private static func makeChanges(_ count: Int, _ random: inout SplitMix64) -> [CatalogueChange] {
        (0..<count).map { number in
            var change = CatalogueChange(item: id(Int(random.next() % UInt64(count)) + 1))
            switch number % 4 {
            case 0: change.popularity = Double(random.next() % 100_000)
            case 1: change.tags = ["new", "genre:\(random.next() % 100)"]
            default: change.available = random.next() % 2 == 0
            }
            return change
        }
    }

    private static func additions(to base: CatalogueSnapshot) throws -> [(added: Int, durations: Durations)] {
        let store = try CatalogueStore(directory: nil)
        var now = base
        func add(_ count: Int) throws -> UInt64 {
            let changes = (0..<count).map { number in
                var change = CatalogueChange(item: "added-\(now.addedCount + number)")
                let row = [Float](repeating: Float(number), count: width)
                change.added = AddedItem(.embedding(row), title: "The title of an item")
                return change
            }
            let start = ContinuousClock.now
            _ = try store.apply(changes, current: { [now] }, publish: { now = $0[0] })
            return UInt64((ContinuousClock.now - start) / .nanoseconds(1))
        }
        var times: [(added: Int, durations: Durations)] = []
        for many in [0, 100_000 - calls] {
            if many > now.addedCount { _ = try add(many - now.addedCount) }
            times.append((many, Durations(try (0..<calls).map { _ in try add(1) })))
        }
        return times
    }

    private static func answer(_ catalogue: CatalogueSnapshot) -> Durations {
        Durations(
            (0..<answers).map { _ in
                let start = ContinuousClock.now
                _ = catalogue.mostPopular(10, Eligibility())
                return UInt64((ContinuousClock.now - start) / .nanoseconds(1))
            }
        )
    }

    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
