// What a request names: a model, wherever it is computed, with the catalogue as it stands.

package import Catalogue
internal import Synchronization

/// Tells models apart in this process; the same on every device that a model is on.
package struct ModelID: Sendable, Hashable {
    private static let last = Atomic<UInt64>(0)
    private let number: UInt64

    /// An id that no model has had.
    package init() {
        number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue
    }
}

/// A model as requests see it. Immutable: a change of the catalogue makes another value of the same model, and a request keeps
/// the one it began with. The decoder and its weights are on the engines' threads, found by `id`.
package struct LoadedModel: Sendable {
    package let id: ModelID
    package let window: HistoryWindow
    package let catalogue: CatalogueSnapshot

    /// A new model.
    ///
    /// - Parameter window: events of a history that it sees.
    package init(window: HistoryWindow, catalogue: CatalogueSnapshot) {
        id = ModelID()
        self.window = window
        self.catalogue = catalogue
    }

    private init(_ model: LoadedModel, catalogue: CatalogueSnapshot) {
        id = model.id
        window = model.window
        self.catalogue = catalogue
    }

    /// The same model with another state of its catalogue.
    package func with(_ catalogue: CatalogueSnapshot) -> LoadedModel { LoadedModel(self, catalogue: catalogue) }

    /// Whether both are the same model with the same catalogue: equal requests then have equal answers.
    func isSame(as other: LoadedModel) -> Bool { id == other.id && catalogue.isSame(as: other.catalogue) }
}
