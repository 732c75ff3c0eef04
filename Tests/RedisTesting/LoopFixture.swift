// Event loops without a server, for clients that run on them.

package import HTTP

/// Running loops, which stop when this object is released.
package final class LoopFixture: Sendable {
    private final class Handler: HTTPHandler {
        func headReceived(_ head: HTTPRequestHead) -> HeadVerdict { .accept(maximumBodyBytes: 0) }
        func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange) {}
        func errorResponse(status: Int, detail: String, to head: HTTPRequestHead?) -> HTTPResponse {
            HTTPResponse(status: status, headers: [], body: [])
        }
        func observe(_ event: HTTPEvent) {}
    }

    private let server: HTTPServer

    package init(count: Int = 1) throws {
        server = try HTTPServer(
            configuration: HTTPServerConfiguration(addresses: [.tcp(host: "127.0.0.1", port: 0)], loops: count),
            handler: Handler()
        )
        _ = try server.start()
    }

    deinit { server.stop() }

    package var loops: [LoopHandle] { server.loops }

    package func stop() { server.stop() }
}
