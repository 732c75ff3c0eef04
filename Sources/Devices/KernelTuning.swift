// Chooses a CPU device's kernels by measuring their speed, and keeps the rates in a file, so that replicas that share
// it give answers with equal bits.

internal import Compute
internal import ComputeCPU
internal import Files
internal import Glibc
package import JSON

extension ComputeSettings {
    /// Whether kernels are timed before they serve.
    package enum Tuning: String, Sendable, CaseIterable {
        case measure, off
    }

    /// A CPU device with the kernels that are fastest on this host for its dtype. Kernels whose results differ in bits
    /// are chosen once per device, never per batch.
    func makeCPU() throws(ComputeError) -> CPUDevice {
        let device = try CPUDevice(threads: threads, dtype: dtype ?? .float32)
        // GENREC_ISA overrides the measurement.
        guard tuning == .measure, getenv("GENREC_ISA") == nil else { return device }
        // Half of the free memory, because later weights need some too.
        device.roomForCopies = { HostMemory.freeBytes.map { $0 / 2 } ?? .max }
        try device.tune { (device) throws(ComputeError) in try rates(of: device) }
        return device
    }

    /// This processor's rates from the tuning file; if it has none, measured rates, which are then written to the file.
    private func rates(of device: CPUDevice) throws(ComputeError) -> [KernelRate] {
        guard let tuningFile else { return try device.measureKernels() }
        do throws(KernelTuningFile.Fault) {
            var file = try KernelTuningFile(at: tuningFile, processor: Self.processorName)
            if let known = file.rates(device.description.dtype), known.first?.kernels == device.description.architecture
            {
                return known
            }
            let rates: [KernelRate]
            do throws(ComputeError) { rates = try device.measureKernels() } catch { throw .measurement(error) }
            guard !rates.isEmpty else { return [] }
            file.set(rates, of: device.description.dtype)
            try file.write(to: tuningFile)
            return rates
        } catch {
            switch error {
            case .measurement(let error): throw error
            case .file(let sentence): throw ComputeError(.invalidArgument, "engine.tuning_file: \(sentence)")
            }
        }
    }

    /// The processor's name from Linux; "unknown" if it gives none.
    static var processorName: String {
        let line = HostMemory.text("/proc/cpuinfo").split(separator: "\n").first {
            $0.hasPrefix("model name") || $0.hasPrefix("CPU part")
        }
        return line?.split(separator: ":").last.map { String($0.trimmingPrefix(" ")) } ?? "unknown"
    }
}

extension [KernelRate] {
    /// The rates by the kernels' names, rounded to a tenth.
    package var json: JSONValue {
        .object(map { JSONMember($0.kernels, .real(($0.gigaflops * 10).rounded() / 10)) })
    }
}

/// Rates by processor and dtype: `{"PROCESSOR": {"bfloat16": {"avx512bf16": 217.5, "avx512vnni": 92.1}}}`. The first
/// entry of each dtype names the kernels that would serve without a measurement.
struct KernelTuningFile {
    enum Fault: Error {
        case file(String)
        case measurement(ComputeError)
    }

    private var document: JSONValue
    private let processor: String

    /// Reads a file; one that does not exist is empty.
    init(at path: String, processor: String) throws(Fault) {
        self.processor = processor
        guard access(path, F_OK) == 0 else {
            document = .object([])
            return
        }
        let bytes: [UInt8]
        do throws(FileError) { bytes = try TextFile.contents(of: path) } catch { throw .file(error.message) }
        do throws(JSONError) {
            document = try bytes.withUnsafeBufferPointer { bytes throws(JSONError) in
                try JSONValue(parsing: UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw .file("\(path) is not JSON: \(error.description)")
        }
        guard case .object = document else { throw .file("\(path) is not a JSON object") }
    }

    /// The rates of a dtype on this processor; nil if the file has none, or invalid ones.
    func rates(_ dtype: DType) -> [KernelRate]? {
        guard case .object(let members) = document[processor]?[dtype.rawValue], members.count > 1 else { return nil }
        var rates: [KernelRate] = []
        for member in members {
            let rate: Double
            switch member.value {
            case .real(let value): rate = value
            case .integer(let value): rate = Double(value)
            default: return nil
            }
            guard rate > 0, InstructionSet(rawValue: member.key)?.isAvailable == true else { return nil }
            rates.append(KernelRate(kernels: member.key, gigaflops: rate))
        }
        return rates
    }

    mutating func set(_ rates: [KernelRate], of dtype: DType) {
        let own = (document[processor] ?? .object([])).without(dtype.rawValue).adding([(dtype.rawValue, rates.json)])
        document = document.without(processor).adding([(processor, own)])
    }

    /// Replaces the whole file atomically.
    func write(to path: String) throws(Fault) {
        do throws(FileError) {
            var writer = try FileWriter(path: path)
            try writer.append(document.prettyPrinted.utf8)
            try writer.commit()
        } catch {
            throw .file(error.message)
        }
    }
}
