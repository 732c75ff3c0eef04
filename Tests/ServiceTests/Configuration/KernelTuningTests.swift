// The file of measured rates: used if it has this processor, extended otherwise, and refused in one sentence if it is
// invalid.

import Compute
import ComputeCPU
import Foundation
import TestSupport
import Testing

@testable import Devices

@Suite struct KernelTuningTests {
    private let folder: TemporaryDirectory
    private var path: String { folder.path + "/tuning.json" }
    private let own = InstructionSet.available.last?.rawValue ?? ""

    init() throws { folder = try TemporaryDirectory() }

    @Test func ratesComeBack_ByProcessorAndDtype() throws {
        let rates = [KernelRate(kernels: own, gigaflops: 200.04), KernelRate(kernels: "scalar", gigaflops: 3)]
        var file = try KernelTuningFile(at: path, processor: "A")
        file.set(rates, of: .bfloat16)
        try file.write(to: path)
        var other = try KernelTuningFile(at: path, processor: "B")
        #expect(other.rates(.bfloat16) == nil)
        other.set(rates.reversed(), of: .int8)
        try other.write(to: path)

        let again = try KernelTuningFile(at: path, processor: "A")
        #expect(again.rates(.bfloat16)?.map(\.kernels) == [own, "scalar"])
        #expect(again.rates(.bfloat16)?.first?.gigaflops == 200)
        #expect(again.rates(.int8) == nil)
        #expect(try KernelTuningFile(at: path, processor: "B").rates(.int8)?.first?.kernels == "scalar")
    }

    @Test(arguments: [
        #"{"A": {"bfloat16": {"avx1024": 5, "scalar": 1}}}"#, #"{"A": {"bfloat16": {"scalar": 1}}}"#,
        #"{"A": {"bfloat16": {"scalar": -1, "avx2": 1}}}"#, #"{"A": {"bfloat16": "scalar"}}"#, #"{"A": []}"#,
    ])
    func ratesThatCannotBe_AreMeasuredAnew(text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        #expect(try KernelTuningFile(at: path, processor: "A").rates(.bfloat16) == nil)
    }

    @Test(arguments: ["", "[]", "{", "not JSON"])
    func aFileThatIsNone_IsRefused(text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: KernelTuningFile.Fault.self) { try KernelTuningFile(at: path, processor: "A") }
        // Only if the file would be used.
        var settings = ComputeSettings()
        settings.tuningFile = path
        settings.dtype = .bfloat16
        settings.threads = 1
        #expect(throws: ComputeError(.invalidArgument, "")) { try settings.makeDevice(.cpu) }
        settings.tuning = .off
        #expect(throws: Never.self) { try settings.makeDevice(.cpu) }
    }

    /// Replicas on other processors must not take its rates. cpuinfo has no size, so once every name was "unknown".
    @Test func theProcessorHasItsName() throws {
        let lines = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("model name") || $0.hasPrefix("CPU part") })
        #expect(line.hasSuffix(": " + ComputeSettings.processorName))
    }

    /// The kernels that are fastest in the file serve, whatever a measurement would find.
    @Test func theFileDecides() throws {
        let levels = try CPUDevice(threads: 1, dtype: .bfloat16).measureKernels().map(\.kernels)
        try #require(levels.count != 1)
        guard let first = levels.first, let last = levels.last else { return }
        var settings = ComputeSettings()
        settings.tuningFile = path
        settings.dtype = .bfloat16
        settings.threads = 1
        for fastest in [first, last] {
            var file = try KernelTuningFile(at: path, processor: ComputeSettings.processorName)
            file.set(levels.map { KernelRate(kernels: $0, gigaflops: $0 == fastest ? 2 : 1) }, of: .bfloat16)
            try file.write(to: path)
            let description = try settings.makeDevice(.cpu).description
            #expect(description.architecture == fastest && description.kernelRates.count == 2)
            // The file also decides for a model of this type on a device of another type.
            settings.dtype = .float32
            let variant = try settings.makeDevice(.cpu).variant(dtype: .bfloat16, threads: nil).description
            #expect(variant.architecture == fastest && variant.kernelRates.count == 2)
            settings.dtype = .bfloat16
        }
    }
}
