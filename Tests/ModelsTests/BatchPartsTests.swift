import Compute
import Models
import Testing

@Suite struct BatchPartsTests {
    @Test(arguments: [
        ([3, 3, 3], 6, [0..<2, 2..<3]),
        ([3, 3, 3], 9, [0..<3]),
        ([3, 3, 3], 1, [0..<1, 1..<2, 2..<3]),
        ([10, 1, 1, 10], 4, [0..<1, 1..<3, 3..<4]),
        ([1, 1, 10], 4, [0..<2, 2..<3]),
        ([7], 4, [0..<1]),
        ([], 4, []),
    ])
    func partsHoldWholeSequences_AndNoMoreRowsThanAsked(lengths: [Int], mostRows: Int, expected: [Range<Int>]) {
        #expect(Jagged(lengths: lengths).parts(mostRows: mostRows) == expected)
    }
}
