// Paths, methods, listeners, user ids: decisions before a route's own work.

import HTTP
import Testing

@testable import Service

@Suite struct RouteTests {
    @Test func everyTemplate_IsItsRoutesPath() {
        for route in Route.allCases where route != .none && route.namesInPath.isEmpty {
            #expect(Route(path: route.label) == route)
            #expect(Route(path: route.label + "x") == .none || route == .console)
        }
        #expect(Set(Route.allCases.map(\.label)).count == Route.allCases.count)
    }

    @Test(arguments: [
        ("/users/u-42", Route.user), ("/users/%2F", .user), ("/users/", .none), ("/users", .none),
        ("/users/a/b", .none), ("/admin", .none), ("/admin/", .none), ("/recommend/", .none), ("*", .none), ("", .none),
        ("/admin/models/a/b", .model), ("/admin/models/a", .none), ("/admin/models//b", .none),
        ("/admin/models/a/b/c", .none), ("/admin/routing/a%2Fb", .routing), ("/admin/routing/a/rollback", .rollback),
        ("/admin/routing/", .none), ("/admin/routing/a/", .none),
    ])
    func path_HasItsRoute(path: String, route: Route) {
        #expect(Route(path: path) == route)
    }

    @Test func allow_ListsWhatIsTaken() {
        #expect(Route.recommend.allow(hasUsers: false) == "POST, OPTIONS")
        #expect(Route.user.allow(hasUsers: false) == "DELETE, OPTIONS")
        #expect(Route.user.allow(hasUsers: true) == "GET, HEAD, DELETE, OPTIONS")
        #expect(Route.metrics.allow(hasUsers: false) == "GET, HEAD, OPTIONS")
        for route in Route.allCases where route != .none {
            for method in HTTPMethod.allCases where method != .options {
                for hasUsers in [false, true] {
                    let allow = route.allow(hasUsers: hasUsers)
                    #expect((route.operation(method, hasUsers: hasUsers) != nil) == allow.components(method))
                }
            }
        }
    }

    @Test func administration_IsOnTheAdminListenerAlone_WhereThereIsOne() {
        for route in Route.allCases where route != .none {
            #expect(route.isServed(on: .everything, hasUsers: true))
            // Splitting loses no route.
            #expect(route.isServed(on: .callers, hasUsers: true) || route.isServed(on: .admin, hasUsers: true))
        }
        for route in [Route.user, .metrics, .reload] { #expect(!route.isServed(on: .callers, hasUsers: true)) }
        for route in Route.allCases { #expect(route != .events || !route.isServed(on: .everything, hasUsers: false)) }
        for route in [Route.recommend, .batch, .events, .models] {
            #expect(!route.isServed(on: .admin, hasUsers: true))
        }
        for route in [Route.addModel, .model, .routing, .rollback] {
            #expect(!route.isServed(on: .callers, hasUsers: true))
        }
    }

    @Test func access_NeedsNoKeyForHealth_AndTheAdminRoleForOperators() {
        for route in [Route.live, .ready, .openAPI, .console] { #expect(route.access == .open) }
        for route in [Route.recommend, .batch, .events, .rank] { #expect(route.access == .role(.recommend)) }
        for route in [Route.user, .metrics, .models, .reload, .addModel, .model, .routing, .rollback] {
            #expect(route.access == .role(.admin))
        }
    }

    @Test(arguments: [
        ("u-42", "u-42"), ("a%20b", "a b"), ("%c3%A9", "é"), ("%2F%25", "/%"), ("a+b", "a+b"),
        (String(repeating: "x", count: 256), String(repeating: "x", count: 256)),
        (String(repeating: "%61", count: 256), String(repeating: "a", count: 256)),
    ])
    func userID_IsPercentDecoded(segment: String, id: String) throws {
        #expect(try UserID.decode(segment[...]) == id)
    }

    @Test(arguments: [
        ("%", "percent"), ("%4", "percent"), ("%4g", "percent"), ("%+1", "percent"), ("a%0", "percent"),
        ("%ff", "UTF-8"), ("%c3", "UTF-8"), ("%c0%80", "UTF-8"), ("%ed%a0%80", "UTF-8"), ("%00", "control"),
        ("%0a", "control"), ("%7F", "control"), ("%C2%85", "control"), ("", "1 to 256"),
        (String(repeating: "x", count: 257), "1 to 256"), (String(repeating: "%C3%A9", count: 129), "1 to 256"),
    ])
    func userID_IsRefusedWithItsFault(segment: String, fault: String) {
        #expect {
            try UserID.decode(segment[...])
        } throws: { error in
            (error as? CallError)?.status == 422 && String(describing: error).contains(fault)
        }
    }
}

extension String {
    /// Whether a list such as "GET, HEAD" contains the method.
    fileprivate func components(_ method: HTTPMethod) -> Bool {
        split(separator: ", ").contains { $0 == method.description }
    }
}
