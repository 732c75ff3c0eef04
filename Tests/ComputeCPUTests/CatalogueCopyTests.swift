// Selections through a quantised copy of a catalogue: the same rows and bits as a float32 scan of all rows.

import Compute
import Random
import Testing

@testable import ComputeCPU

struct CatalogueCopyTests {
    /// Distributions of rows and queries.
    enum Numbers: CaseIterable, Sendable {
        case ordinary
        /// Rows of very different sizes.
        case uneven
        /// One column that is a thousand times the others, in rows and in queries.
        case spiked
        /// Few different rows, so that most scores are equal.
        case equal
        /// Zeros, subnormal numbers, and numbers too small to be quantised.
        case tiny
        /// Scores that overflow.
        case huge

        func row(_ random: inout SplitMix64, columns: Int) -> [Float] {
            // Close enough to a normal distribution for this test.
            func normal() -> Float {
                var sum: Float = 0
                for _ in 0..<4 { sum += Float.random(in: -1...1, using: &random) }
                return sum
            }
            switch self {
            case .ordinary: return (0..<columns).map { _ in normal() }
            case .uneven:
                let scale = Float(sign: .plus, exponent: Int.random(in: -60...20, using: &random), significand: 1)
                return (0..<columns).map { _ in normal() * scale }
            case .spiked: return (0..<columns).map { $0 == 3 % columns ? normal() * 1000 : normal() }
            case .equal:
                let kind = Int.random(in: 0...3, using: &random)
                return (0..<columns).map { Float(($0 + kind) % 3) - 1 }
            case .tiny:
                let scales: [Float] = [0, .leastNonzeroMagnitude, 0x1p-130, 1e-36, 1e-30, 1e-25]
                let scale = scales[Int.random(in: 0...5, using: &random)]
                return (0..<columns).map { _ in normal() * scale }
            case .huge: return (0..<columns).map { _ in normal() * 1e19 }
            }
        }
    }

    @Test(arguments: InstructionSet.available, Numbers.allCases)
    func selectsTheRowsAndBits_OfAScanOfAllRows(_ isa: InstructionSet, _ numbers: Numbers) throws {
        var random = SplitMix64(seed: 7)
        for (rows, columns) in [(1, 1), (64, 16), (700, 50), (3_000, 64), (1_500, 129)] {
            let table = (0..<rows).flatMap { _ in numbers.row(&random, columns: columns) }
            let queries = (0..<8).map { number in
                // One query has the distribution of the rows; the others are ordinary.
                (number % 4 == 3 ? numbers : .ordinary).row(&random, columns: columns)
            }
            let masks = (0..<8).map { number in
                switch number % 3 {
                case 0: SelectionMask()
                case 1: SelectionMask(excluded: stride(from: 0, to: Int32(rows), by: 3).map { $0 })
                default:
                    SelectionMask(allowed: (0..<(rows + 63) / 64).map { _ in random.next() & random.next() })
                }
            }
            let counts = [1, 10, 100, 10, 2_000, 5, 1, 64]
            let plain = try select(.never, isa, table, rows, columns, queries, masks, counts)
            let copied = try select(.always, isa, table, rows, columns, queries, masks, counts)
            #expect(plain.hasCopy == false && copied.hasCopy)
            for query in 0..<8 {
                #expect(plain.found[query].map(\.row) == copied.found[query].map(\.row), "\(rows) x \(columns)")
                let bits = plain.found[query].map(\.score.bitPattern)
                #expect(bits == copied.found[query].map(\.score.bitPattern), "\(rows) x \(columns)")
            }
        }
    }

    /// Every column of the best rows loses nearly half a step, the largest possible error, and always downwards. The
    /// earlier rows lose less and set the floor that the best rows must pass.
    @Test(arguments: InstructionSet.available)
    func rowsThatLoseMost_AreFound(_ isa: InstructionSet) throws {
        let (rows, columns) = (2_000, 96)
        var table: [Float] = []
        for row in 0..<rows {
            let value: Float = row < 300 ? 5.49 : row % 2 == 0 ? 5.4999 : 5.2
            // The scale is 1: the largest magnitude is 127.
            table.append(127)
            table += [Float](repeating: value, count: columns - 1)
        }
        let query = [Float](repeating: 1, count: columns)
        let found = try select(.always, isa, table, rows, columns, [query], [SelectionMask()], [100]).found[0]
        #expect(found.map(\.row) == (0..<100).map { Int32(300 + 2 * $0) })
    }

    @Test
    func catalogueWithNaN_HasNoCopy() throws {
        for wrong in [Float.nan, .infinity, -.infinity] {
            var table = [Float](repeating: 1, count: 200 * 16)
            table[16 * 70 + 5] = wrong
            let query = [Float](repeating: 1, count: 16)
            let result = try select(.always, nil, table, 200, 16, [query], [SelectionMask()], [200])
            #expect(!result.hasCopy)
            // Row 0 is padding.
            let missing = Set(0..<Int32(200)).subtracting(result.found[0].map(\.row))
            #expect(missing == (wrong.isNaN ? [0, 70] : [0]))
        }
    }

    /// A query with infinite or NaN scores has the same answer as without a copy.
    @Test
    func queryThatIsNoNumber_SelectsAsWithoutACopy() throws {
        var random = SplitMix64(seed: 3)
        let table = (0..<300).flatMap { _ in Numbers.ordinary.row(&random, columns: 16) }
        for wrong in [Float.nan, .infinity] {
            var query = [Float](repeating: 1, count: 16)
            query[2] = wrong
            let queries = [query, Numbers.ordinary.row(&random, columns: 16)]
            let masks = [SelectionMask(), SelectionMask()]
            let plain = try select(.never, nil, table, 300, 16, queries, masks, [20, 20])
            let copied = try select(.always, nil, table, 300, 16, queries, masks, [20, 20])
            #expect(plain.found == copied.found)
        }
    }

    @Test
    func withoutRoomForACopy_ThereIsNone() throws {
        let device = try CPUDevice(threads: 1, copies: .always)
        let table = [Float](repeating: 1, count: 640 * 64)
        // A byte per number, and a scale and a sum per row.
        for (room, state) in [(640 * (64 + 8) - 1, CatalogueCopyState.noMemory), (640 * (64 + 8), .used)] {
            device.roomForCopies = { room }
            let catalogue = try table.withUnsafeBytes { bytes in
                try device.makeCatalogue(
                    HostTensor(name: "items", dtype: .float32, shape: [640, 64], bytes: bytes),
                    normalization: nil,
                    eligible: [UInt64](repeating: .max, count: 10)
                )
            }
            #expect(catalogue.copyState == state)
            #expect((catalogue.copyByteCount > 0) == (state == .used))
        }
    }

    /// Copies count as weights, and are released with their catalogue.
    @Test
    func copy_IsCounted() throws {
        let device = try CPUDevice(threads: 1, copies: .always)
        let table = [Float](repeating: 1, count: 640 * 64)
        try table.withUnsafeBytes { bytes in
            let catalogue = try device.makeCatalogue(
                HostTensor(name: "items", dtype: .float32, shape: [640, 64], bytes: bytes),
                normalization: nil,
                eligible: [UInt64](repeating: .max, count: 10)
            )
            // One byte per number, and a scale and a sum per row.
            #expect(device.memory.weightBytes == 640 * 64 * 4 + 640 * (64 + 8))
            withExtendedLifetime(catalogue) {}
        }
        #expect(device.memory.weightBytes == 0)
    }

    private struct Selected {
        let found: [[ScoredRow]]
        let hasCopy: Bool
    }

    private func select(
        _ copies: CatalogueCopy.Policy,
        _ isa: InstructionSet?,
        _ table: [Float],
        _ rows: Int,
        _ columns: Int,
        _ queries: [[Float]],
        _ masks: [SelectionMask],
        _ counts: [Int]
    ) throws -> Selected {
        let device = try CPUDevice(threads: 2, isa: isa, copies: copies)
        var eligible = [UInt64](repeating: .max, count: (rows + 63) / 64)
        if rows % 64 != 0 { eligible[rows / 64] = (1 << UInt64(rows % 64)) - 1 }
        let catalogue = try table.withUnsafeBytes { bytes in
            try device.makeCatalogue(
                HostTensor(name: "items", dtype: .float32, shape: [rows, columns], bytes: bytes),
                normalization: nil,
                eligible: eligible
            )
        }
        let stream = try device.makeStream()
        try stream.begin()
        let asking = try stream.makeTensor(rows: queries.count, columns: columns, dtype: .float32)
        for (row, query) in queries.enumerated() {
            for (column, value) in query.enumerated() { asking.floats[row * asking.rowStride + column] = value }
        }
        let ticket = try stream.selectTopK(
            TopKOperation(queries: asking, catalogue: catalogue, masks: masks, counts: counts)
        )
        try stream.synchronize()
        let found = queries.indices.map { stream.selected(ticket, query: $0) }
        return Selected(found: found, hasCopy: (catalogue as? CPUCatalogue)?.copy != nil)
    }
}
