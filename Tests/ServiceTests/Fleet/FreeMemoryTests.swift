// The memory available for one more model, and the memory that it needs.

import Compute
import Devices
import Foundation
import Models
import Testing

@testable import Service

@Suite struct FreeMemoryTests {
    private static let meminfo =
        "MemTotal:       16000 kB\nMemFree:         900 kB\nMemAvailable:   8000 kB\nBuffers: 1 kB\n"

    private static func least(
        _ limit: String = "",
        _ used: String = "",
        _ statistics: String = "",
        meminfo: String = meminfo
    ) -> Int? {
        HostMemory.least(meminfo: meminfo, limit: limit, used: used, statistics: statistics)
    }

    @Test func theLeastOfMachineAndControlGroup_Counts() {
        #expect(Self.least() == 8_000 * 1_024)
        #expect(Self.least("max\n", "5000\n") == 8_000 * 1_024)
        #expect(Self.least("1000000\n", "400000\n") == 600_000)
        // Cached files can be evicted.
        #expect(Self.least("1000000\n", "400000\n", "anon 1\ninactive_file 100000\nactive_file 50000\n") == 750_000)
        #expect(Self.least("1000\n", "4000\n") == 0)
        #expect(Self.least("1000\n", "400\n", meminfo: "") == 600)
        #expect(Self.least(meminfo: "nothing") == nil)
    }

    @Test func thisMachineKnows() throws {
        #expect(try #require(HostMemory.freeBytes) > 0)
    }

    @Test func aModelTakesItsWeights_ItsItemsTwice_AndTheLargestTensor() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let bundle = try ModelBundle.load(directory: root.appendingPathComponent("Config/demo").path)
        let specifications = bundle.architecture.configuration.tensorSpecifications
        let items = 1_201 * 32
        let rest = bundle.architecture.configuration.parameterCount - items
        func needed(_ dtype: DType) -> Int { FreeMemory.needed(specifications, stored: .float32, dtype: dtype) }
        #expect(needed(.float32) == rest * 4 + items * 8 + items * 4)
        #expect(needed(.bfloat16) == rest * 2 + items * 6 + items * 4)
        #expect(needed(.int8) == rest + items * 6 + items * 4)
    }

    @Test func whatDoesNotFit_IsRefusedWithBothNumbers() {
        #expect(ModelLoader.fault(needed: 10, free: 10) == nil)
        #expect(
            ModelLoader.fault(needed: 11, free: 10)
                == "needs up to 11 bytes of memory while it is loaded, and 10 are free"
        )
    }
}
