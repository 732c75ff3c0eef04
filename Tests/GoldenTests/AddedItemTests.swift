// Items added to a served model, against a bundle that has them in its table from the start: the same items with the
// same bits, in answers and in histories.

import Catalogue
import Compute
import ComputeCPU
import Engine
import Foundation
import Models
import Testing

@Suite struct AddedItemTests {
    /// Ids of the fixtures' items are numbers.
    private static let ids = ["900001", "900002", "900003", "900004"]

    private static func row(_ bundle: ModelBundle, _ row: Int32) throws -> [Float] {
        let table = try bundle.tensor(bundle.architecture.configuration.tensorSpecifications[0].name)
        return withExtendedLifetime(table.owner) {
            (0..<table.shape[1]).map { column in
                table.bytes.loadUnaligned(fromByteOffset: 4 * (Int(row) * table.shape[1] + column), as: Float.self)
            }
        }
    }

    /// The bundle with these rows appended.
    private static func extended(_ bundle: ModelBundle, by rows: [[Float]], in folder: URL) throws -> ModelBundle {
        var model = bundle.architecture.configuration
        let before = model.rows
        model.rows += rows.count
        let configuration = try BundleConfiguration(
            name: "extended",
            version: "1",
            architecture: Architecture(model),
            dtype: .float32,
            provenance: Provenance(source: "test", file: "none", sha256: String(repeating: "0", count: 64))
        )
        let catalogue = folder.appendingPathComponent("items.jsonl").path
        try bundle.catalogue.write(path: catalogue)
        var text = try String(contentsOfFile: catalogue, encoding: .utf8)
        for (index, id) in ids.enumerated() { text += "{\"index\":\(before + index),\"id\":\(id)}\n" }
        let items = try Array(text.utf8).withUnsafeBytes {
            try Catalogue(reading: $0, path: "items.jsonl", rowCount: model.rows)
        }
        let directory = folder.appendingPathComponent("extended").path
        try BundleWriter.write(directory: directory, configuration: configuration, catalogue: items) { writer in
            for (index, specification) in model.tensorSpecifications.enumerated() {
                let tensor = try bundle.tensor(specification.name)
                var bytes = withExtendedLifetime(tensor.owner) { Array(tensor.bytes) }
                if index == 0 { for row in rows { row.withUnsafeBytes { bytes += $0 } } }
                try bytes.withUnsafeBytes {
                    try writer.append(
                        HostTensor(name: specification.name, dtype: .float32, shape: specification.shape, bytes: $0)
                    )
                }
            }
        }
        return try ModelBundle.load(directory: directory)
    }

    private static func executor(_ bundle: ModelBundle, _ dtype: DType, threads: Int) throws -> BatchExecutor {
        let device = try CPUDevice(threads: threads, dtype: dtype)
        return try BatchExecutor(
            ResidentModel(device: device, model: try ModelRegistry.makeModel(bundle, on: device))
        )
    }

    @Test(arguments: Fixture.names, [DType.float32, .bfloat16, .int8])
    func addedItems_AnswerAsThoseOfABundle(name: String, dtype: DType) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let first = try Self.row(bundle, 1)
            let mean = zip(first, try Self.row(bundle, 3)).map { Float((Double($0) + Double($1)) / 2) }
            let odd = first.enumerated().map { Float($0.offset % 5) / 8 - $0.element }
            var changes: [CatalogueChange] = []
            for (id, source) in zip(
                Self.ids,
                [
                    AddedItem.Source.embedding(odd), .like(["1"]), .like(["1", "3"]),
                    .embedding(try Self.row(bundle, 2)),
                ]
            ) {
                changes.append(CatalogueChange(item: id))
                changes[changes.count - 1].added = AddedItem(source)
            }
            let store = try CatalogueStore(directory: nil)
            let base = store.snapshot(of: CatalogueSnapshot(bundle.catalogue, extensibility: bundle.extensibility))
            var grown = base
            _ = try store.apply(changes, current: { [base] }, publish: { grown = $0[0] })
            let other = try Self.extended(bundle, by: [odd, first, mean, try Self.row(bundle, 2)], in: folder)
            let fixed = CatalogueSnapshot(other.catalogue)
            #expect(grown.count == fixed.count)

            func requests(_ catalogue: CatalogueSnapshot) throws -> [RecommendationRequest] {
                let added = try Self.ids.map { try #require(catalogue.row(of: $0)) }
                return fixture.cases.enumerated().flatMap { index, example in
                    // Some histories end with new items, some do not.
                    let more = Array(added.prefix(index % 3))
                    let times = example.history.timestamps + more.indices.map { example.request_time - 9 + Int64($0) }
                    var request = RecommendationRequest(
                        history: example.history.items + more,
                        timestamps: times,
                        requestTime: example.request_time + 3,
                        count: index % 2 == 0 ? 10 : catalogue.count,
                        arrival: .now()
                    )
                    request.eligibility.excludesSeen = index % 4 == 0
                    var ranking = request
                    ranking.mode = .rank(added + [1, 2, 3])
                    return [request, ranking]
                }
            }
            struct Answer: Equatable {
                var item: String
                var score: UInt32
            }
            func answers(_ bundle: ModelBundle, _ catalogue: CatalogueSnapshot, threads: Int) throws -> [[Answer]] {
                let executor = try Self.executor(bundle, dtype, threads: threads)
                return try executor.run(requests(catalogue), catalogue).selections.map { rows in
                    rows.map { Answer(item: catalogue.idDescription($0.row), score: $0.score.bitPattern) }
                }
            }
            let found = try answers(bundle, grown, threads: 2)
            let wanted = try answers(other, fixed, threads: 1)
            for index in wanted.indices {
                let isEqual = found[index] == wanted[index]
                #expect(isEqual, "\(name), request \(index)")
            }
            // A copy of one of the bundle's rows has the same score, to the bit.
            for ranking in stride(from: 1, to: found.count, by: 2) {
                let scores = found[ranking].map(\.score)
                #expect(scores[1] == scores[4] && scores[3] == scores[5])
            }
            // A request with the earlier catalogue sees none of them, even on a device that has them.
            let executor = try Self.executor(bundle, dtype, threads: 1)
            let before = fixture.cases.map {
                RecommendationRequest(
                    history: $0.history.items,
                    timestamps: $0.history.timestamps,
                    requestTime: $0.request_time,
                    count: grown.count,
                    arrival: .now()
                )
            }
            let alone = try executor.run(before, base).selections
            _ = try executor.run(requests(grown), grown)
            #expect(try executor.run(before, base).selections == alone)
        }
    }
}
