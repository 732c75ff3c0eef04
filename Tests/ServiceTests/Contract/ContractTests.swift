// The OpenAPI document against the routes. The process tests check it against the server's replies.

import Files
import Foundation
import HTTP
import Testing

@testable import JSON
@testable import Service

@Suite struct ContractTests {
    private static let limits = CallLimits(
        defaultK: 7,
        maxK: 321,
        maxHistory: 654,
        maxListed: 98,
        maxBatch: 76,
        maxCandidates: 543
    )

    private static func document(
        _ listener: ListenerRole = .everything,
        hasKeys: Bool = false,
        hasUsers: Bool = true,
        idsAreIntegers: Bool = false
    ) throws -> [String: Any] {
        let contract = Contract(listener: listener, limits: limits, hasKeys: hasKeys, hasUsers: hasUsers)
        let bytes = contract.bytes(idsAreIntegers: idsAreIntegers)
        return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    /// The value at a path of keys.
    private static func value(_ document: [String: Any], _ path: String...) throws -> [String: Any] {
        var value = document
        for key in path { value = try #require(value[key] as? [String: Any], "\(key) of \(path)") }
        return value
    }

    @Test(arguments: [ListenerRole.everything, .callers, .admin], [false, true])
    func everyRouteOfTheListener_IsThereWithItsMethods_AndNoOther(listener: ListenerRole, hasUsers: Bool) throws {
        let paths = try Self.value(try Self.document(listener, hasUsers: hasUsers), "paths")
        let routes = Route.allCases.filter { $0.isServed(on: listener, hasUsers: hasUsers) }
        #expect(Set(paths.keys) == Set(routes.map(\.label)))
        for route in routes {
            let item = try Self.value(paths, route.label)
            let methods = Set(item.keys).subtracting(["parameters"])
            #expect(
                methods == Set(route.allow(hasUsers: hasUsers).lowercased().split(separator: ", ").map(String.init))
            )
        }
    }

    /// The tables of routes in the documentation.
    @Test func everyRoute_IsInTheTablesOfItsPages() throws {
        let pages = URL(filePath: #filePath).appending(path: "../../../../Sources/Service/Service.docc").standardized
        let api = try String(contentsOf: pages.appending(path: "API.md"), encoding: .utf8)
        let security = try String(contentsOf: pages.appending(path: "Security.md"), encoding: .utf8)
        for route in Route.allCases where route != .none {
            for method in route.methods(hasUsers: true) where method != .head {
                #expect(api.contains("`\(method) \(route.label)"), "API.md lacks \(method) \(route.label)")
            }
            let end =
                switch route.access {
                case .open: "| open | open | open |"
                case .role(.recommend): "| yes | yes |"
                case .role(.admin): "| 403 | yes |"
                }
            let name = route.label.hasPrefix("/admin/") ? "`/admin/…`" : "`\(route.label)`"
            let row = security.split(separator: "\n").first { $0.hasSuffix(end) && $0.contains(name) }
            #expect(row != nil, "Security.md lacks \(name) in a row that ends with \(end)")
        }
    }

    @Test(arguments: [false, true])
    func everyReference_HasItsTarget(hasKeys: Bool) throws {
        let document = try Self.document(hasKeys: hasKeys)
        var references: Set<String> = []
        func collect(_ value: Any) {
            if let object = value as? [String: Any] {
                if let reference = object["$ref"] as? String { references.insert(reference) }
                object.values.forEach(collect)
            }
            (value as? [Any])?.forEach(collect)
        }
        collect(document)
        #expect(references.count > 40)
        for reference in references {
            let parts = reference.split(separator: "/").map(String.init)
            #expect(parts.count == 4 && parts[0] == "#")
            let group = try Self.value(document, parts[1], parts[2])
            #expect(group[parts[3]] is [String: Any], "\(reference)")
        }
    }

    @Test func everyStatusOfAProblem_HasAMeaningAndAPhrase() throws {
        for (path, item) in try Self.value(try Self.document(hasKeys: true), "paths") {
            for (method, operation) in try #require(item as? [String: Any]) where method != "parameters" {
                let responses = try Self.value(try #require(operation as? [String: Any]), "responses")
                for (status, response) in responses where (response as? [String: Any])?["$ref"] != nil {
                    let number = try #require(Int(status))
                    #expect(ContractResponses.knows(number), "\(method) \(path) \(status)")
                    #expect(!HTTPResponse.reasonPhrase(number).description.isEmpty, "\(status)")
                }
                // Every operation has the statuses that HTTP may return by itself.
                for status in ContractResponses.ofAnyRequest { #expect(responses["\(status)"] != nil) }
            }
        }
    }

    @Test func limits_AreThoseOfTheConfiguration() throws {
        let schemas = try Self.value(try Self.document(), "components", "schemas")
        let request = try Self.value(schemas, "RecommendRequest", "properties")
        let k = try Self.value(request, "k")
        #expect(k["maximum"] as? Int == 321 && k["default"] as? Int == 7)
        #expect(try Self.value(schemas, "Columns", "properties", "items")["maxItems"] as? Int == 654)
        #expect(try Self.value(schemas, "Exclude", "properties", "tags")["maxItems"] as? Int == 98)
        #expect(try Self.value(schemas, "BatchRequest", "properties", "requests")["maxItems"] as? Int == 76)
    }

    @Test func requestSchema_HasTheFieldsThatAreRead_AndNoOthers() throws {
        let schemas = try Self.value(try Self.document(), "components", "schemas")
        for (name, codec) in [
            ("RecommendRequest", Self.fields(CallField.self)), ("Event", Self.fields(EventField.self)),
            ("Columns", Self.fields(ColumnField.self)), ("Exclude", Self.fields(ExcludeField.self)),
            ("Allow", Self.fields(AllowField.self)), ("BatchRequest", Self.fields(BatchField.self)),
            ("RankRequest", Self.fields(RankField.self)),
        ] {
            let schema = try Self.value(schemas, name)
            #expect(schema["additionalProperties"] as? Bool == false)
            let documented = Set(try Self.value(schema, "properties").keys)
            #expect(documented == codec, "\(name)")
        }
    }

    /// The names that an object's decoder accepts, of all words of this interface.
    private static func fields<Field: RequestField>(_: Field.Type) -> Set<String> {
        let words: Set<String> = [
            "user_id", "history", "request_time", "k", "mode", "sampling", "exclude", "allow", "deadline_ms",
            "priority", "stream", "events", "store", "item", "timestamp", "action", "items", "timestamps", "actions",
            "tags", "seen",
            "requests",
            "model", "version", "candidates", "order", "diversity", "fallback", "explain",
            "beams", "prompt_tokens", "include",
        ]
        return words.filter { word in
            Array(word.utf8).withUnsafeBufferPointer { utf8 in
                Field(JSONString(utf8: utf8, offset: 0, isPartOfText: true)) != nil
            }
        }
    }

    @Test func keys_BringSecurity_WhereARouteNeedsOne() throws {
        let open = try Self.document()
        #expect(try Self.value(open, "components")["securitySchemes"] == nil)
        #expect(try Self.value(open, "paths", "/metrics", "get")["security"] == nil)
        #expect(try Self.value(open, "paths", "/admin/reload", "post", "responses")["403"] != nil)
        let locked = try Self.document(hasKeys: true)
        #expect(try Self.value(locked, "components", "securitySchemes", "apiKey")["scheme"] as? String == "bearer")
        for (path, method, role) in [
            ("/recommend", "post", "recommend"), ("/recommend/batch", "post", "recommend"), ("/models", "get", "admin"),
            ("/metrics", "head", "admin"), ("/users/{user_id}", "delete", "admin"), ("/admin/reload", "post", "admin"),
        ] {
            let operation = try Self.value(locked, "paths", path, method)
            #expect(operation["security"] as? [[String: [String]]] == [["apiKey": [role]]])
            for status in ["401", "403"] { #expect(try Self.value(operation, "responses")[status] != nil) }
        }
        for path in ["/", "/openapi.json", "/health/live", "/health/ready"] {
            #expect(try Self.value(locked, "paths", path, "get")["security"] == nil)
        }
    }

    @Test func itemIDs_HaveTheTypeOfTheCatalogues() throws {
        for (idsAreIntegers, type) in [(false, "string"), (true, "integer")] {
            let schemas = try Self.value(
                try Self.document(idsAreIntegers: idsAreIntegers),
                "components",
                "schemas"
            )
            #expect(try Self.value(schemas, "ScoredItem", "properties", "item")["type"] as? String == type)
        }
    }

    @Test func literal_KeepsTheOrder_AndEscapes() {
        let literal: JSONValue = ["z\"": [nil, true, 1, "ä\n"], "a": [:], "b": []]
        #expect(String(decoding: literal.compact, as: UTF8.self) == #"{"z\"":[null,true,1,"ä\n"],"a":{},"b":[]}"#)
    }

    @Test func consolePage_LoadsNothing_AndItsPolicyNamesItsScriptAndStyle() throws {
        let page = String(decoding: ConsolePage.bytes, as: UTF8.self)
        for word in ["http:", "https:", "src=", "href=", "@import", "url(", "innerHTML", "style="] {
            #expect(!page.contains(word), "\(word)")
        }
        #expect(page.firstMatch(of: #/\son[a-z]+=/#) == nil)
        for (start, end) in [("<script>", "</script>"), ("<style>", "</style>")] {
            let from = try #require(page.range(of: start)).upperBound
            let to = try #require(page.range(of: end)).lowerBound
            let digest = try #require(SHA256Digest(of: page[from..<to].utf8)).bytes
            #expect(ConsolePage.policy.contains("'sha256-\(Data(digest).base64EncodedString())'"))
        }
        #expect(ConsolePage.policy.hasPrefix("default-src 'none';") && !ConsolePage.policy.contains("unsafe"))
    }
}
