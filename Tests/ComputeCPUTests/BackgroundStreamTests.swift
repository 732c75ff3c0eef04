// Streams that try a model while the device serves others.

import Compute
import Dispatch
import Foundation
import Testing

@testable import ComputeCPU

@Suite struct BackgroundStreamTests {
    /// What a background stream computes on another thread.
    private final class Background: @unchecked Sendable {
        // `@unchecked`: the test's thread reads it only before the other thread starts and after it ends.
        private let device: CPUDevice
        private let weights: any LinearWeights
        private(set) var outcome: Result<[[Float]], any Error>?

        init(_ device: CPUDevice, _ weights: any LinearWeights) {
            self.device = device
            self.weights = weights
        }

        func compute() {
            outcome = Result {
                let stream = try device.makeBackgroundStream()
                return try (0..<20).map { _ in try BackgroundStreamTests.product(weights, on: stream) }
            }
        }
    }

    private static func product(_ weights: any LinearWeights, on stream: any Compute.Stream) throws -> [Float] {
        try stream.begin()
        let x = try stream.makeTensor(rows: 90, columns: weights.inputs, dtype: .float32)
        for index in 0..<90 * x.rowStride { x.floats[index] = Float(index % 97) / 97 }
        let y = try stream.makeTensor(rows: 90, columns: weights.outputs, dtype: .float32)
        try stream.linear(LinearOperation(input: .plain(x), weights: weights, output: y))
        return try stream.read(y)
    }

    @Test
    func theyCompute_BesideTheDevicesOwn_TheSameBits() throws {
        let device = try CPUDevice(threads: 2)
        let matrix = (0..<64 * 200).map { Float($0 % 31) / 31 }
        let weights = try matrix.withUnsafeBytes { bytes in
            try device.makeLinear(
                HostTensor(name: "w", dtype: .float32, shape: [64, 200], bytes: bytes),
                layout: .inputMajor,
                columns: nil,
                bias: nil
            )
        }
        let background = Background(device, weights)
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            background.compute()
            ended.signal()
        }
        let stream = try device.makeStream()
        let own = try (0..<20).map { _ in try Self.product(weights, on: stream) }
        ended.wait()
        let others = try #require(background.outcome).get()
        #expect(others.count == 20)
        #expect(Set(own + others).count == 1)
    }

    /// The device's workers take the operations of one thread only: with two, the engine waits forever.
    @Test(arguments: [[0, 255], [0, 40_000_000]] as [[Int32]])
    func theyLeaveTheDevicesWorkersAlone_WhenTheyRotate(positions: [Int32]) throws {
        let device = try CPUDevice(threads: 2)
        let entries = (1...64).map { 1 / Float($0) }
        let frequencies = try entries.withUnsafeBytes { bytes in
            try device.makeVector(HostTensor(name: "inv_freq", dtype: .float32, shape: [64], bytes: bytes))
        }
        func rotate(_ stream: any Compute.Stream) throws {
            try stream.begin()
            let x = try stream.makeTensor(rows: 200, columns: 128, dtype: .float32)
            let all = try stream.upload((0..<200).map { positions[$0 % 2] }, dtype: .int32)
            try stream.rotate(
                RotateOperation(tensor: x, positions: all, frequencies: frequencies, heads: 1, pairing: .halves)
            )
        }
        try rotate(device.makeBackgroundStream())
        #expect(device.pool.operations == 0)
        try rotate(device.makeStream())
        #expect(device.pool.operations > 0)
    }
}
