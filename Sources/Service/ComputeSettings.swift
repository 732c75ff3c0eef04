// Which device computes, and the one place that knows which devices exist.

package import Compute
internal import ComputeCPU

/// A device that does not exist here, or cannot do what is asked; one sentence says which and why.
package struct DeviceSelectionError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

/// The choice of device, weight type and threads.
package struct ComputeSettings: Sendable, Equatable {
    /// The devices this build has.
    package enum DeviceKind: Sendable, Equatable {
        case cpu
    }

    package let device: DeviceKind
    /// What weights are packed in and products are taken of.
    package let dtype: DType
    /// Threads that compute, the engine's own included.
    package let threads: Int

    /// - Parameters:
    ///   - device: "cpu"; "ascend:N" is known by name and refused by this build.
    ///   - dtype: "f32", "bf16" or "int8".
    ///   - threads: nil: one a core that the process may use.
    package init(device: String, dtype: String, threads: Int?) throws(DeviceSelectionError) {
        guard device == "cpu" else {
            throw DeviceSelectionError(
                description: device.hasPrefix("ascend")
                    ? "this build has no ascend device; use --device cpu"
                    : "there is no device '\(device)'; use cpu"
            )
        }
        switch dtype {
        case "f32": self.dtype = .float32
        case "bf16": self.dtype = .bfloat16
        case "int8": self.dtype = .int8
        default: throw DeviceSelectionError(description: "there is no dtype '\(dtype)'; use f32, bf16 or int8")
        }
        let cores = CPUDevice.availableThreads
        let threads = threads ?? cores
        guard 1...cores ~= threads else {
            throw DeviceSelectionError(
                description: "threads must be from 1 to \(cores), the cores that this process may use, not \(threads)"
            )
        }
        self.device = .cpu
        self.threads = threads
    }

    /// Makes the device. Call it on the thread that will use it.
    package func makeDevice() throws -> any Device {
        switch device {
        case .cpu: try CPUDevice(threads: threads, dtype: dtype)
        }
    }
}
