// Unit tests of the kernels, at every level of the host.

import CKernels
import Compute
import Glibc
import Testing

@testable import ComputeCPU

/// The kernels of a level of the host.
private func kernels(_ isa: InstructionSet) throws -> gk_kernels {
    try #require(gk_kernels_for(isa.level)).pointee
}

struct KernelListTests {
    @Test
    func listsNameEveryKernelOnce_AtEveryLevel() {
        var count = 0
        let entries = UnsafeBufferPointer(start: gk_kernel_entries(&count), count: count)
        let names = entries.map { String(cString: $0.name) }
        #expect(Set(names).count == names.count)
        for isa in InstructionSet.allCases {
            let own = zip(entries, names).filter { $0.0.isa == isa.level }.map(\.1)
            // As many as the scalar level, which is complete, or only the additions to the level below.
            if ![.avx512vnni, .avx512bf16, .neondotprod, .neonbf16].contains(isa) {
                #expect(own.count == entries.filter { $0.isa == .scalar }.count)
            } else {
                #expect(!own.isEmpty)
            }
            #expect(own.allSatisfy { $0.hasPrefix("gk_") && $0.hasSuffix("__\(isa.rawValue)") })
        }
    }

    @Test(arguments: InstructionSet.allCases)
    func tableExists_ExactlyWhenTheHostHasTheLevel(_ isa: InstructionSet) {
        #expect((gk_kernels_for(isa.level) != nil) == isa.isAvailable)
    }
}

struct TimeBucketTests {
    /// The smallest difference in each reachable bucket, by bisection of the definition.
    private static let beginnings: [Int64] = {
        var beginnings: [Int64] = []
        var bucket = gk_time_bucket(0)
        var low: Int64 = 0
        while bucket < gk_time_bucket(.max) {
            var high = Int64.max
            while high - low > 1 {
                let middle = low + (high - low) / 2
                if gk_time_bucket(middle) > bucket { high = middle } else { low = middle }
            }
            beginnings.append(high)
            bucket = gk_time_bucket(high)
            low = high
        }
        return beginnings
    }()

    @Test
    func agreesWithTheModelSheet() {
        let known: [(Int64, Int32)] = [
            (0, 0), (1, 0), (2, 2), (3, 3), (10, 7), (60, 13), (3600, 27), (86_400, 37), (604_800, 44),
            (31_536_000, 57), (1_000_000_000, 68), (-10, 7), (.max, 145), (.min, 145),
        ]
        for (difference, bucket) in known { #expect(gk_time_bucket(difference) == bucket, "\(difference)") }
    }

    #if arch(x86_64)
    @Test
    func logarithmIsFarFromARoundingBoundary_WhereABucketBegins() {
        #expect(Self.beginnings.count > 100)
        for beginning in Self.beginnings {
            for x in [Float(beginning), Float(beginning).nextDown] where x >= 1 {
                let exact = log(Float80(x))
                let rounded = Float(log(Double(x)))
                // The two halfway points around the rounded value.
                let above = (Float80(rounded) + Float80(rounded.nextUp)) / 2
                let below = (Float80(rounded) + Float80(rounded.nextDown)) / 2
                #expect(exact < above && exact > below)
                #expect(min(above - exact, exact - below) > exact * 0x1p-40, "\(x)")
            }
        }
    }
    #endif

    @Test(arguments: InstructionSet.available)
    func kernelAgreesWithTheDefinition_AroundEveryBeginning(_ isa: InstructionSet) throws {
        let kernel = try #require(try kernels(isa).time_buckets)
        var cells = [UInt32](repeating: 0, count: gk_time_cells)
        gk_time_cells_fill(&cells)
        var differences: [Int64] = [0, 1, 2, .max, .max - 1, 1 << 53, (1 << 53) + 1]
        for beginning in Self.beginnings {
            // One float32 step at a large beginning, at least one second.
            let step = Int64(max(1, Float(beginning).ulp))
            differences += [beginning - step, beginning - 1, beginning, beginning + 1]
        }
        for difference in differences {
            let queries = [Int64](repeating: difference, count: 16)
            let keys: [Int64] = [0, difference, .min, -difference]
            var buckets = [UInt8](repeating: 255, count: 64)
            kernel(queries, keys, 4, cells, &buckets)
            // The distance to `.min` saturates if it overflows.
            let toLeast = difference.subtractingReportingOverflow(.min)
            let expected = [
                gk_time_bucket(difference), 0, gk_time_bucket(toLeast.overflow ? .max : toLeast.partialValue),
                gk_time_bucket(difference.addingReportingOverflow(difference).overflow ? .max : 2 * difference),
            ]
            for (key, bucket) in expected.enumerated() {
                #expect(buckets[16 * key..<16 * key + 16].allSatisfy { Int32($0) == bucket }, "\(difference), \(key)")
            }
        }
    }
}
