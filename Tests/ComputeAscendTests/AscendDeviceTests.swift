// The device on the emulator in this process: what a batch costs in its steady state. One test after the other, because
// the emulator's trace is the process's.

import AscendEmulatorSupport
import Compute
import ComputeAscend
import Testing

struct AscendDeviceTests {
    @Test
    func batch_AllocatesNothing_AndWaitsOnce_InItsSteadyState() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice(number: 0))
            // Twice: what a batch has outgrown becomes one piece when the next one begins.
            for _ in 0..<2 { try model.run(lengths: [40, 3, 17]) }
            for lengths in [[40, 3, 17], [5, 40, 9]] {
                emulator.resetTrace()
                try model.run(lengths: lengths)
                #expect(emulator.count("aclrtMalloc*") == 0)
                #expect(emulator.count("aclrtFree*") == 0)
                #expect(emulator.count("aclrtSynchronize*") == 1)
                #expect(emulator.count("pageable copy") == 0)
                // Inputs there, results back, and nothing beside: a synchronous copy is counted by itself.
                #expect(emulator.count("aclrtMemcpyAsync") == 2)
                #expect(emulator.count("aclrtMemcpy") == 0)
                #expect(emulator.count("launch") > 40)
                #expect(emulator.count("gather past the end") == 0)
            }
        }
    }

    @Test
    func batch_IsTheSame_EveryTime() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice(number: 0))
            let first = try model.run(lengths: [40, 3, 17])
            #expect(first.allSatisfy { $0.count == 5 })
            for _ in 0..<3 { #expect(try model.run(lengths: [40, 3, 17]) == first) }
            // Nor does it matter who else is in the batch.
            #expect(try model.run(lengths: [40]) == [first[0]])
        }
    }

    @Test
    func memory_IsCounted_AndGivenBack() throws {
        try Emulator.exclusively { emulator in
            let device = try AscendDevice(number: 0)
            let before = device.memory
            do {
                let model = try SmallModel(device)
                try model.run(lengths: [10])
                #expect(device.memory.weightBytes >= before.weightBytes + 2 * (200 * 16 * 2 + 16 * 64 + 16 * 16))
                #expect(device.memory.pageBytes > 0 && device.memory.pageBytes <= 1 << 16)
                #expect(device.memory.workspaceBytes > before.workspaceBytes)
            }
            #expect(device.memory == before)
        }
    }

    @Test
    func refuses_WhatAnotherDeviceMade() throws {
        try Emulator.exclusively { emulator in
            let (one, other) = (try AscendDevice(number: 0), try AscendDevice(number: 0))
            let value = [Float](repeating: 1, count: 64)
            let error = try value.withUnsafeBytes { bytes in
                let vector = try one.makeVector(HostTensor(name: "v", dtype: .float32, shape: [64], bytes: bytes))
                let stream = try other.makeStream()
                try stream.begin()
                let x = try stream.makeTensor(rows: 1, columns: 64, dtype: .float32)
                return #expect(throws: ComputeError.self) {
                    try stream.normalize(x, .rms(epsilon: 1, scale: vector), output: x)
                }
            }
            #expect(error?.code == .invalidArgument)
        }
    }
}
