// The members of a fleet while models are added and removed. Nothing is computed.

import Compute
import Engine
import Foundation
import Models
import Testing

@testable import Service

private final class SilentObserver: EngineObserver {
    func batchFinished(_ report: BatchReport) {}
    func deviceFailed(_ error: ComputeError, device: String) {}
    func deviceRecovered(_ device: String) {}
    func cancelled(at stage: CancellationStage) {}
    func deduplicated(_ model: ModelID) {}
    func computedInVain(nanoseconds: UInt64) {}
    func cachesChanged(to statistics: [ModelID: UserCache.Statistics]) {}
    func queueDepthChanged(to depth: Int) {}
    func phaseChanged(to phase: EnginePhase) {}
}

@Suite struct FleetMembersTests {
    private static let demo = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Config/demo").path

    /// A fleet of the demo bundle, demo:1.
    private func makeFleet() throws -> (fleet: Fleet, model: ServedModel) {
        let bundle = try ModelBundle.load(directory: Self.demo)
        let engines = EngineGroup([Engine(SchedulerConfiguration(), observer: SilentObserver())])
        let model = ServedModel(
            bundle: bundle,
            model: LoadedModel(bundle, windowStride: 0),
            engines: engines,
            devices: ["cpu"]
        )
        let origin = ModelOrigin(Self.demo)
        let member = Fleet.Member(name: "demo", version: "1", origin: origin, model: model)
        return (Fleet(engines, [member]), model)
    }

    private func member(_ version: String, name: String = "demo") -> Fleet.Member {
        Fleet.Member(name: name, version: version, origin: ModelOrigin("bundles/\(version)"), isAdded: true)
    }

    private func members(_ fleet: Fleet) -> [String] {
        fleet.standings.filter { !$0.isRetiring }.map { standing in
            let state = standing.member.failure ?? (standing.member.model == nil ? "loading" : "ready")
            return "\(standing.member.name):\(standing.member.version) \(state) \(Int(standing.share))"
        }
    }

    private func code(_ body: () throws -> Void) -> FleetError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? FleetError)?.code
        }
    }

    /// Vacating a place checks and returns its model in one step, because the model may have been removed and announced
    /// again before.
    @Test func onlyAModelThatIsThere_GivesItsPlaceAway() throws {
        let (fleet, _) = try makeFleet()
        try fleet.announce("demo", "2", ModelOrigin("bundles/2"))
        let before = members(fleet)
        #expect(before == ["demo:1 ready 100", "demo:2 loading 0"])
        #expect(code { _ = try fleet.vacate("demo", "2", for: member("3")) } == .unknown)
        #expect(members(fleet) == before)
        fleet.failed("demo", "2", "broken")
        #expect(code { _ = try fleet.vacate("demo", "2", for: member("3")) } == .unknown)
        #expect(code { _ = try fleet.vacate("demo", "1", for: member("2")) } == .conflict)
        #expect(members(fleet) == ["demo:1 ready 100", "demo:2 broken 0"])
    }

    @Test func aPlace_IsGivenAwayAndBack() throws {
        let (fleet, model) = try makeFleet()
        let gone = try fleet.vacate("demo", "1", for: member("2"))
        #expect(gone.model.isSame(as: model) && gone.member.model == nil && !gone.member.isAdded)
        #expect(members(fleet) == ["demo:2 loading 100"])
        #expect(code { _ = try fleet.main(of: nil) } == .unavailable)
        #expect(code { _ = try fleet.model(user: "u") } == .unavailable)
        // The replacement cannot be removed while it is loading.
        #expect(code { try fleet.remove("demo", "2") } == .conflict)
        #expect(members(fleet) == ["demo:2 loading 100"])
    }

    @Test func afterAFailure_ThePlaceIsGivenBack_AlsoWhereItWasTakenAwayMeanwhile() throws {
        let (fleet, model) = try makeFleet()
        let gone = try fleet.vacate("demo", "1", for: member("2"))
        fleet.failed("demo", "2", "broken")
        try fleet.giveBack("demo", "2", to: gone.member)
        #expect(members(fleet) == ["demo:1 loading 100"])
        fleet.loaded(model)
        #expect(members(fleet) == ["demo:1 ready 100"] && fleet.front.main?.isSame(as: model) == true)
        #expect(fleet.changes.models.isEmpty)
        // A model without a share can be removed before its place is given back.
        try fleet.giveBack("demo", "9", to: member("5"))
        #expect(members(fleet) == ["demo:1 ready 100", "demo:5 loading 0"])
    }

    /// The saved state names the original model of a place, across several replacements.
    @Test func replacements_AreKeptWithWhatTheyReplace() throws {
        let (fleet, model) = try makeFleet()
        _ = try fleet.vacate("demo", "1", for: member("1"))
        fleet.loaded(model)
        let original = FleetState.Replaced(directory: Self.demo, name: "demo", version: "1")
        #expect(fleet.changes.models == [FleetState.Model(directory: "bundles/1", replaced: original)])
        _ = try fleet.vacate(
            "demo",
            "1",
            for: Fleet.Member(name: "demo", version: "1", origin: ModelOrigin("b"), isAdded: true)
        )
        fleet.loaded(model)
        #expect(fleet.changes.models == [FleetState.Model(directory: "b", replaced: original)])
        #expect(try FleetState(fleet.changes.json) == fleet.changes)
        #expect(fleet.changes.routing.keys.sorted() == ["demo"])
    }

    /// A split belongs to one name: a model of another name cannot have a share of it.
    @Test func aShareBesideOthers_IsNotGivenToAnotherName() throws {
        let (fleet, model) = try makeFleet()
        try fleet.announce("demo", "2", ModelOrigin("bundles/2"))
        #expect(code { _ = try fleet.vacate("demo", "1", for: member("1", name: "books")) } == .conflict)
        #expect(fleet.front.main?.isSame(as: model) == true)
        fleet.failed("demo", "2", "broken")
        try fleet.remove("demo", "2")
        _ = try fleet.vacate("demo", "1", for: member("1", name: "books"))
        #expect(members(fleet) == ["books:1 loading 100"])
    }

    @Test func takingAModelAway_SaysWhatItWas() throws {
        let (fleet, model) = try makeFleet()
        try fleet.announce("demo", "2", ModelOrigin("bundles/2"))
        #expect(code { try fleet.remove("demo", "2") } == .conflict)
        fleet.failed("demo", "2", "broken")
        #expect(try fleet.remove("demo", "2") == nil)
        #expect(code { try fleet.remove("demo", "1") } == .conflict)
        #expect(fleet.front.main?.isSame(as: model) == true)
    }
}
