// Catalogue changes, by model name. All versions of a name share them.

internal import Catalogue
internal import Engine
internal import Journal
internal import Locking
internal import Logging
internal import Models

/// The folder `state.directory`, for changes made over HTTP. One process owns it.
final class StateFolder: Sendable {
    let directory: String
    private let lock: FolderLock

    /// Creates the folder if it is missing.
    init(_ directory: String) throws(ConfigurationError) {
        self.directory = directory
        do throws(JournalError) {
            lock = try JournalFolder(directory, magic: [], contents: "server").lock()
        } catch {
            throw ConfigurationError(description: error.description)
        }
    }
}

/// The changes of all catalogues.
final class CatalogueStores: Sendable {
    private let folder: StateFolder?
    private let maxAdded: Int
    private let logger: Logger?
    private let stores = Lock<[String: CatalogueStore]>([:])

    /// - Parameters:
    ///   - folder: nil: nothing is saved.
    ///   - maxAdded: the most items that may be added to a model.
    init(folder: StateFolder? = nil, maxAdded: Int = 100_000, logger: Logger? = nil) {
        self.folder = folder
        self.maxAdded = maxAdded
        self.logger = logger
    }

    /// The changes of a name, read from the disk on first use.
    func store(of name: String) throws(FleetError) -> CatalogueStore {
        do throws(CatalogueStoreError) {
            return try stores.withLock { stores throws(CatalogueStoreError) in
                if let store = stores[name] { return store }
                let store = try CatalogueStore(
                    directory: folder.map { "\($0.directory)/catalogue/\(Self.fileName(name))" },
                    maxAdded: maxAdded,
                    reportFailure: { [logger] sentence in
                        logger?.error("the store of catalogue changes failed", metadata: ["error": "\(sentence)"])
                    }
                )
                if store.cutBytes > 0 {
                    logger?.warning(
                        "the catalogue journal ended in an incomplete record, which was cut off",
                        metadata: ["model.name": "\(name)", "catalogue.cut_bytes": "\(store.cutBytes)"]
                    )
                }
                stores[name] = store
                return store
            }
        } catch {
            throw FleetError(.unavailable, error.description)
        }
    }

    /// A model with its current catalogue changes. Takes time in proportion to the number of changes.
    func current(_ model: ServedModel) throws(FleetError) -> ServedModel {
        let store = try store(of: model.name.name)
        return model.with(store.snapshot(of: model.model.catalogue))
    }

    /// Passes `publish` the model with all changes so far. Later changes apply to it as well.
    func admit(_ model: ServedModel, _ publish: (ServedModel) -> Void) {
        guard let store = stores.withLock({ $0[model.name.name] }) else { return publish(model) }
        store.admit(model.model.catalogue) { publish(model.with($0)) }
    }

    /// Changes the catalogue of all served versions of a name.
    func change(_ name: String, _ changes: [CatalogueChange], in fleet: Fleet) throws(FleetError) -> ChangeOutcome {
        _ = try fleet.main(of: name)
        let store = try store(of: name)
        var models: [ServedModel] = []
        do throws(CatalogueStoreError) {
            return try store.apply(
                changes,
                current: {
                    models = fleet.models(of: name)
                    return models.map(\.model.catalogue)
                },
                publish: { catalogues in fleet.publish(zip(models, catalogues).map { $0.with($1) }) }
            )
        } catch {
            let code: FleetError.Code =
                switch error.cause {
                case .full: .full
                case .unusable: .unusable
                case .unwritable: .unavailable
                }
            throw FleetError(code, error.description)
        }
    }

    /// The folder name for a model.
    static func fileName(_ name: String) -> String {
        var text = ""
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                text += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
        return text
    }
}
