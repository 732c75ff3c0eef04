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

    /// A link whose text is a name in the code leads to a file with it: a renamed function is noticed.
    @Test func namesInLinks_AreInTheirFiles() throws {
        var count = 0
        for page in try Self.pages() {
            let text = try String(contentsOf: page, encoding: .utf8)
            for match in text.matches(of: #/\[`(\w+(?:\.\w+)?)`\]\(([^)#\s]+\.swift)\)/#)
            where !match.1.hasSuffix(".swift") {
                let target = page.deletingLastPathComponent().appendingPathComponent(String(match.2))
                let code = try String(contentsOf: target.standardizedFileURL, encoding: .utf8)
                let isThere = match.1.split(separator: ".").allSatisfy { code.contains($0) }
                #expect(isThere, "\(page.lastPathComponent): \(match.1) is not in \(match.2)")
                count += 1
            }
        }
        #expect(count > 30)
    }

    /// A decision record that the list lacks would not be found.
    @Test func everyDecisionRecord_IsListed() throws {
        let pages = Self.root.appendingPathComponent("Sources/Service/Service.docc")
        let list = try String(contentsOf: pages.appendingPathComponent("Service.md"), encoding: .utf8)
        for name in try FileManager.default.contentsOfDirectory(atPath: pages.path + "/Decisions") {
            #expect(list.contains("<doc:\(name.dropLast(3))>"), "\(name)")
        }
    }

    /// Every metric that the code names is on the page Operations, whose table abbreviates several as
    /// `genrec_shadow_{requests,dropped}_total`.
    @Test func everyMetric_IsOnThePageOfOperations() throws {
        let sources = Self.root.appendingPathComponent("Sources")
        let page = try String(
            contentsOf: sources.appendingPathComponent("Service/Service.docc/Operations.md"),
            encoding: .utf8
        )
        var known = Set(page.matches(of: #/genrec_[a-z0-9_]+/#).map { String($0.output) })
        for group in page.matches(of: #/(genrec_[a-z_]+)\{([a-z_,]+)\}([a-z_]*)/#) {
            known.formUnion(group.2.split(separator: ",").map { "\(group.1)\($0)\(group.3)" })
        }
        var named: Set<String> = []
        for case let path as String in FileManager.default.enumerator(atPath: sources.path) ?? .init()
        where path.hasSuffix(".swift") {
            let text = try String(contentsOf: sources.appendingPathComponent(path), encoding: .utf8)
            named.formUnion(text.matches(of: #/"(genrec_[a-z0-9_]+?)(?:_bucket|_count|_sum)?"/#).map { String($0.1) })
        }
        #expect(named.count > 50)
        #expect(named.subtracting(known).sorted() == [])
    }
}
