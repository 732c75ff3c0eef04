// The results of a benchmark, as text and JSON.

package import Compute
internal import Devices
internal import Foundation
internal import JSON

/// Durations of repeated measurements, in milliseconds.
package struct Durations: Sendable {
    /// Ascending, not empty.
    private let sorted: [Double]

    /// - Parameter nanoseconds: all measurements, in any order; not empty.
    package init(_ nanoseconds: [UInt64]) {
        precondition(!nanoseconds.isEmpty, "nothing was measured")
        sorted = nanoseconds.map { Double($0) / 1e6 }.sorted()
    }

    package var count: Int { sorted.count }
    package var minimum: Double { sorted[0] }
    package var median: Double { sorted[count / 2] }
    package var p99: Double { sorted[min(count - 1, count * 99 / 100)] }

    /// One JSON object.
    package var json: String { "{\"min\":\(minimum),\"median\":\(median),\"p99\":\(p99)}" }

    /// The figures as part of a line.
    package var text: String { String(format: "min %.3f  median %.3f  p99 %.3f", minimum, median, p99) }
}

/// Timings of batches of one shape.
package struct BenchReport: Sendable {
    package var batch: Int
    package var length: Int
    /// How many events per history were computed, with the others cached; nil: all, without a cache.
    package var append: Int?
    /// Number of items scored per history; nil: items were selected from the whole catalogue.
    package var candidates: Int?
    /// Average beam rows per search in each round after the first; nil: there was no search.
    package var beamRows: [Int]?
    package var device: DeviceDescription
    /// Floating-point operations that one sequence needs, two per multiply-add: causal work, including scoring.
    package var operationsPerSequence: Int
    /// Floating-point operations per second that the device reached in pure arithmetic in the same run; nil: not
    /// measured.
    package var peakRate: Double?
    /// Plain reads of the catalogue's memory, before and after the batches, and its size; nil: not measured.
    package var read: (byteCount: Double, durations: Durations)?
    /// Times of whole batches, including scoring and selection.
    package var durations: Durations
    /// Times of the encoding alone, and of scoring and selection alone. For searches: of the first round with the
    /// prompt, and of all later rounds.
    package var prefill: Durations
    package var selection: Durations
    /// The selection with a share of the items unavailable; nil: not measured.
    package var reduced: (unavailable: Double, selection: Durations)?

    /// At the median batch time.
    package var sequencesPerSecond: Double { Double(batch) / durations.median * 1e3 }
    /// 10⁹ operations per second at the median.
    package var gflops: Double { Double(operationsPerSequence) * sequencesPerSecond / 1e9 }
    /// The share of the peak, 0 … 1, at the median.
    package var ceilingShare: Double? { peakRate.map { gflops * 1e9 / $0 } }
    /// The time of a plain read of the catalogue divided by the time of scoring and selection, both at the median. 1
    /// means that the scan is limited only by memory. With many histories per batch, the arithmetic takes longer than
    /// the read.
    package var readShare: Double? { read.map { $0.durations.median / selection.median } }
    /// 10⁹ bytes per second of the plain read, at the median.
    package var readRate: Double? { read.map { $0.byteCount / $0.durations.median / 1e6 } }

    /// One JSON object.
    package var json: String {
        """
        {"batch":\(batch),"length":\(length),"append":\(number(append)),"candidates":\(number(candidates)),\
        "beam_rows":\(number(beamRows)),"device":"\(device.name)",\
        "architecture":"\(device.architecture)","dtype":"\(device.dtype.rawValue)","threads":\(device.threads),\
        "kernel_gflops_per_thread":\(String(decoding: device.kernelRates.json.compact, as: UTF8.self)),\
        "batches":\(durations.count),"milliseconds":\(durations.json),"prefill_milliseconds":\(prefill.json),\
        "selection_milliseconds":\(selection.json),\
        "unavailable":\(number(reduced?.unavailable)),"unavailable_milliseconds":\(reduced?.selection.json ?? "null"),\
        "read_share":\(number(readShare)),\
        "read_gigabytes_per_second":\(number(readRate)),\
        "sequences_per_second":\(sequencesPerSecond),"gflops":\(gflops),"ceiling_share":\(number(ceilingShare)),\
        "peak_gflops":\(number(peakRate.map { $0 / 1e9 }))}
        """
    }

    /// One line per figure.
    package var table: String {
        """
        \(batch) x \(shape) on \(device.name) (\(device.architecture)), \(device.dtype.rawValue), threads \(device.threads)
        milliseconds      \(durations.text)  of \(durations.count) batches
        \(beamRows == nil ? "encoding" : "prompt  ")          \(prefill.text)
        \(selectionName)         \(selection.text)\(shareOfRead)\(roundsText)\(reducedText)
        sequences/second  \(String(format: "%.1f", sequencesPerSecond))
        GFLOP/s           \(String(format: "%.1f", gflops))\(shareOfPeak)
        """
    }

    private var selectionName: String {
        if beamRows != nil { return "rounds   " }
        return candidates == nil ? "selection" : "scores   "
    }

    private var roundsText: String {
        guard let beamRows else { return "" }
        return "; rows of beams \(beamRows.map(String.init).joined(separator: " + "))"
    }

    private var reducedText: String {
        guard let reduced else { return "" }
        let share = String(format: "%g", 100 * reduced.unavailable)
        return "\n\(share) % unavailable  \(reduced.selection.text)"
    }

    private var shape: String {
        guard let append else { return "\(length)" }
        return "\(append) on \(length - append) cached"
    }

    private var shareOfPeak: String {
        guard let peakRate, let ceilingShare else { return "" }
        return String(
            format: ", %.0f %% of the measured peak of %.1f",
            100 * ceilingShare,
            peakRate / 1e9
        )
    }

    private var shareOfRead: String {
        guard let readRate, let readShare else { return "" }
        return String(
            format: "; a plain read at %.1f GB/s takes %.0f %% of that",
            readRate,
            100 * readShare
        )
    }

    /// The value as JSON, null for nil.
    private func number(_ value: (some CustomStringConvertible)?) -> String { value.map(\.description) ?? "null" }
}
