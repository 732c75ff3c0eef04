// The emulator is only useful if it is strict: each of its checks breaks one rule of the interface, in its own process,
// and sees the stated error.

import AscendEmulatorSupport
import Foundation
import Testing

struct EmulatorTests {
    @Test(arguments: try Emulator.checks())
    func check_SeesTheStatedError(_ name: String) throws {
        let folder = try Emulator.folder.get()
        let output = try Emulator.run(folder.appendingPathComponent("checks").path, [folder.path, name])
        #expect(output.status == 0, "\(output.text)")
    }

    /// With an empty list the test above would pass without testing anything.
    @Test
    func checks_AreMany() throws {
        #expect(try Emulator.checks().count >= 75)
    }
}
