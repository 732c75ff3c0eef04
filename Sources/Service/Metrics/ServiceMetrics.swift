// Every metric of the service: names, labels and where they are counted. What the engine reports becomes numbers here.

internal import Compute
package import Engine
internal import HTTP
internal import Models
internal import Synchronization
package import Telemetry

/// How a request for recommendations ended; the label of `genrec_recommend_outcomes_total`.
package enum RecommendOutcome: String, Sendable, CaseIterable {
    /// As many items as asked for, by the model.
    case ok
    /// Fewer items than asked for: no more were eligible.
    case partial
    /// By popularity, for want of a history.
    case coldStart = "cold_start"
    /// Refused: the queue was full.
    case rejectedQueue = "rejected_queue"
    /// Refused: the deadline could not be met.
    case rejectedDeadline = "rejected_deadline"
    /// The deadline passed in the queue.
    case expired
    /// The caller went away.
    case cancelled
    /// The body was malformed or a value not usable.
    case invalid
    /// The engine was not ready, the device failed, or the model's scores were not numbers.
    case failed
}

/// What a reply is counted by.
struct RepliedRequest: Hashable {
    var route: Route
    /// nil if the request was refused before it was known.
    var method: HTTPMethod?
    var status: Int

    var methodName: String { method?.description ?? "none" }
}

/// The instruments, made once.
package final class ServiceMetrics: Sendable {
    package let registry: MetricRegistry

    private let requests: CounterFamily
    /// The counters of `requests` that have been used, found without a string.
    private let usedRequests = Mutex<[RepliedRequest: Counter]>([:])
    /// By the number of the route.
    private let durations: [Histogram]
    private let outcomes: [RecommendOutcome: Counter]
    let connections: Gauge
    let unknownItems: Counter
    let historyLength: Histogram

    private let queueDepth: Gauge
    private let queueWait: Histogram
    private let batchSize: Histogram
    private let batchTokens: Histogram
    private let prefill: Histogram
    private let decodeStep: Histogram
    private let topK: Histogram
    private let serviceTimeError: Histogram
    private let deduplicated: Counter
    /// Nanoseconds.
    private let wasted = WastedTime()
    private let cacheHits: Counter
    private let cachePartialHits: Counter
    private let cacheMisses: Counter
    private let cacheEvictions: Counter
    private let cacheEntries: Gauge
    private let cacheBytes: Gauge
    private let cancelled: [CancellationStage: Counter]
    private let deviceMemory: GaugeFamily
    private let deviceErrors: CounterFamily
    private let deviceReady: GaugeFamily
    private let deviceRecoveries: CounterFamily
    private let fallbackBatches: CounterFamily
    private let modelInfo: GaugeFamily
    private let reloadsSucceeded: Counter
    private let reloadsFailed: Counter
    let tls: TLSMetrics

    package init(registry: MetricRegistry, scheduler: SchedulerConfiguration, window: Int) {
        self.registry = registry
        requests = registry.counter(
            "genrec_http_requests_total",
            help: "Requests answered, by route, method and status.",
            labels: ["route", "method", "status"]
        )
        let requestDuration = registry.histogram(
            "genrec_http_request_duration_seconds",
            help: "Time from a request's last byte to its reply's last byte handed to the system.",
            unit: "seconds",
            labels: ["route"]
        )
        durations = Route.allCases.map { requestDuration.with($0.label) }
        let outcomeFamily = registry.counter(
            "genrec_recommend_outcomes_total",
            help: "How requests for recommendations ended.",
            labels: ["outcome"]
        )
        outcomes = Dictionary(
            uniqueKeysWithValues: RecommendOutcome.allCases.map { ($0, outcomeFamily.with($0.rawValue)) }
        )
        connections = registry.gauge("genrec_http_connections", help: "Open connections.")
        unknownItems = registry.counter(
            "genrec_unknown_items_total",
            help: "Item ids in requests that the catalogue does not know."
        )
        historyLength = registry.histogram(
            "genrec_history_length",
            help: "Events in the histories of requests, before the window cuts them.",
            buckets: .powersOfTwo(upTo: max(window * 4, 16))
        )
        queueDepth = registry.gauge("genrec_queue_depth", help: "Requests that wait to be computed.")
        queueWait = registry.histogram(
            "genrec_queue_wait_seconds",
            help: "Time from a request's arrival to the start of its batch.",
            unit: "seconds"
        )
        batchSize = registry.histogram(
            "genrec_batch_size",
            help: "Sequences computed together; requests that ask the same are one.",
            buckets: .powersOfTwo(upTo: scheduler.maxBatchSequences)
        )
        batchTokens = registry.histogram(
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
        serviceTimeError = registry.histogram(
            "genrec_service_time_relative_error",
            help: "How far off a batch's predicted time was, as a share of the time it took.",
            buckets: HistogramBuckets([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5])
        )
        deduplicated = registry.counter(
            "genrec_deduplicated_requests_total",
            help: "Requests answered by the computation of one that waited and asked the same."
        )
        registry.counter(
            "genrec_wasted_compute_seconds_total",
            help: "Device time of requests that nobody waited for any more, without rows that stay in the user cache.",
            unit: "seconds",
            read: { [wasted] in wasted.seconds }
        )
        cacheHits = registry.counter(
            "genrec_user_cache_hits_total",
            help: "Requests that continued, or repeated, what was kept of their user."
        )
        cachePartialHits = registry.counter(
            "genrec_user_cache_partial_hits_total",
            help: "Requests that used a part of what was kept: the rest was not theirs any more, or was in use."
        )
        cacheMisses = registry.counter(
            "genrec_user_cache_misses_total",
            help: "Requests of which nothing was kept that they could use."
        )
        cacheEvictions = registry.counter(
            "genrec_user_cache_evictions_total",
            help: "Users' entries that made room for others."
        )
        cacheEntries = registry.gauge("genrec_user_cache_entries", help: "Users' entries that are kept.")
        cacheBytes = registry.gauge(
            "genrec_user_cache_bytes",
            help: "Bytes of keys and values that are held, by users' entries and by requests.",
            unit: "bytes"
        )
        topK = registry.histogram(
            "genrec_topk_seconds",
            help: "Time to score the catalogue for a batch and select from it.",
            unit: "seconds"
        )
        let cancelledFamily = registry.counter(
            "genrec_cancelled_total",
            help: "Requests whose caller went away, by how far they had come.",
            labels: ["stage"]
        )
        cancelled = Dictionary(
            uniqueKeysWithValues: CancellationStage.allCases.map { ($0, cancelledFamily.with($0.rawValue)) }
        )
        deviceMemory = registry.gauge(
            "genrec_device_memory_bytes",
            help: "Device memory in use, by use.",
            unit: "bytes",
            labels: ["device", "kind"]
        )
        deviceErrors = registry.counter(
            "genrec_device_errors_total",
            help: "Failures of a device, by code.",
            labels: ["device", "code"]
        )
        deviceReady = registry.gauge(
            "genrec_device_ready",
            help: "1 while the device computes; 0 while it is away, whether a fallback serves in its place or not.",
            labels: ["device"]
        )
        deviceRecoveries = registry.counter(
            "genrec_device_recoveries_total",
            help: "Times that a device was made again after it had failed.",
            labels: ["device"]
        )
        fallbackBatches = registry.counter(
            "genrec_fallback_batches_total",
            help: "Batches that the fallback computed in place of a device.",
            labels: ["device"]
        )
        modelInfo = registry.gauge(
            "genrec_model_info",
            help: "The model that is served; always 1.",
            labels: ["name", "version", "architecture", "device", "dtype"]
        )
        let reloads = registry.counter(
            "genrec_model_reloads_total",
            help: "Attempts to replace the model, by how they ended.",
            labels: ["result"]
        )
        reloadsSucceeded = reloads.with("success")
        reloadsFailed = reloads.with("failure")
        tls = TLSMetrics(registry: registry)
        registry.gauge(
            "genrec_build_info",
            help: "The build of this process; always 1.",
            labels: ["version", "commit"]
        ).with(BuildInfo.version, BuildInfo.commit).set(1)
        ProcessMetrics.register(in: registry)
    }

    /// Counts a reply.
    func replied(_ request: RepliedRequest, nanoseconds: UInt64) {
        let counter = usedRequests.withLock { used in
            if let known = used[request] { return known }
            let counter = requests.with(request.route.label, request.methodName, String(request.status))
            used[request] = counter
            return counter
        }
        counter.increment()
        durations[request.route.number].observe(Double(nanoseconds) / 1e9)
    }

    func count(_ outcome: RecommendOutcome) { outcomes[outcome]?.increment() }
    func count(_ stage: CancellationStage) { cancelled[stage]?.increment() }
    func changeQueueDepth(by difference: Int) { queueDepth.add(difference) }
    func countReload(succeeded: Bool) { (succeeded ? reloadsSucceeded : reloadsFailed).increment() }

    /// - Parameter replaced: the device that a fallback stood in for.
    func batchFinished(_ report: BatchReport, replacing replaced: String?) {
        if let replaced { fallbackBatches.with(replaced).increment() }
        batchSize.observe(Double(report.lengths.count))
        batchTokens.observe(Double(report.lengths.reduce(0, +)))
        for wait in report.queueWaits { queueWait.observe(Double(wait) / 1e9) }
        let total = report.durations.prefill + report.durations.topK
        if report.steps < report.lengths.count { prefill.observe(Double(report.durations.prefill) / 1e9) }
        if report.steps > 0 { decodeStep.observe(Double(total) / 1e9) }
        if report.durations.topK > 0 { topK.observe(Double(report.durations.topK) / 1e9) }
        if report.predictedNanoseconds > 0, report.elapsedNanoseconds > 0 {
            let elapsed = Double(report.elapsedNanoseconds)
            serviceTimeError.observe(abs(Double(report.predictedNanoseconds) - elapsed) / elapsed)
        }
        let device = report.device
        deviceMemory.with(device, "weights").set(report.memory.weightBytes)
        deviceMemory.with(device, "workspace").set(report.memory.workspaceBytes)
        deviceMemory.with(device, "pages").set(report.memory.pageBytes)
    }

    func countDeduplicated() { deduplicated.increment() }

    func computedInVain(nanoseconds: UInt64) { wasted.add(nanoseconds) }

    /// Adds what has changed in one engine's cache.
    func cacheChanged(from old: UserCache.Statistics, to new: UserCache.Statistics) {
        cacheHits.increment(by: Int(new.hits - old.hits))
        cachePartialHits.increment(by: Int(new.partialHits - old.partialHits))
        cacheMisses.increment(by: Int(new.misses - old.misses))
        cacheEvictions.increment(by: Int(new.evictions - old.evictions))
        cacheEntries.add(new.entries - old.entries)
        cacheBytes.add(new.bytes - old.bytes)
    }

    func deviceFailed(_ error: ComputeError, device: String) {
        deviceErrors.with(device, error.code.rawValue).increment()
    }

    func deviceRecovered(_ device: String) { deviceRecoveries.with(device).increment() }

    /// States whether a device computes. The families that name it are there from then on.
    func setReady(_ isReady: Bool, device: String) {
        deviceReady.with(device).set(isReady ? 1 : 0)
        if !isReady {
            // What it had of memory went with it.
            for kind in ["weights", "workspace", "pages"] { deviceMemory.with(device, kind).set(0) }
        }
        _ = deviceRecoveries.with(device)
    }

    /// States which model is served, and no longer states the one before it.
    func modelServed(_ model: ServedModel, replacing previous: ServedModel? = nil) {
        for labels in previous.map({ modelLabels($0) }) ?? [] {
            modelInfo.remove(labels.name, labels.version, labels.architecture, labels.device, labels.dtype)
        }
        for labels in modelLabels(model) {
            modelInfo.with(labels.name, labels.version, labels.architecture, labels.device, labels.dtype).set(1)
        }
    }

    /// The labels of a model on each of its devices.
    private func modelLabels(
        _ model: ServedModel
    ) -> [(name: String, version: String, architecture: String, device: String, dtype: String)] {
        zip(model.devices, model.engines.engines).map { device, engine in
            (
                model.name.name, model.name.version, model.bundle.architecture.name.rawValue, device,
                engine.ownDevice?.dtype.rawValue ?? "unknown"
            )
        }
    }
}

/// Time that adds up, read as seconds.
private final class WastedTime: Sendable {
    private let nanoseconds = Atomic<UInt64>(0)

    func add(_ nanoseconds: UInt64) { self.nanoseconds.wrappingAdd(nanoseconds, ordering: .relaxed) }

    var seconds: Double { Double(nanoseconds.load(ordering: .relaxed)) / 1e9 }
}
