// What a benchmark measured, and how it is printed.

package import Compute
internal import Foundation

/// Times of batches of one shape.
package struct BenchReport: Sendable {
    package var batch: Int
    package var length: Int
    package var device: DeviceDescription
    /// Floating-point operations of one sequence, two a multiply-add: causal work, scoring included.
    package var operationsPerSequence: Int
    /// Nanoseconds of each batch, in the order in which they ran; not empty.
    package var durations: [UInt64]

    private var sorted: [UInt64] { durations.sorted() }
    private func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e6 }

    package var minimum: Double { milliseconds(sorted[0]) }
    package var median: Double { milliseconds(sorted[durations.count / 2]) }
    package var p99: Double { milliseconds(sorted[min(durations.count - 1, durations.count * 99 / 100)]) }
    /// At the median.
    package var sequencesPerSecond: Double { Double(batch) / median * 1e3 }
    /// 10⁹ operations a second at the median.
    package var gflops: Double { Double(operationsPerSequence) * sequencesPerSecond / 1e9 }

    /// One JSON object.
    package var json: String {
        """
        {"batch":\(batch),"length":\(length),"device":"\(device.name)","architecture":"\(device.architecture)",\
        "dtype":"\(device.dtype.rawValue)","threads":\(device.threads),"batches":\(durations.count),\
        "milliseconds":{"min":\(minimum),"median":\(median),"p99":\(p99)},\
        "sequences_per_second":\(sequencesPerSecond),"gflops":\(gflops)}
        """
    }

    /// A line a figure.
    package var table: String {
        """
        \(batch) x \(length) on \(device.name) (\(device.architecture)), \(device.dtype.rawValue), threads \(device.threads)
        milliseconds      min \(fixed(minimum))  median \(fixed(median))  p99 \(fixed(p99))  of \(durations.count) batches
        sequences/second  \(String(format: "%.1f", sequencesPerSecond))
        GFLOP/s           \(String(format: "%.1f", gflops))
        """
    }

    private func fixed(_ value: Double) -> String { String(format: "%.3f", value) }
}
