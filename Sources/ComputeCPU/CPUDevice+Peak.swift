// What the processor can do at most, measured: the ceiling that benchmarks compare with.

internal import CKernels
internal import CLinux

extension CPUDevice {
    package func measurePeakRate() -> Double? {
        var results = [Float](repeating: 0, count: pool.threads * gk_lanes)
        // A task is some hundred microseconds; every thread takes several.
        let tasks = pool.threads * 8
        let rounds = dtype == .float32 ? 10_000 : 500
        var best = 0.0
        results.withUnsafeMutableBufferPointer { results in
            var job = gk_probes(
                kernels: kernels,
                dtype: dtype,
                rounds: rounds,
                results: results.baseAddress
            )
            let operations = Double(tasks) * Double(rounds) * Double(gk_probe_count(&job))
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
