// The settings of the section `users`: whether the server keeps what users did, where, and for how long.

package import Users

/// The store of users' events.
package struct UserStoreSettings: Sendable, Equatable {
    /// Where events are kept.
    package enum Kind: String, Sendable, CaseIterable {
        case none
        case local
    }

    /// When events are on the disk.
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

    /// What a local store is made of; nil: there is none.
    package var local: LocalUserStoreConfiguration? {
        guard kind == .local, let directory else { return nil }
        return LocalUserStoreConfiguration(
            directory: directory,
            maxEvents: maxEvents,
            lifetime: lifetimeDays == 0 ? nil : UInt32(lifetimeDays) * 86_400,
            syncsAlways: sync == .always
        )
    }
}

extension ServiceConfiguration {
    static let userSettings: [Setting] = [
        .choice(
            "users.store",
            \.users.kind,
            """
            Where what users did is kept, so that callers send events as they happen and ask by user. none: callers send \
            histories. local: in this process, with a journal in users.local.directory.
            """
        ).checked {
            $0.users.kind == .local && $0.users.directory == nil ? ": local needs users.local.directory" : nil
        },
        .integer("users.max_events", \.users.maxEvents, 1...1_000_000, "The newest events that are kept of each user."),
        .integer(
            "users.ttl_days",
            \.users.lifetimeDays,
            0...36_500,
            "A user of whom nothing came for so many days is forgotten. 0: never."
        ),
        .text(
            "users.local.directory",
            \.users.directory,
            allowed: "a directory",
            """
            The folder of the local store; it is made if it is not there. One process at a time owns it. It must be set for \
            users.store: local.
            """
        ),
        .choice(
            "users.local.sync",
            \.users.sync,
            """
            interval: events are in the journal before they are acknowledged, which a crash of the process does not harm, and \
            on the disk a tenth of a second later. always: on the disk before they are acknowledged.
            """
        ),
    ]
}
