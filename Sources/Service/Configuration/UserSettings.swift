// The settings of the section `users`: whether the server stores user events, where, and for how long.

internal import Redis
package import Users

/// The store of users' events.
package struct UserStoreSettings: Sendable, Equatable {
    /// Where events are stored.
    package enum Kind: String, Sendable, CaseIterable {
        case none
        case local
        case redis
    }

    /// When events reach the disk.
    package enum Sync: String, Sendable, CaseIterable {
        case interval
        case always
    }

    package var kind = Kind.none
    package var maxEvents = 2_048
    /// 0: users are never forgotten.
    package var lifetimeDays = 365
    package var directory: String?
    package var sync = Sync.interval
    /// May contain a password.
    package var url: String?
    package var prefix = "genrec:"
    /// Connections to each server of the store, from each loop.
    package var connections = 2
    package var timeoutMilliseconds = 20

    /// The configuration of the local store; nil: there is none.
    ///
    /// - Parameter stateDirectory: the server's folder for persistent state; nil: none.
    package func local(stateDirectory: String?) -> LocalUserStoreConfiguration? {
        guard kind == .local, let directory = directory ?? stateDirectory.map({ $0 + "/users" }) else { return nil }
        return LocalUserStoreConfiguration(
            directory: directory,
            maxEvents: maxEvents,
            lifetime: lifetime,
            syncsAlways: sync == .always
        )
    }

    /// The configuration of the store in Redis; nil: there is none.
    package var redis: RedisUserStoreConfiguration? {
        // The URL was validated when it was set.
        guard kind == .redis, let url, var redis = try? RedisConfiguration(urls: url) else { return nil }
        redis.connections = connections
        redis.timeout = UInt64(timeoutMilliseconds) * 1_000_000
        return RedisUserStoreConfiguration(redis: redis, prefix: prefix, maxEvents: maxEvents, lifetime: lifetime)
    }

    private var lifetime: UInt32? { lifetimeDays == 0 ? nil : UInt32(lifetimeDays) * 86_400 }
}

extension ServiceConfiguration {
    static let userSettings: [Setting] = [
        .choice(
            "users.store",
            \.users.kind,
            """
            Where user events are stored, so that callers send events as they happen and request by user. none: \
            callers send histories. local: in this process, with a journal in users.local.directory. redis: in Redis \
            or Valkey at users.redis.url, for several servers.
            """
        ).checked {
            switch $0.users.kind {
            case .local where $0.users.directory == nil && $0.stateDirectory == nil:
                ": local needs users.local.directory or state.directory"
            case .redis where $0.users.url == nil: ": redis needs users.redis.url"
            default: nil
            }
        },
        .integer("users.max_events", \.users.maxEvents, 1...1_000_000, "The newest events stored per user."),
        .integer(
            "users.ttl_days",
            \.users.lifetimeDays,
            0...36_500,
            "A user without events for this many days is deleted. 0: never."
        ),
        .text(
            "users.local.directory",
            \.users.directory,
            allowed: "a directory",
            """
            The folder of the local store; it is created if missing. One process at a time owns it. Empty: users in \
            state.directory.
            """
        ),
        .choice(
            "users.local.sync",
            \.users.sync,
            """
            interval: events are in the journal, safe from a crash of the process, before they are acknowledged, and \
            on the disk a tenth of a second later. always: on the disk before they are acknowledged.
            """
        ),
        .parsed(
            "users.redis.url",
            \.users.url,
            allowed: "redis://[user:password@]HOST:PORT[/DB], several separated by commas",
            """
            The store's address: redis://[user:password@]HOST:PORT[/DB], rediss:// for TLS; user and password \
            percent-encoded. Several, separated by commas: nodes of a cluster. If it has a password, prefer \
            GENREC_USERS_REDIS_URL. Redis from 6.2 on, or Valkey.
            """,
            write: { $0 ?? "" },
            read: { (text, _) throws(Setting.Refusal) in
                guard !text.isEmpty else { return nil }
                do throws(RedisConfiguration.Fault) {
                    _ = try RedisConfiguration(urls: text)
                } catch {
                    throw Setting.Refusal(" \(error.predicate)")
                }
                return text
            }
        ),
        .parsed(
            "users.redis.prefix",
            \.users.prefix,
            allowed: "text",
            "The prefix of user keys; u:{USER} follows.",
            read: { (text, _) throws(Setting.Refusal) in
                guard text.utf8.count <= 256, !text.contains("{") else {
                    throw .mustBe("at most 256 bytes without {", not: text)
                }
                return text
            }
        ),
        .integer(
            "users.redis.connections",
            \.users.connections,
            1...64,
            "Connections to each server of the store from each of http.loops. From 2 on, the last is for long writes."
        ),
        .integer(
            "users.redis.timeout_ms",
            \.users.timeoutMilliseconds,
            1...60_000,
            """
            How long the store may take for a request. After that the caller gets 503, and the store is not contacted \
            for a pause that grows from 50 ms to 5 s while it is unavailable.
            """
        ),
    ]
}
