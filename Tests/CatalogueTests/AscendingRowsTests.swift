// Sorting of excluded rows, against the standard library's sort.

import Random
import Testing

@testable import Catalogue

@Suite struct AscendingRowsTests {
    @Test(arguments: [0, 1, 2, 63, 64, 65, 2_048], [1, 2_047, 2_048, 7_584, 4_194_304, Int32.max])
    func rows_AreSortedWithoutDuplicates(count: Int, highest: Int32) {
        var generator = SplitMix64(seed: UInt64(count) << 32 | UInt64(highest))
        let rows = (0..<count).map { _ in Int32.random(in: 0...highest, using: &generator) }
        #expect(rows.ascendingRows() == Set(rows).sorted())
        #expect((rows + rows.reversed()).ascendingRows() == Set(rows).sorted())
    }
}
