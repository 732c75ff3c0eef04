// `GET /`: a page for people. One document that loads nothing from elsewhere: it reads /metrics every two seconds and sends
// POST /recommend from a form. What the page may do is pinned down by its Content-Security-Policy: this script, this style,
// requests to this server, nothing else.

internal import Files
internal import Foundation
internal import HTTP

extension RequestHandler {
    func consoleReply(_ head: HTTPRequestHead) -> HTTPResponse {
        HTTPResponse(
            status: 200,
            headers: [
                ("Content-Type", "text/html; charset=utf-8"), ("X-Request-Id", requestIDs.id(for: head)),
                ("Content-Security-Policy", ConsolePage.policy), ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-cache"),
            ],
            body: ConsolePage.bytes,
            label: Route.console.number
        )
    }
}

enum ConsolePage {
    /// The document.
    static let bytes = Array(
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>genrec</title>
        <style>\(style)</style>
        </head>
        <body>
        \(content)
        <script>\(script)</script>
        </body>
        </html>

        """.utf8
    )

    /// The value of `Content-Security-Policy`. Script and style are named by their digests, so that nothing that gets into the
    /// page by another way is run or applied.
    static let policy = [
        "default-src 'none'", "script-src '\(source(script))'", "style-src '\(source(style))'", "connect-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ].joined(separator: "; ")

    private static func source(_ text: String) -> String {
        // Without a digest nothing may run: the page is then text, which is the safe way to fail.
        let digest = SHA256Digest(of: text.utf8)?.bytes ?? []
        return "sha256-" + Data(digest).base64EncodedString()
    }

    private static let content = """
        <header>
          <h1>genrec</h1>
          <p id="model">…</p>
          <label>API key <input id="key" type="password" autocomplete="off" placeholder="if one is needed"></label>
        </header>
        <p id="fault" role="alert" hidden></p>
        <section id="figures" aria-label="Live figures"></section>
        <section>
          <h2>Requests a second</h2>
          <svg id="chart" viewBox="0 0 600 120" preserveAspectRatio="none" role="img"><polyline></polyline></svg>
          <p id="scale"></p>
        </section>
        <section>
          <h2>Try it</h2>
          <form id="form">
            <label for="body">POST /recommend</label>
            <textarea id="body" rows="12" spellcheck="false">{
          "history": [
            {"item": "scifi-1-03", "timestamp": 1700000000},
            {"item": "scifi-1-04", "timestamp": 1700003000}
          ],
          "request_time": 1700003600,
          "k": 10
        }</textarea>
            <button>Send</button> <span id="status"></span>
          </form>
          <pre id="reply"></pre>
        </section>
        """

    private static let style = """
        :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
        body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
        header { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: baseline; }
        header p { flex: 1; margin: 0; opacity: .7; }
        h1 { font-size: 1.5rem; margin: 0; }
        h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
        #fault { border-left: 4px solid #c33; padding-left: .75rem; }
        #figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin-top: 1rem; }
        .figure { border: 1px solid #8886; border-radius: .5rem; padding: .5rem .75rem; }
        .figure b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
        .figure span { font-size: .85rem; opacity: .7; }
        svg { width: 100%; height: 7rem; border: 1px solid #8886; border-radius: .5rem; }
        polyline { fill: none; stroke: #38c; stroke-width: 2; vector-effect: non-scaling-stroke; }
        #scale { margin: 0; font-size: .85rem; opacity: .7; }
        textarea, pre { box-sizing: border-box; width: 100%; font: .85rem/1.4 ui-monospace, monospace; }
        pre { white-space: pre-wrap; overflow-wrap: anywhere; }
        """
}
