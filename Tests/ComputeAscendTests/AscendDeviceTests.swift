// The device on the emulator in this process: the cost of a batch in steady state. The tests run one after the other,
// because the emulator's trace belongs to the process.

import AscendEmulatorSupport
import Compute
import ComputeAscend
import Testing

struct AscendDeviceTests {
    @Test
    func batch_AllocatesNothing_AndWaitsOnce_InItsSteadyState() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice.open(number: 0))
            // Twice: memory that a batch has outgrown is merged when the next batch begins. Then the batch is captured.
            for _ in 0..<4 { try model.run(lengths: [40, 3, 17]) }
            for lengths in [[40, 3, 17], [5, 40, 9], [5, 40, 9], [5, 40, 9]] {
                emulator.resetTrace()
                try model.run(lengths: lengths)
                #expect(emulator.count("aclrtMalloc*") == 0)
                #expect(emulator.count("aclrtFree*") == 0)
                #expect(emulator.count("aclrtSynchronize*") == 1)
                #expect(emulator.count("pageable copy") == 0)
                // One copy of inputs, one of results, and no other: synchronous copies are counted separately.
                #expect(emulator.count("aclrtMemcpyAsync") == 2)
                #expect(emulator.count("aclrtMemcpy") == 0)
                #expect(emulator.count("gather past the end") == 0)
            }
        }
    }

    /// The first batch of a kind runs operator by operator, the second is captured, and later ones are one call.
    @Test
    func batch_ThatComesAgain_IsOneCall() throws {
        try Emulator.exclusively { emulator in
            func run(_ model: SmallModel, _ lengths: [Int]) throws -> (rows: [[ScoredRow]], calls: UInt64) {
                emulator.resetTrace()
                let rows = try model.run(lengths: lengths)
                return (rows, emulator.count("acl*"))
            }
            let device = try AscendDevice.open(number: 0)
            #expect(device.captureNote == "repeated batches are captured")
            let model = try SmallModel(device)
            for _ in 0..<2 { try model.run(lengths: [64, 64, 64]) }
            let first = try run(model, [40, 3, 17])
            #expect(emulator.count("launch") > 40)
            let second = try run(model, [40, 3, 17])
            #expect(emulator.count("aclmdlRICaptureBegin") == 1)
            // Another batch in between, and other values in a batch of the same form.
            let other = try run(model, [39, 4, 16])
            let third = try run(model, [40, 3, 17])
            // The same operators run, but the host calls none of them.
            #expect(emulator.count("launch") > 40 && emulator.count("aclnn*") == 0)
            #expect(emulator.count("aclmdlRIExecuteAsync") == 1)
            #expect(first.rows == second.rows && first.rows == third.rows)
            // Inputs, their event, the wait for it, the batch, the results, their event, the wait for that.
            #expect(third.calls == 7, "\(third.calls)")
            #expect(first.calls > 40 * third.calls, "\(first.calls) \(second.calls) \(other.calls) \(third.calls)")
        }
    }

    /// Values come from the batch, not from the captured one.
    @Test
    func capturedBatches_AnswerAsOthersDo() throws {
        try Emulator.exclusively { _ in
            let batches = [
                [40, 3, 17], [8], [40, 3, 17], [33, 3, 17], [8], [2], [33, 3, 17], [5], [8], [33, 3, 17], [2],
            ]
            func answers(captures: Bool) throws -> [[[ScoredRow]]] {
                let model = try SmallModel(AscendDevice.open(number: 0, capturesBatches: captures))
                return try batches.map { try model.run(lengths: $0) }
            }
            let (captured, plain) = (try answers(captures: true), try answers(captures: false))
            #expect(captured == plain)
        }
    }

    /// More kinds of batches than the limit: the oldest are evicted, and captured again.
    @Test
    func capturedBatches_AreBounded() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice.open(number: 0))
            for _ in 0..<2 { try model.run(lengths: [41]) }
            emulator.resetTrace()
            for _ in 0..<2 {
                for length in 1...40 { try model.run(lengths: [length]) }
            }
            #expect(emulator.count("aclmdlRICaptureBegin") == 40)
            #expect(emulator.count("aclmdlRIDestroy") == 8)
            try model.run(lengths: [40])
            #expect(emulator.count("aclmdlRICaptureBegin") == 40)
            try model.run(lengths: [1])
            #expect(emulator.count("aclmdlRICaptureBegin") == 41)
        }
    }

    @Test
    func batch_IsTheSame_EveryTime() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice.open(number: 0))
            let first = try model.run(lengths: [40, 3, 17])
            #expect(first.allSatisfy { $0.count == 5 })
            for _ in 0..<3 { #expect(try model.run(lengths: [40, 3, 17]) == first) }
            // The rest of the batch does not matter either.
            #expect(try model.run(lengths: [40]) == [first[0]])
        }
    }

    @Test
    func memory_IsCounted_AndGivenBack() throws {
        try Emulator.exclusively { emulator in
            let device = try AscendDevice.open(number: 0)
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
            let (one, other) = (try AscendDevice.open(number: 0), try AscendDevice.open(number: 0))
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
