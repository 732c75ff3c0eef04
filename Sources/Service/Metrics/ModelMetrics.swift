// Metrics of the served models, and of attempts to replace them.

internal import Catalogue
internal import Compute
internal import Engine
internal import Models
internal import Telemetry

/// The instruments of the served models.
final class ModelMetrics: Sendable {
    private let info: GaugeFamily
    private let trieBytes: GaugeFamily
    private let trieBuild: GaugeFamily
    private let reloads: [ReloadResult: Counter]

    private enum ReloadResult: String, CaseIterable {
        case success
        case failure
    }

    init(_ registry: MetricRegistry) {
        info = registry.gauge(
            "genrec_model_info",
            help: "The model that is served; always 1.",
            labels: ["name", "version", "architecture", "device", "dtype"]
        )
        trieBytes = registry.gauge(
            "genrec_path_trie_bytes",
            help: "Bytes of the trie of a model's semantic ids.",
            labels: ModelLabels.names
        )
        trieBuild = registry.gauge(
            "genrec_path_trie_build_seconds",
            help: "Time to build the trie of a model's semantic ids.",
            unit: "seconds",
            labels: ModelLabels.names
        )
        reloads = registry.counter(
            "genrec_model_reloads_total",
            help: "Attempts to replace the model, by outcome.",
            labels: ["result"]
        ).all(ReloadResult.self)
    }

    func countReload(succeeded: Bool) { reloads[succeeded ? .success : .failure]?.increment() }

    /// Adds the series of a served model and removes those of its predecessor.
    func served(_ model: ServedModel, replacing previous: ServedModel? = nil) {
        if let previous { removed(previous) }
        if let paths = model.model.paths {
            trieBytes.with(model.name.name, model.name.version).set(paths.trie.byteCount)
            let seconds = Double(paths.buildNanoseconds) / 1e9
            trieBuild.observe(model.name.name, model.name.version) { seconds }
        }
        for labels in Self.labels(model) {
            info.with(labels.name, labels.version, labels.architecture, labels.device, labels.dtype).set(1)
        }
    }

    /// Removes the series of a model that is no longer served.
    func removed(_ model: ServedModel) {
        for family in [trieBytes, trieBuild] { family.remove(model.name.name, model.name.version) }
        for labels in Self.labels(model) {
            info.remove(labels.name, labels.version, labels.architecture, labels.device, labels.dtype)
        }
    }

    /// The labels of a model on each of its devices.
    private static func labels(
        _ model: ServedModel
    ) -> [(name: String, version: String, architecture: String, device: String, dtype: String)] {
        zip(model.devices, model.engines.engines).map { device, engine in
            (
                model.name.name, model.name.version, model.bundle.architecture.name.rawValue, device,
                (engine.device(of: model.model.id) ?? engine.ownDevice)?.dtype.rawValue ?? "unknown"
            )
        }
    }
}
