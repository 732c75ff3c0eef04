// How large batches are, and how long they wait and take.

internal import Engine
internal import Telemetry

/// The instruments of batches.
final class BatchMetrics: Sendable {
    private let queueWait: Histogram
    private let sequences: Histogram
    private let events: Histogram
    private let prefill: Histogram
    private let decodeStep: Histogram
    private let topK: Histogram
    private let predictionError: Histogram

    init(_ registry: MetricRegistry, scheduler: SchedulerConfiguration) {
        queueWait = registry.histogram(
            "genrec_queue_wait_seconds",
            help: "Time from a request's arrival to the start of its batch.",
            unit: "seconds"
        )
        sequences = registry.histogram(
            "genrec_batch_size",
            help: "Sequences computed together; identical requests are one.",
            buckets: .powersOfTwo(upTo: scheduler.maxBatchSequences)
        )
        events = registry.histogram(
            "genrec_batch_tokens",
            help: "Events computed together.",
            buckets: .powersOfTwo(upTo: scheduler.maxBatchEvents)
        )
        prefill = registry.histogram(
            "genrec_prefill_seconds",
            help: "Time to encode a batch with histories, or parts of histories, in it.",
            unit: "seconds"
        )
        decodeStep = registry.histogram(
            "genrec_decode_step_seconds",
            help: "Time of a batch with steps of generated sequences in it, encoding and selection together.",
            unit: "seconds"
        )
        topK = registry.histogram(
            "genrec_topk_seconds",
            help: "Time to score the catalogue for a batch and select from it.",
            unit: "seconds"
        )
        predictionError = registry.histogram(
            "genrec_service_time_relative_error",
            help: "Error of a batch's predicted time, as a share of the time it took.",
            buckets: HistogramBuckets([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5])
        )
    }

    func finished(_ report: BatchReport) {
        sequences.observe(Double(report.lengths.count))
        events.observe(Double(report.lengths.reduce(0, +)))
        for wait in report.queueWaits { queueWait.observe(Double(wait) / 1e9) }
        let total = report.durations.prefill + report.durations.topK
        if report.steps < report.lengths.count { prefill.observe(Double(report.durations.prefill) / 1e9) }
        if report.steps > 0 { decodeStep.observe(Double(total) / 1e9) }
        if report.durations.topK > 0 { topK.observe(Double(report.durations.topK) / 1e9) }
        if report.predictedNanoseconds > 0, report.elapsedNanoseconds > 0 {
            let elapsed = Double(report.elapsedNanoseconds)
            predictionError.observe(abs(Double(report.predictedNanoseconds) - elapsed) / elapsed)
        }
    }
}
