// Models on an NPU, which is the emulator here, against their trainers' own code: half precision may swap neighbours and move
// scores a little, and no more.

import AscendEmulatorSupport
import Catalogue
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

    /// A chip, a type, and whether HSTU's attention is left to RecSDK's operator.
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

    /// Runs the body with a model on a device of that setting, after which CANN is ended and nothing is left.
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
        // The operator is HSTU's alone.
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

    /// The numbers of the selection, at the candidates' cost.
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

    /// Batch after batch a whole model takes no memory, waits once, copies its inputs once, and brings back what was selected.
    @Test(arguments: ["hstu-small", "sasrec-meta", "llama-small"], [false, true])
    func steadyState_AllocatesNothing_AndWaitsOnce(name: String, isFused: Bool) throws {
        let fixture = try Fixture(name)
        let setting = Setting(chip: "Ascend910B3", dtype: .bfloat16, isFused: isFused)
        try withModel(fixture, setting) { executor, catalogue, emulator in
            let requests = fixture.cases.map(request)
            let batches = [requests, Array(requests.prefix(1)), Array(requests.dropFirst())]
            for batch in [requests] + batches { _ = try executor.run(batch, catalogue) }
            // The first of each kind since it was seen is captured, the next is one call among seven.
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
                // Scores and rows of a few more than asked for, whatever the catalogue's size.
                let wanted = selections.count * 32 * (MemoryLayout<Float>.size + MemoryLayout<Int64>.size)
                #expect(emulator.bytesBack <= wanted + 128)
                #expect(emulator.bytesBack > 0)
            }
        }
    }
}
