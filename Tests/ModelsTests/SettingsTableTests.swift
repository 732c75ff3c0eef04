// The documentation's settings tables match the declarations.

import Foundation
import Testing

@testable import Models

@Suite struct SettingsTableTests {
    /// The lines in `Bundle.md` for one list of settings.
    private func table<Owner: ArchitectureConfiguration>(_ type: Owner.Type) -> String {
        var lines = ["| key | values | meaning |", "| --- | --- | --- |"]
        for setting in Owner.settings {
            let key = "`\(setting.key)`" + (setting.isOptional ? " (optional)" : "")
            lines.append("| \(key) | \(setting.values) | \(setting.meaning) |")
        }
        return lines.joined(separator: "\n")
    }

    @Test func documentation_HasEverySettingOfEveryDecoder() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let page = try String(contentsOfFile: root + "/Sources/Service/Service.docc/Bundle.md", encoding: .utf8)
        for name in Architecture.Name.allCases {
            let table = table(of: name.configuration)
            #expect(page.contains(table), "Bundle.md lacks the settings of \(name.rawValue):\n\(table)")
        }
    }

    private func table(of configuration: some ArchitectureConfiguration) -> String { table(type(of: configuration)) }
}
