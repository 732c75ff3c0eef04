// The cost of lower precision on a trained model: the demo's users, each dtype against float32. Also: in no dtype do a
// reply's bits depend on the batch.

import Catalogue
import Compute
import ComputeCPU
import Engine
import Foundation
import Models
import Testing

@Suite struct PrecisionTests {
    private func executor(_ bundle: ModelBundle, _ dtype: DType, threads: Int = 1) throws -> BatchExecutor {
        let device = try CPUDevice(threads: threads, dtype: dtype)
        let model = try ModelRegistry.makeModel(bundle, on: device)
        return try BatchExecutor(
            ResidentModel(device: device, model: model)
        )
    }

    /// A user's events without the last, and the item of the last.
    private struct User {
        var request: RecommendationRequest
        var target: Int32
    }

    /// The demo's test users, evaluated leave-one-out.
    private func users(_ bundle: ModelBundle) throws -> [User] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(
            contentsOf: tests.deletingLastPathComponent().appendingPathComponent("Config/demo/interactions.tsv"),
            encoding: .utf8
        )
        var events: [Substring: [(row: Int32, time: Int64)]] = [:]
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t")
            let row = try #require(bundle.catalogue.row(of: String(fields[1])))
            events[fields[0], default: []].append((row, try #require(Int64(fields[2]))))
        }
        return try events.keys.sorted().map { user in
            let sorted = (events[user] ?? []).enumerated().sorted {
                ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
            }.map(\.element)
            let last = try #require(sorted.last)
            var request = RecommendationRequest(
                history: sorted.dropLast().map(\.row),
                timestamps: sorted.dropLast().map(\.time),
                requestTime: last.time,
                count: 10,
                arrival: .now()
            )
            request.eligibility.excludesSeen = true
            return User(request: request, target: last.row)
        }
    }

    /// The ten best items of each user.
    private func best(
        _ users: [User],
        _ executor: BatchExecutor,
        _ catalogue: CatalogueSnapshot
    ) throws -> [[Int32]] {
        try stride(from: 0, to: users.count, by: 32).flatMap { first in
            try executor.run(users[first..<min(first + 32, users.count)].map(\.request), catalogue).selections
                .map { $0.map(\.row) }
        }
    }

    private static let demo = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Config/demo").path

    @Test(arguments: [(DType.bfloat16, 0.98, 0.002), (.int8, 0.95, 0.005)])
    func keepsTheTenBest_OfTheDemosUsers(_ dtype: DType, _ share: Double, _ hitRate: Double) throws {
        let bundle = try ModelBundle.load(directory: Self.demo)
        let users = try users(bundle)
        #expect(users.count == 600)
        let exact = try best(users, try executor(bundle, .float32), CatalogueSnapshot(bundle.catalogue))
        let found = try best(users, try executor(bundle, dtype), CatalogueSnapshot(bundle.catalogue))
        let kept = zip(exact, found).reduce(0) { $0 + Set($1.0).intersection($1.1).count }
        #expect(Double(kept) / Double(10 * users.count) >= share, "\(kept) of \(10 * users.count)")
        func hits(_ lists: [[Int32]]) -> Double {
            Double(zip(users, lists).filter { $1.contains($0.target) }.count) / Double(users.count)
        }
        #expect(abs(hits(exact) - hits(found)) <= hitRate, "\(hits(exact)) and \(hits(found))")
    }

    @Test(arguments: ["hstu-ml1m-shape", "hstu-uneven", "llama-small", "sasrec-original"], [DType.bfloat16, .int8])
    func answersTheSameBits_InABatchOfStrangers(name: String, dtype: DType) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let alone = try executor(bundle, dtype)
            let crowded = try executor(bundle, dtype, threads: 2)
            let requests = fixture.cases.map { example in
                RecommendationRequest(
                    history: example.history.items,
                    timestamps: example.history.timestamps,
                    requestTime: example.request_time,
                    count: 50,
                    arrival: .now()
                )
            }
            let expected = try requests.map { try alone.run([$0], CatalogueSnapshot(bundle.catalogue)).selections[0] }
            // Sequences of other lengths before and between the users'.
            let strangers = requests.enumerated().map { index, request in
                var other = request
                other.history = Array(request.history.suffix(1 + index * 7 % request.history.count))
                other.timestamps = request.timestamps.map { Array($0.suffix(other.history.count)) }
                return other
            }
            let (selections, _) = try crowded.run(
                zip(strangers, requests).flatMap { [$0, $1] },
                CatalogueSnapshot(bundle.catalogue)
            )
            for index in requests.indices { #expect(selections[2 * index + 1] == expected[index]) }
        }
    }
}
