// The version is defined in one place; the changelog starts with it.

import Foundation
import Service
import Testing

@Suite struct BuildInfoTests {
    @Test func newestEntryOfTheChangelog_IsThisVersion() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = root.appendingPathComponent("Sources/Service/Service.docc/Changelog.md")
        let entries = try String(contentsOf: page, encoding: .utf8).split(separator: "\n").filter {
            $0.hasPrefix("## ")
        }
        let newest = try #require(entries.first)
        #expect(newest.dropFirst(3).prefix { $0 != "," } == BuildInfo.version)
    }
}
