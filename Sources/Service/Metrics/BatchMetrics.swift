// Metrics of batches: sizes and durations.

internal import Engine
internal import Telemetry

/// The instruments of a version's batches.
struct BatchMetrics: Sendable {
    private let sequences: Histogram
    private let events: Histogram
    private let prefill: Histogram
    private let decodeStep: Histogram
    private let topK: Histogram
    private let predictionError: Histogram

    struct Families: Sendable {
        fileprivate let sequences: HistogramFamily
        fileprivate let events: HistogramFamily
        fileprivate let prefill: HistogramFamily
        fileprivate let decodeStep: HistogramFamily
        fileprivate let topK: HistogramFamily
        fileprivate let predictionError: HistogramFamily

        init(_ registry: MetricRegistry, scheduler: SchedulerConfiguration) {
            func seconds(_ name: String, _ help: String) -> HistogramFamily {
                registry.histogram(name, help: help, unit: "seconds", labels: ModelLabels.names)
            }
            func counts(_ name: String, _ help: String, upTo most: Int) -> HistogramFamily {
                registry.histogram(name, help: help, buckets: .powersOfTwo(upTo: most), labels: ModelLabels.names)
            }
            sequences = counts(
                "genrec_batch_size",
                "Sequences computed together; identical requests count as one.",
                upTo: scheduler.maxBatchSequences
            )
            events = counts("genrec_batch_tokens", "Events computed together.", upTo: scheduler.maxBatchEvents)
            prefill = seconds(
                "genrec_prefill_seconds",
                "Time to encode a batch that contains histories or parts of them."
            )
            decodeStep = seconds(
                "genrec_decode_step_seconds",
                "Time of a batch that contains steps of generated sequences, encoding and selection together."
            )
            topK = seconds(
                "genrec_topk_seconds",
                "Time to score the catalogue for a batch and select from it."
            )
            predictionError = registry.histogram(
                "genrec_service_time_relative_error",
                help: "Error of a batch's predicted time, as a share of the time it took.",
                buckets: HistogramBuckets([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]),
                labels: ModelLabels.names
            )
        }

        func remove(_ labels: ModelLabels) {
            for family in [sequences, events, prefill, decodeStep, topK, predictionError] { family.remove(labels) }
        }
    }

    init(_ families: Families, _ labels: ModelLabels) {
        sequences = families.sequences.with(labels)
        events = families.events.with(labels)
        prefill = families.prefill.with(labels)
        decodeStep = families.decodeStep.with(labels)
        topK = families.topK.with(labels)
        predictionError = families.predictionError.with(labels)
    }

    func finished(_ report: BatchReport) {
        sequences.observe(Double(report.lengths.count))
        events.observe(Double(report.lengths.reduce(0, +)))
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
