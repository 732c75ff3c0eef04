// Measures the peak rates of the processor and of its memory, with which benchmarks compare.

internal import CKernels
internal import CLinux
package import Compute

extension CPUDevice {
    package func measurePeakRate() -> Double? {
        var results = [Float](repeating: 0, count: pool.threads * gk_lanes)
        // A task takes a few hundred microseconds; every thread runs several.
        let tasks = pool.threads * 8
        // If bfloat16 is unpacked, its products are float32.
        let dtype = dtype == .bfloat16 && kernels.pointee.bf16_words == 2 ? .float32 : dtype
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
            // The best of several runs, because the first raises the clock and other programs disturb some.
            for _ in 0..<16 {
                let start = CLinux_monotonicNanoseconds()
                pool.run(gk_probes_run, job: &job, count: tasks)
                let seconds = Double(CLinux_monotonicNanoseconds() - start) / 1e9
                best = max(best, operations / seconds)
            }
        }
        return best
    }

    package func measureRead(of catalogue: any CatalogueWeights) -> MemoryRead? {
        guard let catalogue = catalogue as? CPUCatalogue else { return nil }
        let wordBytes = MemoryLayout<UInt64>.stride
        let words = catalogue.items.byteCount / wordBytes
        // Divides the memory as the scan does: about eight tasks per thread.
        let taskWords = max(512, words / (pool.threads * 8))
        guard words > 0 else { return nil }
        var sums = [UInt64](repeating: 0, count: pool.threads * 8)
        let nanoseconds = sums.withUnsafeMutableBufferPointer { sums in
            var job = gk_reads(
                memory: UnsafeRawPointer(catalogue.items.base).assumingMemoryBound(to: UInt64.self),
                words: words,
                task_words: taskWords,
                sums: sums.baseAddress
            )
            let start = CLinux_monotonicNanoseconds()
            pool.run(gk_reads_run, job: &job, count: (words + taskWords - 1) / taskWords)
            return CLinux_monotonicNanoseconds() - start
        }
        withExtendedLifetime(catalogue) {}
        return MemoryRead(byteCount: words * wordBytes, nanoseconds: nanoseconds)
    }
}
