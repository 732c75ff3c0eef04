// The engine thread's progress, as a watchdog sees it.

import Dispatch
import Testing

@testable import Engine

@Suite struct EngineProgressTests {
    private func waitForTurn(_ engine: Engine) {
        let before = engine.turns
        engine.poke()
        while engine.turns == before {}
    }

    @Test func idleEngine_TakesTurnsWhenPoked() throws {
        let fixture = try Fixture()
        for _ in 0..<5 { waitForTurn(fixture.engine) }
    }

    @Test func engineInABatch_TakesNone_UntilTheDeviceGoesOn() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("a", fixture.request([1]))
        fixture.control.reachedGate.wait()
        let before = fixture.engine.turns
        for _ in 0..<3 { fixture.engine.poke() }
        #expect(fixture.engine.turns == before)
        fixture.release()
        _ = fixture.wait(for: 1)
        waitForTurn(fixture.engine)
    }
}
