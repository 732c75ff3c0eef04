// `genrec users`: imports, exports and shows the events of a local user store, which no running server may own.

import ArgumentParser
import Interactions
import JSON
import Service
import Users

struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "Import, export and show the events of users in a local store.",
        discussion: """
            The commands work on the folder of a store (users.local.directory), which no server may be using.

            Examples:
            genrec users import --directory users --interactions ratings.csv
            genrec users show --directory users 196
            genrec users export --directory users > events.ndjson
            """,
        subcommands: [UsersImportCommand.self, UsersExportCommand.self, UsersShowCommand.self]
    )
}

/// The store on which a command works.
struct UserStoreOptions: ParsableArguments {
    @Option(help: "The store's folder, users.local.directory of the server.")
    var directory: String
    @Option(help: "How many events are kept per user, the newest, users.max_events of the server.")
    var maxEvents = 2_048

    func validate() throws {
        guard 1...1_000_000 ~= maxEvents else { throw ValidationError("--max-events must be from 1 to 1000000") }
    }

    /// - Parameter isRead: the store is only read, and has to be there.
    func open(isRead: Bool = false) throws(UserStoreError) -> LocalUserStore {
        guard !isRead || LocalUserStore.isStore(directory) else {
            throw UserStoreError(.unavailable, "there is no user store in \(directory)")
        }
        let store = try LocalUserStore(
            LocalUserStoreConfiguration(
                directory: directory,
                maxEvents: maxEvents,
                lifetime: nil,
                syncsAlways: false
            ),
            reportFailure: { Console.note("genrec: \($0.description)\n") }
        )
        if store.recovery.cutBytes > 0 {
            let cut = store.recovery.cutBytes
            Console.note("the users' journal ended in an incomplete record; \(cut) bytes were cut off\n")
        }
        return store
    }
}

struct UsersImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Add the events of a file of interactions.",
        discussion: """
            Actions are imported, too, from a column named action, event, event_type, behavior or the like, otherwise \
            from rating. Events that are already stored (same user, item, time and action) are skipped.

            Examples:
            genrec users import --directory /var/lib/genrec/users \\
              --interactions ratings.csv
            genrec users import --directory /var/lib/genrec/users \\
              --interactions u.data --columns user,item,rating,timestamp
            genrec users import --directory /var/lib/genrec/users \\
              --interactions u.data --columns user,item,-,timestamp
            """
    )

    @OptionGroup var store: UserStoreOptions
    @Option(help: "A file of users, items and times, in any form that evaluate reads. It must have times.")
    var interactions: String
    @OptionGroup var reading: InteractionsOptions
    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    func run() async throws {
        do {
            var options = reading.values
            options.readsActions = true
            let log = try InteractionLog(path: interactions, options: options)
            guard log.hasTimestamps else {
                throw UserStoreError(.unavailable, "\(interactions) has no times, but events need one")
            }
            let store = try store.open()
            let bar = ProgressBar(label: "users")
            defer { bar.finish() }
            var accepted = 0
            var duplicates = 0
            for (index, user) in log.users.enumerated() {
                if let fault = Self.fault(of: user) {
                    throw UserStoreError(
                        .unavailable,
                        "\(interactions): the user \(quoted(String(user.id.prefix(40)))) has \(fault)"
                    )
                }
                let outcome = try store.append(
                    user.events.indices.map { place in
                        var event = UserEvent(item: user.events[place].item, timestamp: user.events[place].timestamp)
                        if !user.actions.isEmpty { event.action = user.actions[place] }
                        return IncomingEvent(user: user.id, event: event)
                    }
                )
                accepted += outcome.accepted
                duplicates += outcome.duplicates
                bar.show(index + 1, of: log.users.count)
            }
            store.close()
            let report = JSONValue.object(pairs: [
                ("users", .integer(log.users.count)), ("accepted", .integer(accepted)),
                ("duplicates", .integer(duplicates)),
            ])
            let text = "\(accepted) events of \(log.users.count) users imported, \(duplicates) already stored"
            Console.result((json ? report.line : text) + "\n")
        } catch {
            throw fail(String(describing: error))
        }
    }
}

struct UsersExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Print all events as JSON lines, as POST /events and evaluate read them.",
        discussion: """
            Examples:
            genrec users export --directory /var/lib/genrec/users > events.ndjson
            """
    )

    @OptionGroup var store: UserStoreOptions

    func run() async throws {
        do {
            let store = try store.open(isRead: true)
            for id in store.userIDs.sorted() {
                var writer = JSONWriter()
                for event in store.events(of: id) ?? [] {
                    writer.beginObject()
                    writer.member("user_id", id)
                    writer.write(event)
                    writer.endObject()
                    writer.endLine()
                }
                Console.result(String(decoding: writer.bytes, as: UTF8.self))
            }
        } catch {
            throw fail(String(describing: error))
        }
    }
}

struct UsersShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print the events of a user, like GET /users/{user_id}.",
        discussion: """
            Examples:
            genrec users show --directory /var/lib/genrec/users 196
            """
    )

    @OptionGroup var store: UserStoreOptions
    @Argument(help: "The user's id.")
    var id: String

    func run() async throws {
        do {
            guard let events = try store.open(isRead: true).events(of: id) else {
                throw UserStoreError(.unavailable, "the user \(id) has no events")
            }
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("user_id", id)
            writer.beginArray("events")
            for event in events {
                writer.beginObject()
                writer.write(event)
                writer.endObject()
            }
            writer.endArray()
            writer.member("count", events.count)
            writer.endObject()
            Console.result(String(decoding: writer.bytes, as: UTF8.self) + "\n")
        } catch {
            throw fail(String(describing: error))
        }
    }
}

extension UsersImportCommand {
    /// What a user has that no request could name; nil: nothing.
    private static func fault(of user: InteractionLog.User) -> String? {
        if let fault = RecommendCodec.fault(inUserID: user.id) { return "an id that \(fault)" }
        guard user.events.allSatisfy({ 1...1_024 ~= $0.item.utf8.count }) else {
            return "an item of more than 1024 bytes"
        }
        guard user.actions.allSatisfy({ $0?.utf8.count ?? 0 <= 256 }) else { return "an action of more than 256 bytes" }
        return nil
    }
}

extension JSONWriter {
    /// Writes the members of an event.
    fileprivate mutating func write(_ event: UserEvent) {
        key("item")
        string(event.item)
        key("timestamp")
        integer(Int(event.timestamp))
        if let action = event.action {
            key("action")
            string(action)
        }
    }
}
