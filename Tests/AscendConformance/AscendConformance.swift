// Runs the device conformance suite on an Ascend NPU, or on the emulator where CANN's libraries are its: for machines that have
// the hardware, and for this project's own tests, which need a process a profile.
//
//     AscendConformance [--device N] [--dtype float16|bfloat16] [--only TEXT]

import Compute
import ComputeAscend
import DeviceConformance
import Glibc

/// What the command line says.
private struct Options {
    var device = 0
    var dtype: DType?
    /// Runs the cases whose names contain this.
    var only = ""

    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch flag {
            case "--device":
                guard let number = Int(value) else { return nil }
                device = number
            case "--dtype":
                guard let named = DType(rawValue: value) else { return nil }
                dtype = named
            case "--only": only = value
            default: return nil
            }
        }
    }
}

/// Runs the cases; how many failed.
private func run(_ options: Options) throws(ComputeError) -> Int {
    let device = try AscendDevice(number: options.device, dtype: options.dtype)
    let description = device.description
    print("\(description.name): Ascend\(description.architecture), \(description.dtype.rawValue)")
    print(device.attentionNote)
    print(device.captureNote)
    var (passed, failed, skipped) = (0, 0, 0)
    for conformanceCase in DeviceConformance.cases
    where options.only.isEmpty || conformanceCase.name.contains(options.only) {
        guard conformanceCase.operations.allSatisfy(device.supports) else {
            skipped += 1
            print("skipped: \(conformanceCase.name)")
            continue
        }
        let failures = conformanceCase.failures(on: device)
        for failure in failures { print(failure) }
        if failures.isEmpty { passed += 1 } else { failed += 1 }
    }
    print("\(passed) passed, \(failed) failed, \(skipped) skipped; \(device.memory.workspaceBytes) bytes of workspace")
    return failed
}

@main
private enum AscendConformance {
    static func main() {
        guard let options = Options(Array(CommandLine.arguments.dropFirst())) else {
            print("usage: AscendConformance [--device N] [--dtype float16|bfloat16] [--only TEXT]")
            exit(2)
        }
        do throws(ComputeError) {
            let failed = try run(options)
            try AscendProcess.finalize()
            exit(failed == 0 ? 0 : 1)
        } catch {
            print("\(error.code.rawValue): \(error.message)")
            exit(1)
        }
    }
}
