// Faults become errors, and a device can be made again in the same process. On the emulator, which reports leaks when
// CANN ends.

import AscendEmulatorSupport
import Compute
import ComputeAscend
import Foundation
import Locking
import TestSupport
import Testing

/// Runs the bodies simultaneously, each on its own thread; throws the first error.
private func onThreads(_ bodies: [@Sendable () throws -> Void]) throws {
    let failures = Lock<[any Error]>([])
    let ended = DispatchSemaphore(value: 0)
    for body in bodies {
        Thread {
            do { try body() } catch { failures.withLock { $0.append(error) } }
            ended.signal()
        }.start()
    }
    for _ in bodies { ended.wait() }
    if let first = failures.withLock({ $0.first }) { throw first }
}

struct AscendFaultTests {
    private func fail(_ model: SmallModel) -> ComputeError? {
        #expect(throws: ComputeError.self) { for _ in 0..<3 { try model.run(lengths: [8]) } }
    }

    @Test
    func outOfMemory_LeavesTheDeviceUsable() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice.open(number: 0))
            emulator.inject("oom@1,oom@2")
            let error = #expect(throws: ComputeError.self) { try model.run(lengths: [40, 3, 17]) }
            #expect(error?.code == .outOfMemory)
            #expect(
                error?.message.contains("aclrtMalloc failed with ACL_ERROR_RT_MEMORY_ALLOCATION (207001): ") == true
            )
            #expect(try model.run(lengths: [40, 3, 17]).count == 3)
        }
    }

    /// Any allocation may fail, while a device and a model are made or batches grow: the failure is reported, and
    /// nothing leaks.
    @Test
    func outOfMemory_LosesNothing_WhereverItHappens() throws {
        try Emulator.exclusively { emulator in
            var failures = 0
            for number in stride(from: 1, through: 1000, by: LongTests.areWanted ? 1 : 5) {
                emulator.inject("oom@\(number)")
                do {
                    let model = try SmallModel(AscendDevice.open(number: 0))
                    try model.run(lengths: [8])
                    try model.run(lengths: [40, 3, 17])
                    // Optional memory may be missing without a failure.
                    guard emulator.count("aclrtMalloc") >= number else { break }
                } catch let error as ComputeError {
                    failures += 1
                    #expect(error.code == .outOfMemory, "\(number): \(error)")
                }
                emulator.resetTrace()
                try AscendProcess.finalize()
            }
            #expect(failures >= (LongTests.areWanted ? 12 : 3))
            emulator.inject("")
            try AscendProcess.finalize()
        }
    }

    /// A half-enqueued batch has ended when its failure is reported: its memory may be freed immediately.
    @Test
    func outOfMemory_InTheMiddle_LeavesNothingRunning() throws {
        try Emulator.exclusively { emulator in
            let device = try AscendDevice.open(number: 0, capturesBatches: false)
            var failures = 0
            for number in 1...6 {
                do {
                    let model = try SmallModel(device)
                    emulator.resetTrace()
                    emulator.inject("hold@1,oom@\(number)")
                    // The held operator continues when the batch is waited for, or else after its memory has been
                    // freed.
                    let ended = Lock(false)
                    let releasing = Thread {
                        while emulator.count("aclrtSynchronize*") + emulator.count("aclrtFree") == 0,
                            !ended.withLock({ $0 })
                        {
                            usleep(200)
                        }
                        emulator.release()
                    }
                    releasing.start()
                    do { try model.run(lengths: [40, 30]) } catch { failures += 1 }
                    ended.withLock { $0 = true }
                }
                emulator.inject("")
            }
            #expect(failures >= 3)
            emulator.resetTrace()
            #expect(try SmallModel(device).run(lengths: [8]).count == 1)
            #expect(emulator.count("aclrtResetDeviceForce") == 0)
        }
    }

    /// Phase 1 has enqueued nothing: a shape that no kernel supports fails its batch, and the chip stays usable.
    @Test
    func refusal_LeavesTheDeviceUsable_WhicheverOperatorRefuses() throws {
        try Emulator.exclusively { emulator in
            let device = try AscendDevice.open(number: 0, capturesBatches: false)
            let model = try SmallModel(device)
            let expected = try model.run(lengths: [8])
            emulator.resetTrace()
            try model.run(lengths: [8])
            let calls = Int(emulator.count("launch"))
            emulator.resetTrace()
            for number in stride(from: 1, through: calls, by: LongTests.areWanted ? 1 : 7) {
                emulator.inject("refuse@\(number)")
                let error = #expect(throws: ComputeError.self) { try model.run(lengths: [8]) }
                #expect(error?.code == .unsupported, "\(number): \(error?.message ?? "")")
                #expect(try model.run(lengths: [8]) == expected)
            }
            #expect(emulator.count("aclrtResetDeviceForce") == 0)
        }
    }

    @Test(arguments: [
        ("aicore@60", ComputeError.Code.executionFailed, "ACL_ERROR_RT_AICORE_EXCEPTION (507015)", "as injected"),
        ("lost@60", .deviceLost, "ACL_ERROR_RT_LOST_HEARTBEAT (507010)", "the device is lost"),
        ("hold@60", .timedOut, "ACL_ERROR_RT_EVENT_SYNC_TIMEOUT (507047)", "has not come after 2000 ms"),
        ("late@2", .timedOut, "ACL_ERROR_RT_EVENT_SYNC_TIMEOUT (507047)", "as injected"),
    ])
    func fault_IsAnError_AndANewDeviceWorks(
        _ fault: String,
        _ code: ComputeError.Code,
        _ name: String,
        _ words: String
    ) throws {
        try Emulator.exclusively { emulator in
            do {
                let timeout = fault.hasPrefix("hold") ? 2000 : 60_000
                let model = try SmallModel(AscendDevice.open(number: 0, timeoutMilliseconds: timeout))
                try model.run(lengths: [8])
                emulator.inject(fault)
                let error = fail(model)
                #expect(error?.code == code, "\(error?.message ?? "")")
                #expect(error?.message.contains("with \(name): ") == true, "\(error?.message ?? "")")
                #expect(error?.message.contains(words) == true)
                // Nothing more is called on a device in that state.
                emulator.resetTrace()
                let later = fail(model)
                #expect(later?.code == .deviceLost)
                #expect(later?.message.hasPrefix("ascend:0 must be reset: ") == true)
                #expect(emulator.count("launch") == 0)
            }
            // A hanging stream would block every individual release.
            #expect(emulator.count("aclrtResetDeviceForce") == 1)
            #expect(emulator.count("aclrtDestroyStream") + emulator.count("aclrtFree") == 0)
            #expect(emulator.count("aclrtDestroyStreamForce") >= 3)
            #expect(emulator.count("aclrtFreeHost") > 0)
            do {
                let model = try SmallModel(AscendDevice.open(number: 0))
                #expect(try model.run(lengths: [8]).count == 1)
            }
            try AscendProcess.finalize()
        }
    }

    /// A capture refused for lack of streams evicts the oldest captured batch; a refused shape evicts nothing.
    @Test
    func capture_GoesOn_AfterARefusal() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice.open(number: 0))
            for _ in 0..<2 { try model.run(lengths: [41]) }
            let expected = try model.run(lengths: [8])
            // The second run plans its operators while the stream is captured.
            emulator.inject("refuse@5")
            #expect(try model.run(lengths: [8]) == expected)
            emulator.resetTrace()
            #expect(try model.run(lengths: [8]) == expected)
            #expect(emulator.count("aclmdlRICaptureBegin") == 1)
            #expect(try model.run(lengths: [8]) == expected)
            #expect(emulator.count("aclmdlRIExecuteAsync") == 2)
            // No stream is left for another kind of batch: the captured one is evicted, and the next run has a stream.
            let other = try model.run(lengths: [9])
            emulator.resetTrace()
            emulator.inject("full@1")
            #expect(try model.run(lengths: [9]) == other)
            #expect(emulator.count("aclmdlRIDestroy") == 1 && emulator.count("aclmdlRIExecuteAsync") == 0)
            for _ in 0..<2 { #expect(try model.run(lengths: [9]) == other) }
            #expect(emulator.count("aclmdlRICaptureBegin") == 2 && emulator.count("aclmdlRIExecuteAsync") == 2)
        }
    }

    /// Hanging streams are aborted before the reset, which would wait for them.
    @Test
    func hangingStreams_AreEnded_BeforeTheReset() throws {
        try Emulator.exclusively { emulator in
            do {
                let model = try SmallModel(AscendDevice.open(number: 0, timeoutMilliseconds: 100))
                emulator.inject("hold@20")
                #expect(fail(model)?.code == .timedOut)
                emulator.resetTrace()
            }
            #expect(emulator.count("aclrtStreamAbort") >= 2)
            #expect(emulator.count("aclrtStreamAbort") == emulator.count("aclrtDestroyStreamForce"))
            #expect(emulator.count("aclrtResetDeviceForce") == 1)
            try AscendProcess.finalize()
        }
    }

    /// An operator whose trial loses the chip is left out when the device is made again, and stays left out.
    @Test
    func trial_ThatLosesTheChip_IsNotRepeated() throws {
        try Emulator.exclusively { emulator in
            func note() throws -> String {
                emulator.resetTrace()
                let device = try AscendDevice.open(number: 0, capturesBatches: false)
                #expect(try SmallModel(device).run(lengths: [8]).count == 1)
                return device.description.notes[0]
            }
            do {
                let device = try AscendDevice.open(number: 0, capturesBatches: false)
                #expect(device.attentionNote.hasPrefix("HSTU attention is fused: aclnnHstuDenseForward"))
            }
            emulator.resetTrace()
            do { _ = try AscendDevice.open(number: 0, capturesBatches: false) }
            // The trial is the last step.
            let launches = emulator.count("launch")
            emulator.inject("aicore@\(launches)")
            let lost = "aclnnHstuDenseForward: the chip was lost when it was tried: "
            #expect(try note().contains(lost))
            #expect(emulator.count("aclrtResetDeviceForce") == 1 && emulator.count("aclnnHstuDenseForward") > 0)
            #expect(try note().contains(lost))
            #expect(emulator.count("aclrtResetDeviceForce") + emulator.count("aclnnHstuDenseForward") == 0)
            // Another process may try again.
            try AscendProcess.finalize()
            #expect(try !note().contains(lost))
            try AscendProcess.finalize()
        }
    }

    /// While a device is made, each stream is waited for separately.
    @Test
    func fault_WhileADeviceIsMade_IsAnError() throws {
        try Emulator.exclusively { emulator in
            emulator.inject("late@1")
            let late = #expect(throws: ComputeError.self) { try AscendDevice.open(number: 0) }
            #expect(late?.code == .timedOut)
            #expect(late?.message.contains("ACL_ERROR_RT_STREAM_SYNC_TIMEOUT (507046)") == true)
            emulator.inject("aicore@3")
            let exception = #expect(throws: ComputeError.self) { try AscendDevice.open(number: 0) }
            #expect(exception?.code == .executionFailed, "\(exception?.message ?? "")")
            _ = try AscendDevice.open(number: 0)
            try AscendProcess.finalize()
        }
    }

    /// A forced reset also destroys the objects that others made on the same device; they report it, and free nothing
    /// of the next device.
    @Test
    func reset_IsToldToOthersOnTheDevice() throws {
        try Emulator.exclusively { emulator in
            let other = try SmallModel(AscendDevice.open(number: 0))
            do {
                let model = try SmallModel(AscendDevice.open(number: 0))
                emulator.inject("aicore@1")
                #expect(fail(model)?.code == .executionFailed)
            }
            let error = fail(other)
            #expect(error?.code == .deviceLost)
            #expect(error?.message == "ascend:0 was reset after a failure of another user of it")
        }
        try Emulator.exclusively { emulator in
            emulator.resetTrace()
            #expect(try SmallModel(AscendDevice.open(number: 0)).run(lengths: [8]).count == 1)
            #expect(emulator.count("aclrtResetDeviceForce") == 0)
            try AscendProcess.finalize()
        }
    }

    @Test
    func devices_WorkAtOnce_EachOnItsThread() throws {
        try Emulator.exclusively { emulator in
            let lengths = [[40, 3, 17], [8], [5, 40, 9]]
            let expected: [[[ScoredRow]]]
            do {
                let model = try SmallModel(AscendDevice.open(number: 0))
                expected = try lengths.map { try model.run(lengths: $0) }
            }
            try onThreads(
                (0..<2).map { number in
                    {
                        let model = try SmallModel(AscendDevice.open(number: number))
                        for _ in 0..<3 {
                            for (lengths, expected) in zip(lengths, expected) {
                                let found = try model.run(lengths: lengths)
                                #expect(found == expected)
                            }
                        }
                    }
                }
            )
            try AscendProcess.finalize()
        }
    }

    /// One chip fails and is made again while the other continues.
    @Test
    func fault_OfOneDevice_LeavesTheOther() throws {
        try Emulator.exclusively { emulator in
            let model = try SmallModel(AscendDevice.open(number: 0))
            let before = try model.run(lengths: [8, 30])
            try onThreads([
                {
                    let model = try SmallModel(AscendDevice.open(number: 1))
                    emulator.inject("lost@1")
                    #expect(fail(model)?.code == .deviceLost)
                }
            ])
            #expect(try model.run(lengths: [8, 30]) == before)
            try onThreads([
                {
                    let found = try SmallModel(AscendDevice.open(number: 1)).run(lengths: [8, 30])
                    #expect(found == before)
                }
            ])
            #expect(try model.run(lengths: [8, 30]) == before)
        }
    }

    @Test
    func finalize_IsRefused_WhileADeviceIsInUse() throws {
        try Emulator.exclusively { emulator in
            do {
                let device = try AscendDevice.open(number: 1)
                emulator.resetTrace()
                let error = #expect(throws: ComputeError.self) { try AscendProcess.finalize() }
                #expect(error?.message == "CANN cannot be shut down: ascend:1 is still in use")
                #expect(emulator.count("aclFinalize") == 0)
                #expect(device.description.name == "ascend:1")
            }
            try AscendProcess.finalize()
            try AscendProcess.finalize()
            #expect(emulator.count("aclFinalize") == 1)
        }
    }

    /// A device that cannot be opened is reported, and further attempts leak nothing.
    @Test
    func device_ThatIsNotThere_IsAnError() throws {
        try Emulator.exclusively { _ in
            for number in [2, -1, .max] {
                let error = #expect(throws: ComputeError.self) { try AscendDevice.open(number: number) }
                #expect(error?.code == .deviceLost)
                #expect(error?.message.hasSuffix("CANN sees 2") == true, "\(error?.message ?? "")")
            }
            try AscendProcess.finalize()
        }
    }
}
