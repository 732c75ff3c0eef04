// Gives the codec the items of the model that a call names.

internal import Catalogue
internal import Engine

/// The models of a body's calls.
struct FleetSource: ItemSource {
    private let fleet: Fleet
    /// Stands for the user in calls that name none.
    private let requestID: String
    let hasChoice: Bool
    /// The model of the call that was read last.
    private(set) var model: ServedModel
    /// The model of each call of a batch read so far.
    private(set) var models: [ServedModel] = []

    init(_ fleet: Fleet, requestID: String) throws(FleetError) {
        self.fleet = fleet
        self.requestID = requestID
        let front = fleet.front
        hasChoice = front.hasChoice
        guard let main = front.main else { throw FleetError(.unavailable, Fleet.gap) }
        model = main
    }

    var items: CatalogueSnapshot { model.model.catalogue }

    mutating func choose(_ target: CallTarget) throws(CallError) {
        guard target.model != nil || target.version == nil else {
            throw CallError(.unusable, "version requires model")
        }
        // A call read with one model is answered by it, regardless of later changes.
        if !hasChoice, [nil, model.name.name].contains(target.model),
            [nil, model.name.version].contains(target.version)
        {
            return
        }
        do throws(FleetError) {
            let chosen = try fleet.model(target.model, target.version, user: target.userID ?? requestID)
            guard hasChoice || chosen.isSame(as: model) else {
                throw FleetError(.unknown, "the models have changed; retry")
            }
            // The chosen model may have newer catalogue changes; keep the snapshot with which the call was read.
            if hasChoice { model = chosen }
        } catch {
            throw CallError(error)
        }
    }

    mutating func endCall() { models.append(model) }
}

extension CallError {
    /// The error for a call whose model is not available.
    init(_ error: FleetError) { self.init(error.code == .unavailable ? .unavailable : .unknownModel, error.message) }
}
