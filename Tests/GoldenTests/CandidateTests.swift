// Scores of named candidates against the selection from the catalogue: the same bits, on every architecture and dtype,
// alone and in a batch, on one thread and on two.

import Catalogue
import Compute
import ComputeCPU
import Engine
import Models
import Testing

@Suite struct CandidateTests {
    @Test(arguments: Fixture.names, [DType.float32, .bfloat16, .int8])
    func everyItem_ScoresAsTheSelectionFindsIt(name: String, dtype: DType) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let catalogue = CatalogueSnapshot(bundle.catalogue)
            func executor(threads: Int) throws -> BatchExecutor {
                let device = try CPUDevice(threads: threads, dtype: dtype)
                let model = try ModelRegistry.makeModel(bundle, on: device)
                return try BatchExecutor(ResidentModel(device: device, model: model))
            }
            let (one, two) = (try executor(threads: 1), try executor(threads: 2))
            let requests = fixture.cases.map { example in
                var request = RecommendationRequest(
                    history: example.history.items,
                    timestamps: example.history.timestamps,
                    requestTime: example.request_time,
                    count: bundle.catalogue.count,
                    arrival: .now()
                )
                request.eligibility.excludesSeen = false
                return request
            }
            let (best, _) = try one.run(requests, catalogue)
            var mixed: [RecommendationRequest] = []
            for (index, request) in requests.enumerated() {
                var ranking = request
                // An order other than that of the scores.
                ranking.mode = .rank(best[index].map(\.row).sorted(by: >))
                let expected = best[index].sorted { $0.row > $1.row }
                #expect(try one.run([ranking], catalogue).selections[0] == expected, "\(name), case \(index), alone")
                mixed += [request, ranking]
            }
            let (together, _) = try two.run(mixed, catalogue)
            for index in requests.indices {
                #expect(together[2 * index] == best[index])
                #expect(together[2 * index + 1] == best[index].sorted { $0.row > $1.row })
            }
        }
    }
}
