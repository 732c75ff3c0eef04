// The models that a server has, by name and version, and the choice of one for each request.

internal import Catalogue
internal import Engine
internal import Locking
internal import Synchronization

/// Why an operation was refused. The fleet is unchanged.
struct FleetError: Error, Equatable {
    enum Code: Sendable {
        /// No model of that name or version is served.
        case unknown
        /// Another operation is in progress, or prevents this one.
        case conflict
        /// The request, or a file that it names, cannot be used.
        case unusable
        /// The devices refused the model, or the server is stopping.
        case unavailable
        /// The disk has no room for the changes.
        case full
    }

    let code: Code
    /// One sentence.
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    static func == (left: FleetError, right: FleetError) -> Bool { left.code == right.code }
}

/// The models of a server. Every change is one step: a request sees the fleet before it or after it.
final class Fleet: Sendable {
    /// A model that is served, loading, or failed to load.
    struct Member: Sendable {
        let name: String
        let version: String
        let origin: ModelOrigin
        /// Whether it was added over HTTP: the configuration file does not name it.
        var isAdded = false
        /// The model of the configuration file that it replaces.
        var replaced: FleetState.Replaced?
        /// nil while it is loading or if loading failed.
        var model: ServedModel?
        /// Why loading failed.
        var failure: String?
    }

    typealias Routing = FleetSettings.Routing

    private struct State {
        /// In order of arrival.
        var members: [Member]
        var routing: [String: Routing]
        /// The routing before the last change.
        var previous: [String: Routing] = [:]
        /// The routing in the configuration file.
        let configured: [String: Routing]
        /// Names whose routing has been changed.
        var changed: Set<String> = []
        var defaultName: String
        /// Removed models that still have requests to answer.
        var retiring: [Retiring] = []
        /// Derived from the rest and stored, since every request needs it.
        var front = Front()

        mutating func settle() {
            let served = members.compactMap(\.model)
            front = Front(main: main(of: defaultName), hasChoice: served.count > 1)
        }

        /// The version of a model with the largest share.
        func main(of name: String) -> ServedModel? {
            let split = routing[name]?.split
            return members.compactMap { $0.name == name ? $0.model : nil }
                .max { split?.percent($0.name.version) ?? 0 < split?.percent($1.name.version) ?? 0 }
        }

        func index(_ name: String, _ version: String) -> Int? {
            members.firstIndex { $0.name == name && $0.version == version }
        }

        /// Replaces a member by another, which takes over its share, its shadow and its role as the default.
        mutating func put(_ next: Member, at place: Int) -> FleetError? {
            let (name, version) = (next.name, next.version)
            if let other = index(name, version), other != place {
                return FleetError(.conflict, "version '\(version)' of the model '\(name)' already exists")
            }
            let old = members[place]
            let others = members.filter { $0.name == old.name }.count - 1
            if old.name != name, others > 0, (routing[old.name]?.split.percent(old.version) ?? 0) > 0 {
                return FleetError(
                    .conflict,
                    "version '\(old.version)' of the model '\(old.name)' has a share of its requests, which '\(name)' cannot take over"
                )
            }
            members[place] = next
            if let model = old.model {
                retiring.append(Retiring(name: old.name, version: old.version, model: model.residence))
            }
            if old.name == name, var routing = routing[name] {
                routing.split = routing.split.replacing(old.version, by: version)
                routing.shadow = routing.shadow.map {
                    $0.version == old.version ? TrafficSplit.Share(version, $0.percent) : $0
                }
                if routing != self.routing[name] { changed.insert(name) }
                self.routing[name] = routing
                return nil
            }
            if routing[name] == nil { routing[name] = Routing(split: TrafficSplit(all: version)) }
            routing[old.name]?.shadow.removeAll { $0.version == old.version }
            if others == 0 {
                routing[old.name] = nil
                previous[old.name] = nil
                if defaultName == old.name { defaultName = name }
            }
            return nil
        }
    }

    /// The part of the state that reading a request needs.
    struct Front: Sendable {
        /// The version of the default model with the largest share.
        var main: ServedModel?
        /// Whether a request could go to one of several models.
        var hasChoice = false
    }

    private struct Retiring {
        let name: String
        let version: String
        weak var model: ServedModel.Residence?
    }

    let engines: EngineGroup
    /// The changes to the models' catalogues.
    let catalogues: CatalogueStores
    private let state: Lock<State>
    /// Lets requests skip the lock: hardly any server has a shadow.
    private let isShadowed = Atomic<Bool>(false)

    /// - Parameters:
    ///   - engines: one per device.
    ///   - members: at least one. Without a routing, the first version of a name gets all its requests.
    ///   - configured: the routing in the configuration file.
    ///   - defaultName: nil: the first member's name.
    ///   - changes: changes made over HTTP before the process started.
    ///   - catalogues: the changes to the models' catalogues, which the members already include.
    init(
        _ engines: EngineGroup,
        _ members: [Member],
        configured: [String: Routing] = [:],
        defaultName: String? = nil,
        changes: FleetState = FleetState(),
        catalogues: CatalogueStores = CatalogueStores()
    ) {
        precondition(!members.isEmpty, "a fleet has a model")
        self.engines = engines
        self.catalogues = catalogues
        var state = State(
            members: members,
            routing: configured,
            configured: configured,
            defaultName: defaultName ?? members[0].name
        )
        for member in members where state.routing[member.name] == nil && member.model != nil {
            state.routing[member.name] = Routing(split: TrafficSplit(all: member.version))
        }
        for (name, entry) in changes.routing
        where entry.configured == configured[name] && Self.fault(entry.routing, name, state) == nil {
            state.routing[name] = entry.routing
            state.previous[name] = entry.previous
            state.changed.insert(name)
        }
        self.state = Lock(state)
        change { _ in }
    }

    /// The changes made over HTTP.
    var changes: FleetState {
        state.withLock { state in
            let added = state.members.filter { $0.isAdded && $0.model != nil }
            var changes = FleetState(
                models: added.map { FleetState.Model(directory: $0.origin.directory, replaced: $0.replaced) }
            )
            for name in state.changed {
                guard let routing = state.routing[name] else { continue }
                changes.routing[name] = FleetState.Entry(
                    routing: routing,
                    previous: state.previous[name],
                    configured: state.configured[name]
                )
            }
            return changes
        }
    }

    // MARK: - Requests

    /// The model that answers a request.
    ///
    /// - Parameters:
    ///   - name: nil: the default model.
    ///   - version: nil: chosen by the split.
    ///   - user: the user's id, or the request's if none is given.
    func model(_ name: String? = nil, _ version: String? = nil, user: String) throws(FleetError) -> ServedModel {
        let found: Result<ServedModel, FleetError> = state.withLock { state in
            let wanted = name ?? state.defaultName
            guard let routing = state.routing[wanted] else { return .failure(Self.unknown("model '\(wanted)'", state)) }
            let chosen = version ?? routing.split.version(for: user, of: wanted) ?? ""
            if let index = state.index(wanted, chosen), let model = state.members[index].model {
                return .success(model)
            }
            // A version with a share had a model before.
            let isGap = routing.split.percent(chosen) > 0
            let unknown = Self.unknown("version '\(chosen)' of the model '\(wanted)'", state)
            return .failure(isGap ? FleetError(.unavailable, Self.gap) : unknown)
        }
        return try found.get()
    }

    /// The error sentence for a model that has a share of the requests but is not loaded.
    static let gap = "the model is being loaded to replace another; retry"

    private static func unknown(_ what: String, _ state: State) -> FleetError {
        let names = state.routing.keys.sorted().map { name in
            let versions = state.members.filter { $0.name == name && $0.model != nil }.map(\.version)
            return "\(name) (\(versions.joined(separator: ", ")))"
        }
        return FleetError(.unknown, "there is no \(what); the served models are \(names.joined(separator: ", "))")
    }

    /// The version of a model with the largest share.
    ///
    /// - Parameter name: nil: the default model.
    func main(of name: String?) throws(FleetError) -> ServedModel {
        let found: Result<ServedModel, FleetError> = state.withLock { state in
            let name = name ?? state.defaultName
            if let model = state.main(of: name) { return .success(model) }
            let unknown = Self.unknown("model '\(name)'", state)
            return .failure(state.routing[name] == nil ? unknown : FleetError(.unavailable, Self.gap))
        }
        return try found.get()
    }

    var front: Front { state.withLock { $0.front } }

    /// The items of the default model, for routes that concern no particular model.
    var defaultItems: CatalogueSnapshot? { front.main?.model.catalogue }

    /// Whether some model has a shadow.
    var hasShadows: Bool { isShadowed.load(ordering: .relaxed) }

    // MARK: - Standings

    /// A member as operators see it.
    struct Standing: Sendable {
        var member: Member
        var share: Double
        var shadow: Double
        /// Whether it has been removed but still has requests to answer.
        var isRetiring = false
    }

    var standings: [Standing] {
        state.withLock { state in
            state.retiring.removeAll { $0.model == nil }
            let members = state.members.map { member in
                let routing = state.routing[member.name]
                let shadow = routing?.shadow.first { $0.version == member.version }
                return Standing(
                    member: member,
                    share: routing?.split.percent(member.version) ?? 0,
                    shadow: shadow?.percent ?? 0
                )
            }
            let retiring = state.retiring.compactMap { gone in
                gone.model.map { model in
                    Standing(
                        member: Member(
                            name: gone.name,
                            version: gone.version,
                            origin: ModelOrigin(""),
                            model: model.served
                        ),
                        share: 0,
                        shadow: 0,
                        isRetiring: true
                    )
                }
            }
            return members + retiring
        }
    }

    func routing(of name: String) throws(FleetError) -> Routing {
        let found: Result<Routing, FleetError> = state.withLock { state in
            guard let routing = state.routing[name] else { return .failure(Self.unknown("model '\(name)'", state)) }
            return .success(routing)
        }
        return try found.get()
    }

    // MARK: - Changes

    /// Changes the fleet in one step.
    private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in
            let result = body(&state)
            state.settle()
            isShadowed.store(state.routing.values.contains { !$0.shadow.isEmpty }, ordering: .relaxed)
            return result
        }
    }

    /// Adds a member whose model is about to be loaded.
    func announce(_ name: String, _ version: String, _ origin: ModelOrigin) throws(FleetError) {
        let refusal: FleetError? = change { state in
            if let index = state.index(name, version) {
                guard state.members[index].failure != nil else {
                    return FleetError(.conflict, "version '\(version)' of the model '\(name)' already exists")
                }
                state.members.remove(at: index)
            }
            state.members.append(Member(name: name, version: version, origin: origin, isAdded: true))
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Adds the loaded model of an announced member. The first version of a name gets all its requests.
    func loaded(_ model: ServedModel) {
        let (name, version) = (model.name.name, model.name.version)
        catalogues.admit(model) { model in
            change { state in
                guard let index = state.index(name, version) else { return }
                state.members[index].model = model
                if state.routing[name] == nil { state.routing[name] = Routing(split: TrafficSplit(all: version)) }
            }
        }
    }

    /// The served models of a name.
    func models(of name: String) -> [ServedModel] {
        state.withLock { state in state.members.compactMap { $0.name == name ? $0.model : nil } }
    }

    /// Replaces the catalogue snapshots of models.
    func publish(_ models: [ServedModel]) {
        change { state in
            for model in models {
                let index = state.members.firstIndex { $0.model?.isSame(as: model) ?? false }
                // The model may have been removed in the meantime.
                if let index { state.members[index].model = model }
            }
        }
    }

    /// Records why the model of an announced member could not be loaded.
    func failed(_ name: String, _ version: String, _ reason: String) {
        change { state in
            if let index = state.index(name, version) { state.members[index].failure = reason }
        }
    }

    /// Replaces a model by another, which takes over its share, its shadow and its role as the default.
    func replace(_ old: ServedModel, by next: ServedModel) throws(FleetError) {
        var refusal: FleetError?
        catalogues.admit(next) { next in refusal = exchange(old, next) }
        if let refusal { throw refusal }
    }

    private func exchange(_ old: ServedModel, _ next: ServedModel) -> FleetError? {
        let (name, version) = (next.name.name, next.name.version)
        return change { state in
            guard let index = state.members.firstIndex(where: { $0.model?.isSame(as: old) ?? false }) else {
                return FleetError(.conflict, "the model was removed in the meantime")
            }
            let before = state.members[index]
            let member = Member(
                name: name,
                version: version,
                origin: before.origin,
                isAdded: before.isAdded,
                replaced: before.replaced,
                model: next
            )
            return state.put(member, at: index)
        }
    }

    /// A removed model.
    struct Vacated {
        /// Its member, without the model.
        let member: Member
        /// Exists until the last holder releases it.
        let model: ServedModel
    }

    /// Removes a model and gives its place and share to one yet to be loaded. Until then, requests for it are refused.
    func vacate(_ name: String, _ version: String, for next: Member) throws(FleetError) -> Vacated {
        let gone: Result<Vacated, FleetError> = change { state in
            guard let index = state.index(name, version), let model = state.members[index].model else {
                return .failure(Self.unknown("version '\(version)' of the model '\(name)'", state))
            }
            var member = state.members[index]
            member.model = nil
            var next = next
            next.replaced =
                member.isAdded
                ? member.replaced
                : FleetState.Replaced(directory: member.origin.directory, name: name, version: version)
            if let refusal = state.put(next, at: index) { return .failure(refusal) }
            // The file's split names the replaced model.
            if state.routing[name] != nil { state.changed.insert(name) }
            return .success(Vacated(member: member, model: model))
        }
        return try gone.get()
    }

    /// Gives a removed model its place back after its replacement failed to load. The caller then reloads it.
    func giveBack(_ name: String, _ version: String, to member: Member) throws(FleetError) {
        let refusal: FleetError? = change { state in
            if let index = state.index(name, version), state.members[index].failure != nil {
                return state.put(member, at: index)
            }
            // The failed member had no share and has been removed in the meantime.
            guard state.index(member.name, member.version) == nil else {
                return FleetError(
                    .conflict,
                    "version '\(member.version)' of the model '\(member.name)' already exists"
                )
            }
            state.members.append(member)
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Replaces the split and the shadow of a name.
    func setRouting(_ name: String, _ routing: Routing) throws(FleetError) {
        let refusal: FleetError? = change { state in
            guard let before = state.routing[name] else { return Self.unknown("model '\(name)'", state) }
            if let fault = Self.fault(routing, name, state) { return fault }
            state.previous[name] = before
            state.routing[name] = routing
            state.changed.insert(name)
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Undoes the last change of a model's split. Calling it twice restores that change.
    func rollBack(_ name: String) throws(FleetError) {
        let refusal: FleetError? = change { state in
            guard let current = state.routing[name] else { return Self.unknown("model '\(name)'", state) }
            guard let before = state.previous[name] else {
                return FleetError(.conflict, "the split of the model '\(name)' has not been changed")
            }
            if let fault = Self.fault(before, name, state) { return fault }
            state.previous[name] = current
            state.routing[name] = before
            state.changed.insert(name)
            return nil
        }
        if let refusal { throw refusal }
    }

    private static func fault(_ routing: Routing, _ name: String, _ state: State) -> FleetError? {
        for share in routing.split.shares + routing.shadow {
            guard let index = state.index(name, share.version), state.members[index].model != nil else {
                return FleetError(.conflict, "version '\(share.version)' of the model '\(name)' is not ready")
            }
        }
        return nil
    }

    /// Removes a model.
    ///
    /// - Returns: the model; nil if its loading had failed.
    @discardableResult
    func remove(_ name: String, _ version: String) throws(FleetError) -> ServedModel? {
        let removed: Result<ServedModel?, FleetError> = change { state in
            guard let index = state.index(name, version) else {
                return .failure(Self.unknown("version '\(version)' of the model '\(name)'", state))
            }
            if (state.routing[name]?.split.percent(version) ?? 0) > 0 {
                return .failure(
                    FleetError(.conflict, "version '\(version)' of the model '\(name)' has a share of its requests")
                )
            }
            if state.members[index].model == nil, state.members[index].failure == nil {
                return .failure(FleetError(.conflict, "version '\(version)' of the model '\(name)' is being loaded"))
            }
            let member = state.members.remove(at: index)
            state.routing[name]?.shadow.removeAll { $0.version == version }
            if let before = state.previous[name], before.split.percent(version) > 0 { state.previous[name] = nil }
            if let model = member.model {
                state.retiring.append(Retiring(name: name, version: version, model: model.residence))
            }
            return .success(member.model)
        }
        return try removed.get()
    }

    /// The models that also compute a user's requests without answering them.
    func shadows(of model: ServedModel, user: String) -> [ServedModel] {
        state.withLock { state in
            let name = model.name.name
            return (state.routing[name]?.shadow ?? []).compactMap { share in
                guard share.version != model.name.version,
                    TrafficSplit.includes(user, of: name, version: share.version, percent: share.percent),
                    let index = state.index(name, share.version)
                else { return nil }
                return state.members[index].model
            }
        }
    }

    /// The served member whose directory is watched.
    func watchedMember(of directory: String) -> Member? {
        state.withLock { state in
            state.members.first { $0.origin.isWatched && $0.origin.directory == directory && $0.model != nil }
        }
    }

    /// Where a model was loaded from.
    func origin(of model: ServedModel) -> ModelOrigin? {
        state.withLock { state in state.members.first { $0.model?.isSame(as: model) ?? false }?.origin }
    }

    /// Why no request would be served; empty if requests are served.
    var unreadiness: [String] {
        if case .ready = engines.phase { return front.main == nil ? [Self.gap] : [] }
        var reasons: [String] = []
        for phase in engines.engines.map(\.phase) {
            // A ready engine waits for the others.
            if case .ready = phase { continue }
            if !reasons.contains(phase.reason) { reasons.append(phase.reason) }
        }
        return reasons
    }
}
