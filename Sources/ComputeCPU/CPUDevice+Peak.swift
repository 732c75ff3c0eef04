// What the processor can do at most, measured: the ceiling that benchmarks compare with.

internal import CKernels
internal import CLinux

extension CPUDevice {
    package func measurePeakRate() -> Double? {
        var results = [Float](repeating: 0, count: pool.threads * gk_lanes)
        // A task is some hundred microseconds; every thread takes several.
        let tasks = pool.threads * 8
        let rounds = 10_000
        let operations = Double(tasks * rounds * Int(gk_probe_operations))
        var best = 0.0
        results.withUnsafeMutableBufferPointer { results in
            var job = gk_probes(kernels: kernels, rounds: rounds, results: results.baseAddress)
            // The best of several: the first raises the clock, and other programs take their share of some.
            for _ in 0..<16 {
                let start = CLinux_monotonicNanoseconds()
                pool.run(gk_probes_run, job: &job, count: tasks)
                let seconds = Double(CLinux_monotonicNanoseconds() - start) / 1e9
                best = max(best, operations / seconds)
            }
        }
        return best
    }
}
