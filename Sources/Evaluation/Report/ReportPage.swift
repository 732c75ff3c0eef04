// A report as one self-contained HTML file: inline styles, charts as SVG, no script.

internal import Foundation

/// The sections of a page, in order.
struct ReportPage {
    private let title: String
    private var body = ""

    init(title: String, lead: String) {
        self.title = title
        body = "<h1>\(Self.escaped(title))</h1>\n<p>\(Self.escaped(lead))</p>\n"
    }

    /// Escapes text for HTML.
    static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
    }

    /// Adds a heading with a paragraph.
    mutating func add(heading: String, _ text: String) {
        body += "<h2>\(Self.escaped(heading))</h2>\n<p>\(Self.escaped(text))</p>\n"
    }

    /// Adds a chart.
    mutating func add(chart svg: String) { body += "<figure>\(svg)</figure>\n" }

    /// Adds a table.
    mutating func add(_ table: TextTable) {
        func row(_ cells: [String], _ tag: String) -> String {
            "<tr>" + cells.map { "<\(tag)>\(Self.escaped($0))</\(tag)>" }.joined() + "</tr>"
        }
        body += "<div class=\"scroll\"><table><caption>\(Self.escaped(table.title))</caption>\n<thead>"
        body += row(table.header, "th") + "</thead>\n<tbody>\n"
        body += table.rows.map { row($0, "td") }.joined(separator: "\n") + "\n</tbody></table></div>\n"
    }

    /// The content of the file.
    var html: String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(Self.escaped(title))</title>
        <style>\(Self.style)</style>
        </head>
        <body>
        <main>
        \(body)</main>
        </body>
        </html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --ink: #1b2430; --paper: #fff; --line: #c9d1dc; --soft: #5b6b86;
          --s0: #0b62a8; --s1: #b8500a; --s2: #0a7d5c; --s3: #8a4a86; --s4: #86690a; --s5: #56616e }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6ebf3; --paper: #12171f; --line: #3a4557; --soft: #9aa8bf;
          --s0: #6db8f2; --s1: #f09a5b; --s2: #4fcfa8; --s3: #d69ad2; --s4: #d9bb4f; --s5: #a9b4c2 } }
        body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
        main { max-width: 56rem; margin: 0 auto; padding: 1.5rem }
        h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
        figure { margin: 1rem 0 } svg { width: 100%; height: auto }
        .scroll { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
        caption { text-align: left; font-weight: 600; padding-bottom: .3rem }
        th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line) }
        th:first-child, td:first-child { text-align: left }
        svg text { font: 12px system-ui, sans-serif; fill: var(--ink) } svg .soft { fill: var(--soft) }
        svg .grid { stroke: var(--line); stroke-width: 1 } svg .axis { stroke: var(--soft); stroke-width: 1 }
        .s0 { --c: var(--s0) } .s1 { --c: var(--s1) } .s2 { --c: var(--s2) } .s3 { --c: var(--s3) } .s4 { --c: var(--s4) }
        .s5 { --c: var(--s5) } .dot { fill: var(--c) } .stroke { fill: none; stroke: var(--c); stroke-width: 2 }
        .dashed { stroke-dasharray: 5 4; stroke-width: 1.5 }
        """
}
