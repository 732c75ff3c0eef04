// The settings of the section `engine`: devices, types, and what happens on failure.

internal import Compute
internal import Devices
internal import Engine

extension ServiceConfiguration {
    static let engineSettings: [Setting] = [
        .parsed(
            "engine.device",
            \.compute.devices,
            allowed: "cpu, ascend:N, or several NPUs: ascend:0,ascend:1",
            """
            cpu; ascend:N, an NPU; or several NPUs, ascend:0,ascend:1. Each NPU has its own engine, copy of the model \
            and cache; requests of one user go to the same NPU. This has not yet run on a real NPU: see \
            Deploy/ascend.md.
            """,
            write: { $0.map(String.init(describing:)).joined(separator: ",") },
            read: { (text, _) throws(Setting.Refusal) in
                do throws(DeviceSelectionError) { return try ComputeSettings.devices(text) } catch {
                    throw refusal(error)
                }
            }
        ),
        .parsed(
            "engine.dtype",
            \.compute.dtype,
            allowed: "auto, f32, bf16, f16, int8",
            """
            The type of packed weights and of the products with them; activations stay float32. f32, bf16 or int8 on a \
            cpu; bf16 or f16 on an NPU. auto: f32 on a cpu; on an NPU bf16 if the chip supports it (Atlas A2 and \
            later), otherwise f16.
            """,
            write: { $0?.rawValue ?? "auto" },
            read: { (text, configuration) throws(Setting.Refusal) in
                do throws(DeviceSelectionError) {
                    return try ComputeSettings.dtype(text, for: configuration.compute.devices[0])
                } catch {
                    throw refusal(error)
                }
            }
        ).after("engine.device"),
        .parsed(
            "engine.threads",
            \.compute.threads,
            allowed: "0 to the number of cores",
            "Threads that compute on a cpu. 0: one for each core that the process may use.",
            write: { $0 == ComputeSettings.availableThreads ? "0" : String($0) },
            read: { (text, _) throws(Setting.Refusal) in
                let cores = ComputeSettings.availableThreads
                guard let count = Int(text), 0...cores ~= count else {
                    throw .mustBe("a whole number from 0 to \(cores), the cores that this process may use", not: text)
                }
                return count == 0 ? cores : count
            }
        ),
        .choice(
            "engine.tuning",
            \.compute.tuning,
            """
            Whether a cpu's kernels are timed at the start, which takes about 80 ms. measure: use the fastest kernels \
            for the dtype; instructions that are fast on one processor are slow on another. off: use those with the \
            most specialised instructions. The choice is the same for all models and batches.
            """
        ),
        .text(
            "engine.tuning_file",
            \.compute.tuningFile,
            allowed: "a file",
            """
            A JSON file with the measurements, by processor and dtype. If it has this processor, it is used; otherwise \
            the kernels are measured and the result is added. Replicas that share it give bit-identical answers. \
            Empty: each process measures for itself.
            """
        ).checked { $0.compute.tuning == .off ? " is set, but engine.tuning is off" : nil },
        .choice(
            "engine.fallback",
            \.compute.fallback,
            """
            What computes requests while an NPU is unavailable, and requests that do not fit its memory. none: such \
            requests get 503. cpu: the cpu computes them in f32, which needs memory for a second copy of the model.
            """
        ).after("engine.device").checked {
            $0.compute.fallback == .cpu && $0.compute.devices == [.cpu]
                ? ": the fallback is for NPUs; the device is the cpu already" : nil
        },
        .integer(
            "engine.device_timeout_ms",
            \.compute.timeoutMilliseconds,
            1...3_600_000,
            "How long a batch may take on an NPU before the NPU counts as lost."
        ),
        .integer(
            "engine.recovery_backoff_ms",
            \.compute.backoff.firstMilliseconds,
            1...3_600_000,
            "Pause between the failure of an NPU and the attempt to reset it and set it up again. Doubles after each failed attempt."
        ),
        .integer(
            "engine.recovery_backoff_max_ms",
            \.compute.backoff.mostMilliseconds,
            1...3_600_000,
            above: { $0.compute.backoff.firstMilliseconds },
            """
            The longest such pause; not less than the first. With a fallback, which waits during an attempt, the pause \
            is at least nine times as long as the attempt.
            """
        ).after("engine.recovery_backoff_ms"),
    ]

    private static func refusal(_ error: DeviceSelectionError) -> Setting.Refusal {
        Setting.Refusal(": \(error.description)")
    }
}

extension RecoveryBackoff {
    fileprivate var firstMilliseconds: Int {
        get { Int(firstNanoseconds / 1_000_000) }
        set { firstNanoseconds = UInt64(newValue) * 1_000_000 }
    }

    fileprivate var mostMilliseconds: Int {
        get { Int(mostNanoseconds / 1_000_000) }
        set { mostNanoseconds = UInt64(newValue) * 1_000_000 }
    }
}
