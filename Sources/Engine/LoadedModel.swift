// The model that a request names: device-independent, with the current catalogue snapshot.

package import Catalogue
package import Models
internal import Synchronization

/// Identifies a model in this process, on every device that it is on.
package struct ModelID: Sendable, Hashable {
    private static let last = Atomic<UInt64>(0)
    private let number: UInt64

    /// An id that no model has had.
    package init() {
        number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue
    }
}

/// A model as requests see it. Immutable: a change of the catalogue makes another value of the same model, and a
/// request keeps the value it began with. The engines' threads hold the decoder and its weights, found by `id`.
package struct LoadedModel: Sendable {
    package let id: ModelID
    package let window: HistoryWindow
    package let catalogue: CatalogueSnapshot
    /// For items that are paths of tokens; nil: items are rows of the table.
    package let paths: PathCatalogue?

    /// A new model.
    ///
    /// - Parameter window: the events of a history that the model sees.
    package init(window: HistoryWindow, catalogue: CatalogueSnapshot, paths: PathCatalogue? = nil) {
        self.init(ModelID(), window: window, catalogue: catalogue, paths: paths)
    }

    private init(_ id: ModelID, window: HistoryWindow, catalogue: CatalogueSnapshot, paths: PathCatalogue?) {
        self.id = id
        self.window = window
        self.catalogue = catalogue
        self.paths = paths
    }

    /// The model of a bundle.
    ///
    /// - Parameter windowStride: as in `HistoryWindow`, used if the bundle states none.
    package init(_ bundle: ModelBundle, windowStride: Int = 0) {
        self.init(ModelID(), bundle, windowStride: windowStride)
    }

    private init(_ id: ModelID, _ bundle: ModelBundle, windowStride: Int) {
        let paths = PathCatalogue(bundle)
        let stated = paths.map { $0.ids.windowStride } ?? 1
        self.init(
            id,
            window: HistoryWindow(
                length: paths?.ids.maxItems ?? bundle.architecture.configuration.maxSequenceLength,
                stride: stated > 1 ? stated : windowStride
            ),
            catalogue: CatalogueSnapshot(bundle.catalogue, extensibility: bundle.extensibility),
            paths: paths
        )
    }

    /// The same model with another state of its catalogue.
    package func with(_ catalogue: CatalogueSnapshot) -> LoadedModel {
        LoadedModel(id, window: window, catalogue: catalogue, paths: paths)
    }

    /// The same decoder with the items of another bundle. Weights and cached user state stay. Requests that started on
    /// this model keep its items.
    ///
    /// - Parameters:
    ///   - bundle: a bundle for which `mayTakeItems(of:)` of the weights' bundle is true.
    ///   - windowStride: as in `init(_:windowStride:)`.
    package func with(itemsOf bundle: ModelBundle, windowStride: Int = 0) -> LoadedModel {
        LoadedModel(id, bundle, windowStride: windowStride)
    }

    /// The decoder's input for a request: the events within the window or the prompt's tokens; empty without either.
    package func usedHistory(_ request: RecommendationRequest) -> UsedHistory {
        guard let paths else { return UsedHistory(request, window) }
        let tokens: [Int32]
        if let prompt = request.paths.prompt {
            tokens = prompt
        } else if request.history.isEmpty {
            tokens = []
        } else {
            tokens = paths.prompt(request.history[window.start(of: request.history.count)...])
        }
        return UsedHistory(start: 0, items: tokens, timestamps: nil, followingTime: 0)
    }

    /// How a request is answered.
    package func strategy(_ request: RecommendationRequest) -> any Strategy {
        if let paths { PathSearch(request, paths, catalogue) } else { request.strategy(catalogue) }
    }

    /// Whether both are the same model with the same catalogue: equal requests then have equal answers.
    func isSame(as other: LoadedModel) -> Bool { id == other.id && catalogue.isSame(as: other.catalogue) }
}
