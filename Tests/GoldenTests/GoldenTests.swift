// Models against their trainers' own code: every case of every fixture, alone, in a batch with other sequences, and on
// one and two threads.

import Catalogue
import Compute
import ComputeCPU
import Engine
import Models
import Testing

@Suite struct GoldenTests {
    private func executor(_ bundle: ModelBundle, threads: Int = 1) throws -> BatchExecutor {
        let device = try CPUDevice(threads: threads)
        let model = try ModelRegistry.makeModel(bundle, on: device)
        return try BatchExecutor(
            ResidentModel(device: device, model: model)
        )
    }

    private func request(_ example: Fixture.Case, count: Int, excludesSeen: Bool) -> RecommendationRequest {
        var request = RecommendationRequest(
            history: example.history.items,
            timestamps: example.history.timestamps,
            requestTime: example.request_time,
            count: count,
            arrival: .now()
        )
        request.eligibility.excludesSeen = excludesSeen
        return request
    }

    private func expect(_ rows: [ScoredRow], _ answers: [Fixture.Answer], _ tolerance: Double, _ comment: Comment) {
        #expect(rows.map(\.row) == answers.map(\.item), comment)
        for (row, answer) in zip(rows, answers) {
            #expect(abs(Double(row.score) - answer.score) <= tolerance, comment)
        }
    }

    @Test(arguments: Fixture.names)
    func answersAsTheReference(name: String) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let executor = try executor(bundle)
            for (index, example) in fixture.cases.enumerated() {
                let requests = [
                    request(example, count: example.top.count, excludesSeen: false),
                    request(example, count: example.top_unseen.count, excludesSeen: true),
                ]
                let (selections, _) = try executor.run(requests, CatalogueSnapshot(bundle.catalogue))
                let tolerance = fixture.tolerance(example)
                expect(selections[0], example.top, tolerance, "\(name), case \(index), all items")
                expect(selections[1], example.top_unseen, tolerance, "\(name), case \(index), unseen items")
            }
        }
    }

    @Test(arguments: Fixture.names)
    func generatesAsTheReference(name: String) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let executor = try executor(bundle)
            for (index, example) in fixture.cases.enumerated() {
                var request = request(example, count: example.greedy_unseen.count, excludesSeen: true)
                request.mode = .sequence(nil)
                var generation = Generation(request, CatalogueSnapshot(bundle.catalogue))
                var isUnderWay = true
                while isUnderWay {
                    let history = UsedHistory(request, HistoryWindow(length: executor.window))
                    let pass = Pass(history: history, rows: 0..<history.count, asks: generation.question)
                    if case .goesOn(let row) = generation.take(.rows(try executor.run([pass]).selections[0])) {
                        request.history.append(row)
                        request.timestamps?.append(request.requestTime)
                    } else {
                        isUnderWay = false
                    }
                }
                expect(
                    generation.items,
                    example.greedy_unseen,
                    fixture.tolerance(example),
                    "\(name), case \(index), greedily"
                )
            }
        }
    }

    @Test(arguments: Fixture.names)
    func scoresEveryItemAsTheReference(name: String) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let executor = try executor(bundle)
            for example in fixture.cases {
                guard let scores = example.scores else { continue }
                let (selections, _) = try executor.run(
                    [request(example, count: scores.count, excludesSeen: false)],
                    CatalogueSnapshot(bundle.catalogue)
                )
                #expect(selections[0].count == scores.count)
                for scored in selections[0] {
                    #expect(abs(Double(scored.score) - scores[Int(scored.row) - 1]) <= fixture.tolerance(example))
                }
            }
        }
    }

    /// To the bit: a reply must not depend on the other requests.
    @Test(arguments: Fixture.names, [1, 2])
    func answersTheSameBits_InABatchOfStrangers(name: String, threads: Int) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let alone = try executor(bundle, threads: 1)
            let crowded = try executor(bundle, threads: threads)
            let own = fixture.cases.map { request($0, count: 50, excludesSeen: true) }
            let expected = try own.map { try alone.run([$0], CatalogueSnapshot(bundle.catalogue)).selections[0] }
            let items = Int32(bundle.catalogue.count)
            // 32 sequences of different lengths, with and without timestamps, including the cases.
            var batch = (0..<32 - own.count).map { stranger in
                let length = 1 + stranger * 5 % (crowded.window + 7)
                return RecommendationRequest(
                    history: (0..<length).map { Int32($0 * 31 + stranger * 17) % items + 1 },
                    timestamps: stranger.isMultiple(of: 3)
                        ? nil : (0..<length).map { 1_600_000_000 + Int64($0 * 997 * (stranger + 1)) },
                    requestTime: 1_700_000_000,
                    count: 1 + stranger,
                    arrival: .now()
                )
            }
            for (index, request) in own.enumerated() { batch.insert(request, at: index * 5) }
            let (selections, _) = try crowded.run(batch, CatalogueSnapshot(bundle.catalogue))
            for index in own.indices { #expect(selections[index * 5] == expected[index]) }
        }
    }
}
