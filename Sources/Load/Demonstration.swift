// Asks a server of the demo as one of its users would: one request after another, timing each.

internal import HTTP
package import Interactions
internal import JSON

/// A visit to a server of the demo bundle.
package struct Demonstration {
    /// The server's recommendations.
    package struct Answer: Sendable, Equatable {
        package struct Item: Sendable, Equatable {
            package var id: String
            package var score: Double
        }

        /// Best first.
        package var items: [Item]
        /// Events that the model used, and those of them that the server had cached.
        package var used: Int
        package var cached: Int
        /// From the first byte sent to the last one received.
        package var milliseconds: Double
        /// `timing_ms.total` of the reply: the time as measured by the server.
        package var serverMilliseconds: Double

        /// Reads the body of a reply; nil if it is not a recommendation.
        init?(_ body: [UInt8], milliseconds: Double) {
            guard let value = body.withUnsafeBytes({ try? JSONValue(parsing: $0) }),
                case .array(let items)? = value["items"],
                case .integer(let used)? = value["history_used"], case .integer(let cached)? = value["history_cached"],
                let total = value["timing_ms"]?["total"]?.double
            else { return nil }
            self.items = []
            for item in items {
                guard case .string(let id)? = item["item"], let score = item["score"]?.double else { return nil }
                self.items.append(Item(id: id, score: score))
            }
            (self.used, self.cached) = (Int(clamping: used), Int(clamping: cached))
            self.milliseconds = milliseconds
            serverMilliseconds = total
        }
    }

    private let probe: Probe
    private let address: SocketAddress
    /// Prefix of every user id, so that no state from an earlier visit affects this one.
    private let tag = "demo-\(UInt32.random(in: .min ... .max))-"

    /// Connects to the server and checks what it serves.
    ///
    /// - Parameters:
    ///   - authorization: the value of the header field; nil: the field is not sent.
    ///   - modelName: the demo's name.
    /// - Throws: `LoadError` if nothing listens there, or it does not serve the demo.
    package init(target: LoadTarget, authorization: String?, modelName: String) throws(LoadError) {
        probe = Probe(target: target, authorization: authorization)
        address = try probe.address()
        let served = try probe.servedModel(at: address, advice: "genrec demo only knows the users of the demo bundle")
        guard served == modelName else {
            throw LoadError(
                "the server serves \(quoted(served)), but genrec demo only knows the users of the demo bundle"
            )
        }
    }

    /// Requests a user's next items, an hour after the newest event.
    ///
    /// - Parameters:
    ///   - user: has at least one event.
    ///   - count: k.
    package func recommend(for user: InteractionLog.User, count: Int) throws(LoadError) -> Answer {
        let body = JSONValue.object(pairs: [
            ("user_id", .string(tag + user.id)),
            (
                "history",
                .object(pairs: [
                    ("items", .array(user.events.map { .string($0.item) })),
                    ("timestamps", .array(user.events.map { .integer($0.timestamp) })),
                ])
            ), ("request_time", .integer((user.events.last?.timestamp ?? 0) + Self.hour)), ("k", .integer(count)),
        ])
        let reply = try probe.send("/recommend", body.compact, at: address)
        guard reply.status == 200 else {
            let text = String(decoding: reply.content.prefix(300), as: UTF8.self)
            throw LoadError("the server answered POST /recommend with \(reply.status): \(text)")
        }
        guard let answer = Answer(reply.content, milliseconds: Double(reply.nanoseconds) / 1e6) else {
            throw LoadError("the server's answer to POST /recommend is not in genrec's format")
        }
        return answer
    }

    /// The user with one more event, an hour later.
    package func after(_ item: String, _ user: InteractionLog.User) -> InteractionLog.User {
        var user = user
        user.events.append(.init(item: item, timestamp: (user.events.last?.timestamp ?? 0) + Self.hour))
        return user
    }

    private static let hour: Int64 = 3_600
}

extension JSONValue {
    /// The value of a number; nil for anything else.
    fileprivate var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .real(let value): value
        default: nil
        }
    }
}
