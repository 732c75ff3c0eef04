// Golden cases: the file, and the tolerance for equal answers.

import Catalogue
import Compute
import Files
import Foundation
import Models
import TestSupport
import Testing

@Suite struct GoldenCasesTests {
    private static let catalogue = Catalogue.numbered(rows: 40)
    private static let items = (1...10).map { ScoredRow(row: Int32($0), score: 1 - Float($0) / 100) }
    private static let golden = GoldenCases(
        cases: [.init(history: [3, 4], timestamps: [5, 6], requestTime: 7, items: items)],
        weights: digest
    )
    private static var digest: SHA256Digest {
        guard let digest = SHA256Digest(of: "weights".utf8) else { fatalError("OpenSSL has no SHA-256") }
        return digest
    }

    private func fault(_ change: (inout [ScoredRow]) -> Void, _ dtype: DType = .float32) -> String? {
        var answer = Self.items
        change(&answer)
        return Self.golden.fault([answer], dtype: dtype, catalogue: Self.catalogue)
    }

    @Test func text_IsReadAsWhatItWasMadeOf() throws {
        let folder = try TemporaryDirectory()
        #expect(try GoldenCases.load(directory: folder.path, catalogue: Self.catalogue) == nil)
        let text = Self.golden.text(Self.catalogue)
        try text.write(toFile: folder.path + "/golden.json", atomically: true, encoding: .utf8)
        #expect(try GoldenCases.load(directory: folder.path, catalogue: Self.catalogue) == Self.golden)
    }

    @Test(arguments: [
        ("\"k\":10", "\"k\":9", "cases[0] must have as many timestamps as events, at least one, and k items"),
        ("[5,6]", "[6,5]", "cases[0].request.history.timestamps must be integers in ascending order"),
        ("\"items\":[3,4]", "\"items\":[3,99]", "cases[0]: the catalogue has no item 99"),
        ("\"items\":[3,4]", "\"items\":[3,null]", "cases[0]: an item's id must be a string or an integer"),
        ("\"format_version\":1", "\"format_version\":2", "format_version must be an integer from 1 to 1"),
        ("\"weights_sha256\":\"", "\"weights_sha256\":\"x", "weights_sha256 must be 64 hexadecimal digits"),
        ("\"request_time\":7", "\"when\":7", "cases[0].request.request_time is missing"),
    ])
    func fileThatIsWrong_IsRefusedByItsPlace(part: String, wrong: String, sentence: String) throws {
        let folder = try TemporaryDirectory()
        let text = Self.golden.text(Self.catalogue)
        try #require(text.contains(part))
        let path = folder.path + "/golden.json"
        try text.replacing(part, with: wrong).write(toFile: path, atomically: true, encoding: .utf8)
        let error = #expect(throws: FileError.self) {
            try GoldenCases.load(directory: folder.path, catalogue: Self.catalogue)
        }
        #expect(error?.message == "\(path): \(sentence)")
    }

    @Test func sameAnswer_Passes_AndSoDoNeighboursOfEqualScore() {
        #expect(fault { _ in } == nil)
        #expect(fault { $0[3].score += 5e-5 } == nil)
        #expect(fault { for index in $0.indices { $0[index].score = 0.5 } } != nil)
        var close = Self.golden
        close.cases[0].items[1].score = close.cases[0].items[0].score - 1e-5
        var answer = close.cases[0].items
        answer.swapAt(0, 1)
        #expect(close.fault([answer], dtype: .float32, catalogue: Self.catalogue) == nil)
    }

    @Test func otherAnswer_IsNamedByItsCase() {
        #expect(fault { $0[2].score += 0.01 } == "golden case 1: item 3 has the score 0.98, not 0.97")
        #expect(fault { $0[2].row = 30 } == "golden case 1: item 3 is 30, not 3")
        #expect(fault { $0[0].score = .nan }?.hasPrefix("golden case 1: item 1 has the score nan") == true)
        #expect(fault { $0.removeLast() } == "golden case 1: 9 items were returned, not 10")
    }

    /// The shares of operate.md: bf16 and f16 .98, int8 .95, of the ten best.
    @Test func otherTypes_AreHeldToTheirOverlap() {
        #expect(fault({ $0.swapAt(0, 9) }, .bfloat16) == nil)
        for dtype in [DType.bfloat16, .float16, .int8] {
            let fault = fault({ $0[9].row = 30 }, dtype)
            #expect(fault?.contains("0.9 of the ten best items match those of float32") == true, "\(dtype)")
        }
    }
}
