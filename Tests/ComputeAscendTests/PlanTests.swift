// The device's plain values: rectangles of attention, places in memory, rounding, the end of a selection.

import Compute
import Testing

@testable import ComputeAscend

private struct Numbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state ^ (state >> 33)) &* 0xff51_afd7_ed55_8ccd
    }
}

struct AttentionPlanTests {
    /// For any batch, every output row is computed once, from its own row, and attends to exactly the rows up to its
    /// own.
    @Test(arguments: 0..<200)
    func everyRowSeesWhatIsBeforeIt(_ seed: Int) {
        var random = Numbers(state: UInt64(seed))
        let count = Int.random(in: 1...12, using: &random)
        let lengths = (0..<count).map { _ in
            Int.random(in: 1...[3, 40, 300].randomElement(using: &random)!, using: &random)
        }
        let cached = (0..<count).map { _ in seed % 2 == 0 ? 0 : Int.random(in: 0...90, using: &random) }
        let biased = (0..<count).map { _ in seed % 3 != 0 && Bool.random(using: &random) }
        let queryRows = seed % 5 == 0 ? QueryRows.last : .all
        let most = [1, 2000, 1 << 20][seed % 3]
        let layout = Jagged(lengths: lengths)
        let plan = AttentionPlan(
            lengths: lengths,
            cached: cached,
            isBiased: biased,
            queryRows: queryRows,
            heads: 2,
            mostElements: most
        )
        let outputs = plan.outputRows(layout, queryRows)
        #expect(Set(outputs).count == outputs.count)
        #expect(outputs.count == (queryRows == .last ? count : layout.rows))
        var padded: [(group: Int, item: Int, slot: Int)] = []
        for (number, group) in plan.groups.enumerated() {
            #expect(group.queryRows(layout, queryRows).count == group.items.count * group.querySlots)
            for item in group.items.indices {
                for slot in 0..<group.querySlots { padded.append((number, item, slot)) }
                #expect(biased[group.items[item].sequence] == group.isBiased)
                #expect((cached[group.items[item].sequence] > 0) == (group.cachedSlots > 0))
            }
        }
        #expect(padded.count == plan.paddedRows)
        for sequence in 0..<count {
            for row in queryRows == .last ? lengths[sequence] - 1..<lengths[sequence] : 0..<lengths[sequence] {
                let output = queryRows == .last ? sequence : Int(layout.offsets[sequence]) + row
                let place = padded[Int(outputs[output])]
                let group = plan.groups[place.group]
                let query = group.queryRows(layout, queryRows)[place.item * group.querySlots + place.slot]
                #expect(Int(query) == output)
                let position = group.queryPositions[place.item * group.querySlots + place.slot]
                #expect(Int(position) == cached[sequence] + row)
                let keys = group.keyPositions[place.item * group.keySlots..<(place.item + 1) * group.keySlots]
                #expect(keys.filter { $0 <= position }.sorted() == Array(0...position))
            }
        }
    }

    /// Slots with a key are gathered from the row that they represent; slots without one from the same sequence.
    @Test
    func slotsAreRowsOfTheirSequence() {
        let layout = Jagged(lengths: [20, 3])
        let plan = AttentionPlan(
            lengths: [20, 3],
            cached: [5, 40],
            isBiased: [false, false],
            queryRows: .all,
            heads: 1
        )
        for group in plan.groups {
            let own = group.ownRows(layout)
            let pool = group.poolRows { row, sequence in Int32(1000 * sequence + row) }
            for (number, item) in group.items.enumerated() {
                let start = layout.offsets[item.sequence]
                for slot in 0..<group.ownSlots {
                    let row = own[number * group.ownSlots + slot] - start
                    #expect(Int(row) == min(slot, item.own - 1))
                }
                for slot in 0..<group.cachedSlots {
                    #expect(
                        Int(pool[number * group.cachedSlots + slot]) == 1000 * item.sequence
                            + min(slot, item.cached - 1)
                    )
                }
            }
        }
    }

    @Test
    func groupsStayWithinTheirSize_UnlessARowDoesNotFit() {
        let lengths = [Int](repeating: 500, count: 40)
        let plan = AttentionPlan(
            lengths: lengths,
            cached: lengths,
            isBiased: lengths.map { _ in true },
            queryRows: .all,
            heads: 8
        )
        for group in plan.groups {
            #expect(group.items.count * group.querySlots * group.keySlots * 8 <= 16 << 20)
        }
        #expect(plan.groups.count < 40)
    }
}

struct FusedCallTests {
    /// For any batch, whether a sequence is fused depends on it alone, none is computed twice, and each call respects
    /// the limits.
    @Test(arguments: 0..<100)
    func sequences_AreFusedByThemselves(_ seed: Int) {
        var random = Numbers(state: UInt64(seed))
        let lengths = (0..<Int.random(in: 1...40, using: &random)).map { _ in
            Int.random(in: 1...[30, 300, 3000, 30_000].randomElement(using: &random)!, using: &random)
        }
        let biased = lengths.map { _ in seed % 3 != 0 && Bool.random(using: &random) }
        let heads = Int.random(in: 1...16, using: &random)
        let calls = FusedCall.calls(lengths: lengths, isBiased: biased, heads: heads)
        let alone = lengths.indices.filter { index in
            !FusedCall.calls(lengths: [lengths[index]], isBiased: [biased[index]], heads: heads).isEmpty
        }
        #expect(calls.flatMap(\.sequences).sorted() == alone)
        for call in calls {
            #expect(call.sequences.allSatisfy { biased[$0] == call.isBiased && lengths[$0] <= call.longest })
            #expect(call.rows == call.sequences.reduce(0) { $0 + lengths[$1] })
            #expect(
                FusedLimits.allow(
                    call.sequences.count,
                    longest: call.longest,
                    heads: heads,
                    isBiased: call.isBiased
                )
            )
        }
        // Ordinary lengths need one call per kind, in order.
        if lengths.allSatisfy({ $0 <= 300 }) {
            #expect(calls.count == Set(biased).count)
            #expect(calls.allSatisfy { $0.sequences == $0.sequences.sorted() })
        }
    }

    @Test
    func limits_AreTheOperators() {
        func fused(_ length: Int, isBiased: Bool) -> Bool {
            !FusedCall.calls(lengths: [length], isBiased: [isBiased], heads: 8).isEmpty
        }
        #expect(fused(20_480, isBiased: false) && !fused(20_481, isBiased: false))
        // 44 bytes times the square of the length.
        #expect(fused(2304, isBiased: true) && !fused(2600, isBiased: true))
        let many = FusedCall.calls(
            lengths: [Int](repeating: 2, count: 5000),
            isBiased: [Bool](repeating: false, count: 5000),
            heads: 1
        )
        #expect(many.map(\.sequences.count) == [2048, 2048, 904])
        #expect(FusedLimits.take(heads: 16, keyHeads: 4, queryColumns: 1, valueColumns: 512))
        #expect(!FusedLimits.take(heads: 17, keyHeads: 17, queryColumns: 16, valueColumns: 16))
        #expect(!FusedLimits.take(heads: 4, keyHeads: 4, queryColumns: 16, valueColumns: 513))
        #expect(FusedLimits.padded(50) == 64 && FusedLimits.padded(64) == 64)
    }
}

struct BumpPlanTests {
    /// Places never overlap, start at multiples of 64 bytes, and leave 32 bytes after a size rounded up to 32.
    @Test(arguments: 0..<100)
    func places_KeepTheRulesOfAddresses(_ seed: Int) throws {
        var random = Numbers(state: UInt64(seed))
        var plan = BumpPlan()
        var taken: [(BumpPlan.Place, Int)] = []
        for _ in 0..<60 {
            let size = Int.random(in: 0...5000, using: &random)
            var place = plan.take(size)
            if place == nil {
                plan.append(byteCount: try #require(plan.missing(size, atLeast: 1024)))
                place = plan.take(size)
            }
            let found = try #require(place)
            #expect(found.offset % 64 == 0)
            #expect(found.offset + (size + 31) / 32 * 32 + 32 <= plan.chunks[found.chunk])
            for (other, length) in taken where other.chunk == found.chunk {
                #expect(other.offset + (length + 31) / 32 * 32 + 32 <= found.offset)
            }
            taken.append((found, size))
        }
        #expect(plan.reset() == (plan.chunks.count > 1))
        #expect(plan.next == BumpPlan.Place(chunk: 0, offset: 0))
    }

    @Test
    func sizes_ThatCannotBe_AreNil() {
        var plan = BumpPlan()
        #expect(plan.take(.max) == nil)
        #expect(plan.missing(.max, atLeast: 1) == nil)
        #expect(Alignment.reserved(-1) == nil)
        #expect(Alignment.reserved(0) == 64)
        #expect(Alignment.reserved(32) == 64)
        #expect(Alignment.reserved(33) == 128)
    }
}

struct HalfRoundingTests {
    /// Each of the 65,536 numbers is unchanged; a number between two rounds to the nearer, and at the midpoint to the
    /// even one.
    @Test
    func bfloat16_RoundsToNearestEven() {
        let rounding = HalfRounding(dtype: .bfloat16)
        for bits in UInt16(0)..<0x7f80 {
            let value = Float(bitPattern: UInt32(bits) << 16)
            #expect(rounding.bits(value) == bits)
            #expect(rounding.bits(-value) == bits | 0x8000)
            let half = Float(bitPattern: UInt32(bits) << 16 | 0x8000)
            #expect(rounding.bits(half) == bits + (bits & 1))
            #expect(rounding.bits(half.nextUp) == bits + 1)
            #expect(rounding.bits(half.nextDown) == bits)
        }
        #expect(rounding.bits(.infinity) == 0x7f80)
        #expect(rounding.bits(.nan) & 0x7fff > 0x7f80)
        #expect(rounding.bits(Float(bitPattern: 0x7f80_0001)) & 0x7fff > 0x7f80)
    }
}

struct TimeBucketsTests {
    @Test(
        arguments: [
            (0, 0), (1, 0), (2, 2), (3, 3), (10, 7), (60, 13), (3600, 27), (86_400, 37), (604_800, 44),
            (31_536_000, 57),
            (1_000_000_000, 68), (Int64.max, 145),
        ] as [(Int64, Int32)]
    )
    func buckets_OfKnownDifferences(_ difference: Int64, _ bucket: Int32) {
        #expect(TimeBuckets.bucket(difference, 0, count: 400) == bucket)
        #expect(TimeBuckets.bucket(0, difference, count: 400) == bucket)
        #expect(TimeBuckets.bucket(difference, 0, count: 20) == min(bucket, 19))
    }

    @Test
    func differencesBeyond64Bits_AreTheGreatest() {
        #expect(TimeBuckets.bucket(.max, .min, count: 400) == 145)
        #expect(TimeBuckets.bucket(.min, 0, count: 400) == 145)
        #expect(!TimeBuckets.areClose([.min, 5, .max]))
        #expect(TimeBuckets.areClose([.max, 0]))
        #expect(TimeBuckets.areClose([]))
    }
}
