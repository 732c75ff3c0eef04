// `PATCH /admin/catalogue/{model}`, which changes items while the server runs, and the routes that show items.

internal import Catalogue
internal import Dispatch
internal import Engine
internal import HTTP
internal import JSON
internal import Logging

extension RouteDeclaration {
    static let catalogue = RouteDeclaration(
        "/admin/catalogue/{model}",
        .operators,
        RouteOperation(
            [.patch],
            .lines(
                "CatalogueChanges",
                line: "One CatalogueChange per line.",
                maximumBytes: ChangesDecoder.maximumBytes
            ),
            id: "changeCatalogue",
            summary: """
                Changes items in all versions of a model: all of them or none. No request that arrives after the reply \
                sees the old state, and with state.directory the changes are on disk by then. Items that the model \
                does not have are reported and change nothing.
                """,
            parameters: [.model],
            replies: [.json("The outcome of the changes.", "CatalogueChanged")],
            problems: [404, 411, 415, 422, 507]
        ) { $0.changeCatalogue($1, $2) },
        RouteOperation(
            [.get, .head],
            .ignored,
            id: "findItems",
            summary: """
                Searches for items whose title has a word beginning with each word of q, or whose id begins with q; \
                the most popular first.
                """,
            parameters: [
                .model,
                .query(
                    "q",
                    isRequired: true,
                    "Beginnings of words of a title, or the beginning of an id.",
                    ContractParameter.text
                ),
                .query(
                    "limit",
                    "The maximum number of items.",
                    [
                        "type": "integer", "minimum": 1, "maximum": .integer(ItemQuery.maximumLimit),
                        "default": 20,
                    ]
                ),
            ],
            replies: [.json("The items.", "CatalogueItems")],
            problems: [404, 411, 415, 422]
        ) { $0.findItems($1.head, $2) }
    ) { _ in ContractSchemas.ofCatalogue }

    static let catalogueItem = RouteDeclaration(
        "/admin/catalogue/{model}/{item}",
        .operators,
        RouteOperation.reading(
            id: "showItem",
            summary: "An item, as in the version with the largest share.",
            parameters: [.model, .path("item", "The item's id, percent-encoded.")],
            replies: [.json("The item.", "CatalogueItem")],
            problems: [404, 422]
        ) { $0.showItem($1) }
    )
}

extension ContractParameter {
    fileprivate static let model = path("model", "The model's name, percent-encoded.")
}

extension RequestHandler {
    /// Changes a catalogue, off the loop: a body may have a million changes, and the journal waits for the disk.
    func changeCatalogue(_ request: HTTPRequest, _ exchange: HTTPExchange) {
        catalogueQueue.async { [self] in
            let requestID = requestIDs.id(for: request.head)
            do throws(CallError) {
                let name = try PathName.decode(Route.catalogue.names(in: request.head.path)?.first ?? "", as: "model")
                let isLines = request.head.header("content-type").map { MediaType($0).isNDJSON } ?? false
                let changes = try request.body.withUnsafeBufferPointer { body throws(CallError) in
                    isLines ? try ChangesDecoder.decodeLines(body) : try ChangesDecoder.decode(body)
                }
                exchange.respond(changed(name, changes, requestID))
            } catch {
                exchange.respond(problem(error.status, error.detail, .catalogue, requestID))
            }
        }
    }

    private func changed(_ name: String, _ changes: [CatalogueChange], _ requestID: String) -> HTTPResponse {
        do throws(FleetError) {
            let outcome = try fleet.catalogues.change(name, changes, in: fleet)
            logger.notice(
                "the catalogue was changed",
                metadata: [
                    "model.name": "\(name)", "catalogue.changed": "\(outcome.changed)",
                    "catalogue.unknown": "\(outcome.unknown)", "catalogue.revision": "\(outcome.revision)",
                ]
            )
            let body: JSONValue = [
                "changed": .integer(outcome.changed), "unknown_items": .array(outcome.unknownItems.map { .string($0) }),
                "unknown": .integer(outcome.unknown), "persisted": .boolean(outcome.isPersisted),
                "revision": .integer(outcome.revision),
            ]
            return json(200, body, .catalogue, requestID)
        } catch {
            return problem(error.status, error.message, .catalogue, requestID)
        }
    }

    /// `GET /admin/catalogue/{model}/{item}`: one item as served.
    func showItem(_ head: HTTPRequestHead) -> HTTPResponse {
        let requestID = requestIDs.id(for: head)
        do throws(CallError) {
            let names = Route.catalogueItem.names(in: head.path) ?? []
            guard names.count == 2 else { throw CallError(.unusable, "the path must name a model and an item") }
            let name = try PathName.decode(names[0], as: "model")
            let id = try PathName.decode(names[1], as: "item")
            do throws(FleetError) {
                let catalogue = try fleet.main(of: name).model.catalogue
                guard let row = catalogue.row(of: id) else {
                    return problem(404, "the model '\(name)' has no such item", .catalogueItem, requestID)
                }
                var writer = JSONWriter()
                catalogue.write(row, to: &writer)
                return json(200, writer.bytes, .catalogueItem, requestID)
            } catch {
                return problem(error.status, error.message, .catalogueItem, requestID)
            }
        } catch {
            return problem(error.status, error.detail, .catalogueItem, requestID)
        }
    }

    /// `GET /admin/catalogue/{model}?q=`: finds items by words of their titles and by ids, the most popular first. Off
    /// the loop, since it may scan the whole catalogue.
    func findItems(_ head: HTTPRequestHead, _ exchange: HTTPExchange) {
        catalogueQueue.async { [self] in exchange.respond(foundItems(head)) }
    }

    private func foundItems(_ head: HTTPRequestHead) -> HTTPResponse {
        let requestID = requestIDs.id(for: head)
        do throws(CallError) {
            let name = try PathName.decode(Route.catalogue.names(in: head.path)?.first ?? "", as: "model")
            let query = try ItemQuery(head.query ?? "")
            do throws(FleetError) {
                let catalogue = try fleet.main(of: name).model.catalogue
                var writer = JSONWriter()
                writer.beginObject()
                writer.beginArray("items")
                for row in catalogue.find(query.text, limit: query.limit) { catalogue.write(row, to: &writer) }
                writer.endArray()
                writer.endObject()
                return json(200, writer.bytes, .catalogue, requestID)
            } catch {
                return problem(error.status, error.message, .catalogue, requestID)
            }
        } catch {
            return problem(error.status, error.detail, .catalogue, requestID)
        }
    }
}

/// The parameters of a search: `q=TEXT&limit=20`.
struct ItemQuery {
    static let maximumLimit = 1_000

    var text = ""
    var limit = 20

    /// - Parameter query: the query of the request's target, as sent.
    init(_ query: String) throws(CallError) {
        for part in query.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            switch pair[0] {
            case "q":
                // Forms encode a space as a plus.
                let value = (pair.count > 1 ? String(pair[1]) : "").map { $0 == "+" ? " " : $0 }
                text = try PathName.decode(Substring(String(value)), as: "q")
            case "limit":
                guard pair.count > 1, pair[1].utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let value = Int(pair[1]),
                    1...Self.maximumLimit ~= value
                else { throw CallError(.unusable, "limit must be from 1 to \(Self.maximumLimit)") }
                limit = value
            default: throw CallError(.unusable, "the query may only have q and limit")
            }
        }
        guard !text.isEmpty else { throw CallError(.unusable, "the query must have q=TEXT") }
    }
}

extension CatalogueSnapshot {
    /// Writes an item as served.
    fileprivate func write(_ row: Int32, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("item")
        writer.value { appendID(ofRow: row, to: &$0) }
        writer.key("title")
        if let title = title(row) { writer.string(title) } else { writer.null() }
        writer.member("tags", tags(row).map(tagName))
        writer.key("popularity")
        let popularity = popularity(row)
        if let whole = Int(exactly: popularity) { writer.integer(whole) } else { writer.numberOrNull(popularity) }
        writer.member("available", isAvailable(row))
        writer.member("changed", isChanged(row))
        writer.member("added", isAdded(row))
        writer.endObject()
    }
}
