// `DELETE /users/{user_id}`: drops a user's cached state. With a user store, `EventsRoute` first deletes the events.

internal import Engine
internal import Files
internal import HTTP
internal import JSON

extension RouteDeclaration {
    static let user = RouteDeclaration(
        "/users/{user_id}",
        .operators,
        RouteOperation(
            [.delete],
            .refused,
            id: "forgetUser",
            summary: "Deletes everything held for a user and reports what that was.",
            parameters: [.userID],
            replies: [.json("What was deleted; zeros if nothing was held.", "Dropped")],
            problems: [422],
            problemsOfStore: [507]
        ) { $0.user($1.head, $2) },
        RouteOperation(
            [.get, .head],
            .refused,
            needsStore: true,
            id: "showUser",
            summary: "The stored events of a user, newest last.",
            parameters: [.userID],
            replies: [.json("The events.", "StoredUser")],
            problems: [404, 422]
        ) { $0.user($1.head, $2) },
        schemas: \.ofUser
    )
}

extension ContractParameter {
    fileprivate static let userID = path(
        "user_id",
        "Percent-encoded; 1 to 256 bytes of UTF-8 without control characters.",
        ContractSchemas.userID
    )
}

extension RequestHandler {
    /// Drops a user's cached state and reports what was dropped, even if nothing was. Logs and metrics name no user.
    func forgottenReply(_ userID: String, _ requestID: String) -> HTTPResponse {
        let dropped = fleet.engines.forget(userID)
        let counts: JSONValue = [
            "entries": .integer(dropped.entries), "bytes": .integer(dropped.bytes), "events": .integer(dropped.events),
            "in_flight": .integer(dropped.inFlight),
        ]
        return json(200, ["user_id": .string(userID), "dropped": counts], .user, requestID)
    }
}

/// A user's id in a path.
enum UserID {
    /// Decodes percent-encoding (RFC 3986, section 2.1) and checks the id like one in a body.
    ///
    /// - Throws: `.unusable`, with a sentence that names the fault.
    static func decode(_ segment: Substring) throws(CallError) -> String {
        let id = try PathName.decode(segment, as: "user_id")
        if let fault = RecommendCodec.fault(inUserID: id) { throw CallError(.unusable, "user_id \(fault)") }
        return id
    }
}

/// A name in a path.
enum PathName {
    /// Decodes percent-encoding (RFC 3986, section 2.1).
    ///
    /// - Throws: `.unusable`, with a sentence about `what`.
    static func decode(_ segment: Substring, as what: StaticString) throws(CallError) -> String {
        var bytes: [UInt8] = []
        var rest = segment.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexadecimalDigit, let low = rest.popFirst()?.hexadecimalDigit else {
                throw CallError(.unusable, "\(what) has a percent sign without two hexadecimal digits")
            }
            bytes.append(high << 4 | low)
        }
        guard let id = String(validating: bytes, as: UTF8.self) else {
            throw CallError(.unusable, "\(what) is not UTF-8")
        }
        return id
    }
}
