// Models on an NPU, which is the emulator here, against their trainers' own code: half precision may swap neighbours and move
// scores a little, and no more.

import AscendEmulatorSupport
import Compute
import ComputeAscend
import Engine
import Models
import Testing

struct AscendGoldenTests {
    /// How many of the reference's best items are among those selected, of how many.
    private struct Agreement {
        var found = 0
        var wanted = 0
    }

    private func request(_ example: Fixture.Case) -> RecommendationRequest {
        var request = RecommendationRequest(
            history: example.history.items,
            timestamps: example.history.timestamps,
            requestTime: example.request_time,
            count: 10,
            arrival: .now()
        )
        request.eligibility.excludesSeen = false
        return request
    }

    /// Items of the best ten that are missing count, unless half precision cannot tell them from the tenth.
    private func compare(
        _ rows: [ScoredRow],
        _ example: Fixture.Case,
        scale: Double,
        _ agreement: inout Agreement,
        _ comment: Comment
    ) {
        let wanted = example.top.prefix(10)
        #expect(rows.count == wanted.count, comment)
        let reference = Dictionary(uniqueKeysWithValues: example.top.map { ($0.item, $0.score) })
        for row in rows {
            guard let score = reference[row.row] else { continue }
            #expect(abs(Double(row.score) - score) <= 2e-2 * scale, comment)
        }
        let selected = Set(rows.map(\.row))
        let tenth = wanted.last?.score ?? 0
        agreement.wanted += wanted.count
        agreement.found += wanted.count { selected.contains($0.item) || $0.score - tenth <= 4e-3 * scale }
    }

    @Test(arguments: Fixture.names, [DType.float16, .bfloat16])
    func answersAsTheReference(name: String, dtype: DType) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            try Emulator.exclusively { emulator in
                let device = try AscendDevice(number: 0, dtype: dtype)
                let model = try ModelRegistry.makeModel(bundle, on: device)
                let executor = try BatchExecutor(
                    LoadedModel(device: device, model: model, owner: bundle),
                    catalogue: bundle.catalogue
                )
                var agreement = Agreement()
                let (selections, _) = try executor.run(fixture.cases.map(request))
                for (index, example) in fixture.cases.enumerated() {
                    let scale = max(1, example.top.map { abs($0.score) }.max() ?? 1)
                    compare(selections[index], example, scale: scale, &agreement, "\(name), case \(index)")
                }
                #expect(Double(agreement.found) >= 0.98 * Double(agreement.wanted), "\(name): \(agreement)")
                #expect(emulator.count("gather past the end") == 0)
            }
        }
    }
}
