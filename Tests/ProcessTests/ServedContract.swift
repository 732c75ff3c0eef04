// Checks every reply in the process tests against the OpenAPI document that a server serves: status, content type and
// the required header fields. (schemathesis checks bodies against their schemas, outside these tests.)

import Foundation
import Testing

enum ServedContract {
    /// `paths` and `components` from a server with API keys and a user store, whose document has every status.
    nonisolated(unsafe) private static let document: [String: Any] = {
        // Never changed after this read.
        let read = try? Genrec.withTemporaryFolder { folder in
            let keys = folder.appendingPathComponent("keys").path
            try "\(String(repeating: "0", count: 64)) admin\n".write(toFile: keys, atomically: true, encoding: .utf8)
            let server = try RunningServer(environment: [
                "GENREC_AUTH_KEYS_FILE": keys, "GENREC_USERS_STORE": "local",
                "GENREC_USERS_LOCAL_DIRECTORY": folder.appendingPathComponent("users").path,
            ])
            defer { server.stop() }
            let connection = try server.connect()
            try connection.send("GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n")
            return try connection.receive().json()
        }
        return read ?? [:]
    }()

    /// Records an issue if a reply contradicts the document.
    static func check(_ reply: TestReply, to method: String, _ target: String) {
        let target = String(target.prefix { $0 != "?" })
        guard let paths = document["paths"] as? [String: [String: Any]] else {
            Issue.record("there is no OpenAPI document")
            return
        }
        let path = paths[target] != nil ? target : paths.keys.first { isTemplate($0, of: target) } ?? target
        let place = "\(method) \(target) \(reply.status)"
        guard let item = paths[path] else {
            #expect(reply.status == 404, "\(place): the path is not documented")
            return
        }
        guard let operation = item[method.lowercased()] as? [String: Any] else {
            #expect(reply.status == 405 && reply.headers["allow"] != nil, "\(place): the method is not documented")
            return
        }
        // With an admin listener the first listener lacks some paths, and without a store some methods are missing.
        if reply.status == 404 || (reply.status == 405 && reply.headers["allow"] != nil) { return }
        guard let response = response(operation, reply.status) else {
            Issue.record("\(place): the status is not documented")
            return
        }
        checkHeaders(reply, response, place)
        if method == "HEAD" || reply.status == 204 { return }
        let types = (response["content"] as? [String: Any] ?? [:]).keys
        let type = reply.headers["content-type"]?.split(separator: ";").first.map(String.init) ?? ""
        #expect(types.contains(type), "\(place): the content type \(type) is not documented")
    }

    /// Whether the template, with names in braces, matches a path.
    private static func isTemplate(_ template: String, of path: String) -> Bool {
        let names = template.split(separator: "/", omittingEmptySubsequences: false)
        let segments = path.split(separator: "/", omittingEmptySubsequences: false)
        return names.count == segments.count
            && zip(names, segments).allSatisfy { $0 == $1 || ($0.hasPrefix("{") && !$1.isEmpty) }
    }

    private static func checkHeaders(_ reply: TestReply, _ response: [String: Any], _ place: String) {
        for (name, reference) in response["headers"] as? [String: [String: String]] ?? [:] {
            let isRequired = resolve(reference["$ref"])?["required"] as? Bool ?? false
            #expect(!isRequired || reply.headers[name.lowercased()] != nil, "\(place): \(name) is missing")
        }
    }

    private static func response(_ operation: [String: Any], _ status: Int) -> [String: Any]? {
        let response = (operation["responses"] as? [String: Any])?["\(status)"] as? [String: Any]
        return response?["$ref"] == nil ? response : resolve(response?["$ref"] as? String)
    }

    /// The object at a reference like "#/a/b/c".
    private static func resolve(_ reference: String?) -> [String: Any]? {
        var value: Any? = document
        for key in (reference ?? "").split(separator: "/").dropFirst() {
            value = (value as? [String: Any])?[String(key)]
        }
        return value as? [String: Any]
    }
}
