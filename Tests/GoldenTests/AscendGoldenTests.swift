// Models on an NPU (here the emulator) against their trainers' own code: half precision may swap neighbours and move
// scores a little, but no more.

import AscendEmulatorSupport
import Catalogue
import Compute
import ComputeAscend
import Engine
import Models
import Testing

struct AscendGoldenTests {
    /// The number of the reference's best items that were selected, and of all of them.
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

    /// Missing items of the best ten count as disagreement, unless half precision cannot distinguish them from the
    /// tenth.
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

    /// A chip, a type, and whether RecSDK's operator computes HSTU's attention.
    struct Setting: Sendable, CustomTestStringConvertible {
        var chip: String
        var dtype: DType
        var isFused = false

        var testDescription: String { "\(chip) in \(dtype.rawValue)\(isFused ? ", fused" : "")" }

        static let all = [
            Setting(chip: "Ascend910B3", dtype: .float16), Setting(chip: "Ascend910B3", dtype: .bfloat16),
            Setting(chip: "Ascend910B3", dtype: .float16, isFused: true),
            Setting(chip: "Ascend910B3", dtype: .bfloat16, isFused: true),
            Setting(chip: "Ascend310P3", dtype: .float16),
        ]
    }

    /// Runs the body with a model on a device of that setting; then ends CANN and checks that nothing is left
    /// allocated.
    private func withModel(
        _ fixture: Fixture,
        _ setting: Setting,
        body: (BatchExecutor, CatalogueSnapshot, Emulator.Controls) throws -> Void
    ) throws {
        try fixture.withBundle { bundle in
            try Emulator.exclusively { emulator in
                // Another test may have left CANN initialised.
                try AscendProcess.finalize()
                emulator.setChip(setting.chip)
                do {
                    let device = try AscendDevice.open(
                        number: 0,
                        dtype: setting.dtype,
                        timeoutMilliseconds: 60_000,
                        fusesAttention: setting.isFused
                    )
                    let model = try ModelRegistry.makeModel(bundle, on: device)
                    let executor = try BatchExecutor(
                        ResidentModel(device: device, model: model)
                    )
                    try body(executor, CatalogueSnapshot(bundle.catalogue), emulator)
                }
                try AscendProcess.finalize()
                emulator.setChip("Ascend910B3")
            }
        }
    }

    @Test(arguments: Fixture.names, Setting.all)
    func answersAsTheReference(name: String, setting: Setting) throws {
        // Only HSTU uses the operator.
        if setting.isFused, !name.hasPrefix("hstu") { return }
        let fixture = try Fixture(name)
        try withModel(fixture, setting) { executor, catalogue, emulator in
            var agreement = Agreement()
            emulator.resetTrace()
            let (selections, _) = try executor.run(fixture.cases.map(request), catalogue)
            for (index, example) in fixture.cases.enumerated() {
                let scale = max(1, example.top.map { abs($0.score) }.max() ?? 1)
                compare(selections[index], example, scale: scale, &agreement, "\(name), case \(index)")
            }
            #expect(Double(agreement.found) >= 0.98 * Double(agreement.wanted), "\(name): \(agreement)")
            #expect(emulator.count("gather past the end") == 0)
            #expect((emulator.count("aclnnHstuDenseForward") > 0) == setting.isFused)
        }
    }

    /// Candidates get the selection's scores, at the cost of scoring only them.
    @Test(arguments: Fixture.names)
    func candidatesScore_AsTheSelectionFindsThem(name: String) throws {
        let fixture = try Fixture(name)
        try withModel(fixture, Setting(chip: "Ascend910B3", dtype: .bfloat16)) { executor, catalogue, emulator in
            let requests = fixture.cases.map(request)
            let (selections, _) = try executor.run(requests, catalogue)
            var ranking = requests
            for (index, selection) in selections.enumerated() {
                ranking[index].mode = .rank(selection.map(\.row).reversed())
            }
            let (scores, _) = try executor.run(ranking, catalogue)
            #expect(scores.map { $0.reversed() } == selections)
            #expect(emulator.count("gather past the end") == 0)
        }
    }

    /// In steady state a whole model allocates nothing, waits once, copies its inputs once, and copies back only the
    /// selection.
    @Test(arguments: ["hstu-small", "sasrec-meta", "llama-small"], [false, true])
    func steadyState_AllocatesNothing_AndWaitsOnce(name: String, isFused: Bool) throws {
        let fixture = try Fixture(name)
        let setting = Setting(chip: "Ascend910B3", dtype: .bfloat16, isFused: isFused)
        try withModel(fixture, setting) { executor, catalogue, emulator in
            let requests = fixture.cases.map(request)
            let batches = [requests, Array(requests.prefix(1)), Array(requests.dropFirst())]
            for batch in [requests] + batches { _ = try executor.run(batch, catalogue) }
            // The first batch of each kind after the warm-up is captured, the next one is a single call among seven.
            for (number, batch) in (batches + batches).enumerated() {
                emulator.resetTrace()
                let (selections, _) = try executor.run(batch, catalogue)
                if number >= batches.count {
                    #expect(emulator.count("acl*") == 7)
                    #expect(emulator.count("aclmdlRIExecuteAsync") == 1)
                }
                #expect(emulator.count("aclrtMalloc*") == 0)
                #expect(emulator.count("aclrtFree*") == 0)
                #expect(emulator.count("aclrtSynchronize*") == 1)
                #expect(emulator.count("pageable copy") == 0)
                #expect(emulator.count("aclrtMemcpyAsync") == 2)
                #expect(emulator.count("aclrtMemcpy") == 0)
                // Scores and rows of a few more than requested, whatever the catalogue's size.
                let wanted = selections.count * 32 * (MemoryLayout<Float>.size + MemoryLayout<Int64>.size)
                #expect(emulator.bytesBack <= wanted + 128)
                #expect(emulator.bytesBack > 0)
            }
        }
    }
}
