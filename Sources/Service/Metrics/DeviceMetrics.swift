// Metrics of devices: whether they compute, their memory, and their failures.

internal import Compute
internal import Engine
internal import Telemetry

/// The instruments of devices.
final class DeviceMetrics: Sendable {
    private let memory: GaugeFamily
    private let errors: CounterFamily
    private let ready: GaugeFamily
    private let recoveries: CounterFamily
    private let fallbackBatches: CounterFamily

    init(_ registry: MetricRegistry) {
        memory = registry.gauge(
            "genrec_device_memory_bytes",
            help: "Device memory in use, by kind.",
            unit: "bytes",
            labels: ["device", "kind"]
        )
        errors = registry.counter(
            "genrec_device_errors_total",
            help: "Failures of a device, by code.",
            labels: ["device", "code"]
        )
        ready = registry.gauge(
            "genrec_device_ready",
            help: "1 while the device computes, otherwise 0, even if a fallback serves instead.",
            labels: ["device"]
        )
        recoveries = registry.counter(
            "genrec_device_recoveries_total",
            help: "Times that a device was set up again after a failure.",
            labels: ["device"]
        )
        fallbackBatches = registry.counter(
            "genrec_fallback_batches_total",
            help: "Batches that the fallback computed instead of a device.",
            labels: ["device"]
        )
    }

    /// - Parameter replaced: the device that the fallback replaced.
    func batchFinished(_ report: BatchReport, replacing replaced: String?) {
        if let replaced { fallbackBatches.with(replaced).increment() }
        set(report.memory, of: report.device)
    }

    func failed(_ error: ComputeError, device: String) { errors.with(device, error.code.rawValue).increment() }

    func recovered(_ device: String) { recoveries.with(device).increment() }

    /// Sets whether a device computes. From then on the families with the label `device` have a series for it.
    func setReady(_ isReady: Bool, device: String) {
        ready.with(device).set(isReady ? 1 : 0)
        // A lost device holds no memory.
        if !isReady { set(DeviceMemory(weightBytes: 0, workspaceBytes: 0), of: device) }
        _ = recoveries.with(device)
    }

    private func set(_ use: DeviceMemory, of device: String) {
        memory.with(device, "weights").set(use.weightBytes)
        memory.with(device, "workspace").set(use.workspaceBytes)
        memory.with(device, "pages").set(use.pageBytes)
    }
}
