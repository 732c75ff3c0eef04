// The device on every chip that has a profile, and on chips that lack an operator: it answers, or refuses with a
// reason, and after each kind of failure a device of that chip answers as before. The device detects the chip itself.

import AscendEmulatorSupport
import Compute
import ComputeAscend
import TestSupport
import Testing

struct EveryChipTests {
    static let chips = [
        "Ascend910A", "Ascend910B", "Ascend310P3", "Ascend910B1", "Ascend910B2", "Ascend910B3", "Ascend910B4",
        "Ascend910_9391", "Ascend950PR_9579",
    ]

    /// Runs the body with another chip; then ends CANN and checks that nothing is left allocated.
    private func onChip(_ chip: String, _ body: (Emulator.Controls) throws -> Void) throws {
        try Emulator.exclusively { emulator in
            // Another test may have left CANN initialised.
            try AscendProcess.finalize()
            emulator.setChip(chip)
            try body(emulator)
            emulator.inject("")
            try AscendProcess.finalize()
            emulator.setChip("Ascend910B3")
        }
    }

    private func open() throws(ComputeError) -> AscendDevice {
        try AscendDevice.open(number: 0, capturesBatches: false)
    }

    @Test(arguments: chips)
    func faults_AreTold_AndADeviceOfThatChipWorks(_ chip: String) throws {
        try onChip(chip) { emulator in
            let expected = try SmallModel(open()).run(lengths: [8, 30])
            #expect(expected.count == 2)
            let faults: [(String, ComputeError.Code)] = [
                ("refuse@9", .unsupported), ("oom@1,oom@2", .outOfMemory), ("aicore@20", .executionFailed),
                ("lost@20", .deviceLost), ("late@1", .timedOut),
            ]
            for (fault, code) in faults {
                do {
                    let model = try SmallModel(open())
                    emulator.inject(fault)
                    let error = #expect(throws: ComputeError.self) { try model.run(lengths: [60, 60]) }
                    #expect(error?.code == code, "\(fault): \(error?.message ?? "")")
                    emulator.inject("")
                    if code == .unsupported || code == .outOfMemory {
                        #expect(try model.run(lengths: [8, 30]) == expected)
                    }
                }
                #expect(try SmallModel(open()).run(lengths: [8, 30]) == expected, "after \(fault)")
            }
        }
    }

    /// If any operator is refused while the device probes the chip, the device composes it of others or reports it as
    /// missing.
    @Test(arguments: chips)
    func anOperatorThatIsRefusedAtTheStart_IsDoneWithout(_ chip: String) throws {
        try onChip(chip) { emulator in
            let step = LongTests.areWanted ? 1 : 5
            emulator.resetTrace()
            var refusals = 0
            for number in stride(from: 1 + chip.utf8.count % step, through: 60, by: step) {
                emulator.inject("refuse@\(number)")
                do {
                    let device = try open()
                    emulator.inject("")
                    #expect(try SmallModel(device).run(lengths: [8, 30]).count == 2)
                } catch let error as ComputeError {
                    #expect(error.code == .unsupported, "\(number): \(error.message)")
                    refusals += 1
                }
                #expect(emulator.count("aclrtResetDeviceForce") == 0)
                emulator.resetTrace()
            }
            #expect(refusals < 60 / step)
        }
    }
}
