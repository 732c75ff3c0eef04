// Which devices compute. Only this file knows which kinds of devices exist.

package import Compute
internal import ComputeAscend
internal import ComputeCPU
package import Engine
internal import Glibc

/// A device that does not exist here or does not support the settings; one sentence says which and why.
package struct DeviceSelectionError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(description: String) {
        self.description = description
    }
}

/// The choice of devices, weight type and threads.
package struct ComputeSettings: Sendable, Equatable {
    /// The devices this build has.
    package enum DeviceKind: Sendable, Hashable, CustomStringConvertible {
        case cpu
        /// An NPU, by CANN's number among those that the process sees, from 0.
        case ascend(Int)

        package var description: String {
            switch self {
            case .cpu: "cpu"
            case .ascend(let number): "ascend:\(number)"
            }
        }
    }

    /// What computes while a device is unavailable, and computes work that does not fit its memory.
    package enum Fallback: String, Sendable, CaseIterable {
        case none, cpu
    }

    /// The CPU kernel level of this host, or the one that GENREC_ISA names; the error message if that cannot be used.
    package static var processorLevel: String {
        let override = getenv("GENREC_ISA").map { String(cString: $0) }
        do throws(ComputeError) { return try InstructionSet.selected(override: override).rawValue } catch {
            return error.message
        }
    }

    /// Each device has its own engine. Not empty, without duplicates.
    package var devices = [DeviceKind.cpu]
    /// The type of packed weights and products; nil: the device's default.
    package var dtype: DType?
    /// Threads that compute on a CPU, including the engine's own: 1 to `availableThreads`.
    package var threads = Self.availableThreads
    package var fallback = Fallback.none
    /// Whether a CPU's kernels are chosen by measuring them.
    package var tuning = Tuning.measure
    /// The file for measured rates; nil: they are not kept.
    package var tuningFile: String?
    /// How long a batch may take on an NPU before the NPU counts as lost.
    package var timeoutMilliseconds = 10_000
    /// When to try to recover a failed device.
    package var backoff = RecoveryBackoff()

    /// The CPU in float32, on every core that the process may use.
    package init() {}

    /// - Parameters:
    ///   - device: "cpu", "ascend:N", or several NPUs separated by commas.
    ///   - dtype: "auto", or one of "f32", "f16", "bf16" and "int8" that the device supports.
    ///   - threads: nil: one for each core that the process may use.
    package init(device: String, dtype: String = "auto", threads: Int? = nil) throws(DeviceSelectionError) {
        devices = try Self.devices(device)
        self.dtype = try Self.dtype(dtype, for: devices[0])
        guard let threads else { return }
        guard 1...Self.availableThreads ~= threads else {
            throw DeviceSelectionError(
                description:
                    "threads must be from 1 to \(Self.availableThreads), the cores that this process may use, not \(threads)"
            )
        }
        self.threads = threads
    }

    /// The cores that the process may use.
    package static let availableThreads = CPUDevice.availableThreads

    /// Reads the names of devices: "cpu", "ascend:N", or several NPUs separated by commas.
    package static func devices(_ list: String) throws(DeviceSelectionError) -> [DeviceKind] {
        var devices: [DeviceKind] = []
        for name in list.split(separator: ",", omittingEmptySubsequences: false) {
            let name = name.trimmingPrefix { $0 == " " }
            let device: DeviceKind
            if name == "cpu" {
                device = .cpu
            } else if name.hasPrefix("ascend:"), let number = UInt16(name.dropFirst(7)) {
                device = .ascend(Int(number))
            } else {
                throw DeviceSelectionError(description: "there is no device '\(name)'; use cpu or ascend:N")
            }
            guard !devices.contains(device) else {
                throw DeviceSelectionError(description: "the device \(device) is named twice")
            }
            devices.append(device)
        }
        guard devices.count == 1 || !devices.contains(.cpu) else {
            throw DeviceSelectionError(
                description: "the cpu cannot be combined with other devices; engine.fallback lets it stand in for NPUs"
            )
        }
        return devices
    }

    /// Reads the name of a type that a device computes in; nil for "auto".
    package static func dtype(_ name: String, for device: DeviceKind) throws(DeviceSelectionError) -> DType? {
        let known: [String: DType] = ["f32": .float32, "f16": .float16, "bf16": .bfloat16, "int8": .int8]
        guard name != "auto" else { return nil }
        guard let dtype = known[name] else {
            throw DeviceSelectionError(
                description: "there is no dtype '\(name)'; use auto, f32, f16, bf16 or int8"
            )
        }
        switch (device, dtype) {
        case (.cpu, .float16):
            throw DeviceSelectionError(description: "the cpu does not compute in f16; use f32, bf16 or int8")
        case (.ascend, .float32), (.ascend, .int8):
            throw DeviceSelectionError(
                description: "ascend devices do not compute in \(name); use bf16 or f16, or auto for what the chip has"
            )
        default: return dtype
        }
    }

    /// Makes a device. Call it on the thread that will use it.
    package func makeDevice(_ kind: DeviceKind) throws(ComputeError) -> any Device {
        switch kind {
        case .cpu:
            return try makeCPU()
        case .ascend(let number):
            return try AscendDevice.open(number: number, dtype: dtype, timeoutMilliseconds: timeoutMilliseconds)
        }
    }

    /// Makes the fallback: a CPU that computes in float32, whatever the device's dtype.
    package func makeFallback() throws(ComputeError) -> any Device {
        try CPUDevice(threads: threads, dtype: .float32)
    }

    /// Releases the process-wide resources of the devices. Call it after the last device is released.
    ///
    /// - Throws: `ComputeError`.
    package func releaseProcess() throws(ComputeError) {
        guard devices.contains(where: { $0 != .cpu }) else { return }
        try AscendProcess.finalize()
    }
}
