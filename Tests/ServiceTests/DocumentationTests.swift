// Links in pages lead to existing files: a walk through the sources is useless with broken links.

import Foundation
import Testing

@Suite struct DocumentationTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Every page of the project, without those of dependencies and build products.
    private static func pages() throws -> [URL] {
        var pages = [root.appendingPathComponent("README.md")]
        for folder in [".github", "Sources", "Deploy", "Tests"] {
            let top = root.appendingPathComponent(folder)
            for path in FileManager.default.enumerator(atPath: top.path)?.compactMap({ $0 as? String }) ?? []
            where path.hasSuffix(".md") { pages.append(top.appendingPathComponent(path)) }
        }
        return pages
    }

    @Test func relativeLinks_LeadToFiles() throws {
        let pages = try Self.pages()
        #expect(pages.count > 20)
        for page in pages {
            let text = try String(contentsOf: page, encoding: .utf8)
            for match in text.matches(of: #/\]\(([^)#\s]+)(?:#[^)]*)?\)/#) {
                let link = String(match.1)
                if link.contains("://") || link.hasPrefix("mailto:") { continue }
                let target = page.deletingLastPathComponent().appendingPathComponent(link).standardizedFileURL
                #expect(FileManager.default.fileExists(atPath: target.path), "\(page.path): \(link)")
            }
        }
    }

    /// A reader does not find a decision record that the list lacks.
    @Test func everyDecisionRecord_IsListed() throws {
        let pages = Self.root.appendingPathComponent("Sources/Service/Service.docc")
        let list = try String(contentsOf: pages.appendingPathComponent("Service.md"), encoding: .utf8)
        for name in try FileManager.default.contentsOfDirectory(atPath: pages.path + "/Decisions") {
            #expect(list.contains("<doc:\(name.dropLast(3))>"), "\(name)")
        }
    }
}
