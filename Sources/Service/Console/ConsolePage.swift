// `GET /`: a page for people. It loads nothing from elsewhere. It reads readiness, /models and /metrics, draws the last
// 15 minutes, and sends POST /recommend or /rank from a form. Its Content-Security-Policy allows its script, its style
// and requests to this server, and nothing else.

internal import Files
internal import Foundation
internal import HTTP
internal import JSON

extension RouteDeclaration {
    static let console = RouteDeclaration(
        "/",
        .everywhere,
        RouteOperation.reading(
            id: "console",
            summary: "The console: a page with state, metrics and a form for requests.",
            replies: [
                ContractReply(
                    200,
                    [
                        "description": "An HTML page that loads nothing from other servers.",
                        "headers": ContractResponses.headers(withCoding: ["Content-Security-Policy"]),
                        "content": ["text/html": ["schema": ["type": "string"]]],
                    ]
                )
            ]
        ) { $0.consoleReply($1) }
    )
}

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

    /// The value of `Content-Security-Policy`. Script and style are allowed by digest, so that nothing injected into
    /// the page is run or applied.
    static let policy = [
        "default-src 'none'", "script-src '\(source(script))'", "style-src '\(source(style))'", "connect-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ].joined(separator: "; ")

    private static func source(_ text: String) -> String {
        // Without a digest no script may run; the page is then only text, which is the safe way to fail.
        let digest = SHA256Digest(of: text.utf8)?.bytes ?? []
        return "sha256-" + Data(digest).base64EncodedString()
    }

    private static let content = #"""
        <header>
          <h1>genrec</h1>
          <p id="state" role="status">connecting …</p>
          <label>API key <input id="key" type="password" autocomplete="off" placeholder="if required"></label>
        </header>
        <p id="fault" role="alert" hidden></p>
        <main>
        <section aria-labelledby="models-title">
          <h2 id="models-title">Models</h2>
          <div class="wide"><table id="models"><tbody><tr><td>…</td></tr></tbody></table></div>
        </section>
        <section aria-labelledby="live-title">
          <h2 id="live-title">The last 15 minutes</h2>
          <p class="hint">Read every two seconds since the page was opened. To see values, point at a chart, or focus it and use the arrow keys.</p>
          <div id="charts"></div>
        </section>
        <section aria-labelledby="try-title">
          <h2 id="try-title">Try it</h2>
          <form id="form">
            <fieldset>
              <legend>History, oldest first</legend>
              <ol id="history"></ol>
              <p id="no-history" class="hint">Empty: the most popular items are returned.</p>
              <div class="row">
                <div class="search">
                  <label>Item <input id="item" autocomplete="off" placeholder="a title, or an item's id" role="combobox" aria-expanded="false" aria-controls="found" aria-autocomplete="list"></label>
                  <ul id="found" role="listbox" aria-label="Items" hidden></ul>
                </div>
                <button type="button" id="add">Add</button>
                <button type="button" id="example">Example</button>
                <button type="button" id="clear">Clear</button>
              </div>
            </fieldset>
            <div class="row">
              <label>How many <input id="k" type="number" min="1" max="1000" value="10"></label>
              <label>Mode <select id="mode"><option value="top_k">best next items</option><option value="sequence">a sequence</option></select></label>
              <label>Exclude tags <input id="tags" placeholder="a, b"></label>
              <label>User <input id="user" placeholder="optional"></label>
              <label id="beams-label" hidden>Beams <input id="beams" type="number" min="1" placeholder="the bundle's"></label>
              <label>Only rank these <input id="candidates" placeholder="ids: a, b"></label>
              <label class="check" id="kept-label" hidden><input id="kept" type="checkbox"> use the stored history of this user: items are sent as events</label>
              <label class="check"><input id="seen" type="checkbox" checked> exclude items of the history</label>
              <label class="check"><input id="why" type="checkbox"> explain: which events raised an item's score</label>
            </div>
            <p><button class="primary">Recommend</button> <span id="status" role="status"></span></p>
          </form>
          <div id="answer"></div>
          <details><summary>The same request as curl</summary><pre id="curl" tabindex="0"></pre></details>
          <details><summary>The reply</summary><pre id="reply" tabindex="0">none yet</pre></details>
        </section>
        </main>
        <footer class="hint">The contract is at /openapi.json, all metrics at /metrics, readiness at /health/ready.</footer>
        <svg id="shapes" hidden></svg>
        """#
}
