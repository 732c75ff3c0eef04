// The interface of a store of user events, in this process or on other machines.

/// A user's action on an item.
package struct UserEvent: Sendable, Hashable {
    /// The item's id as text, 1 to 1 024 bytes; the catalogue need not know it yet.
    package var item: String
    /// Seconds since the epoch.
    package var timestamp: Int64
    /// The kind of action, as text of 1 to 256 bytes; nil: not given.
    package var action: String?

    package init(item: String, timestamp: Int64, action: String? = nil) {
        self.item = item
        self.timestamp = timestamp
        self.action = action
    }

    /// Compares bytes, because Swift's strings equate "é" as one character and as two.
    package static func == (left: Self, right: Self) -> Bool {
        left.timestamp == right.timestamp && left.item.utf8.elementsEqual(right.item.utf8)
            && (left.action == nil) == (right.action == nil)
            && (left.action ?? "").utf8.elementsEqual((right.action ?? "").utf8)
    }
}

/// An event with its user, an id of 1 to 256 bytes.
package struct IncomingEvent: Sendable, Equatable {
    package var user: String
    package var event: UserEvent

    package init(user: String, event: UserEvent) {
        self.user = user
        self.event = event
    }
}

/// What happened to a call's events.
package struct AppendOutcome: Sendable, Equatable {
    /// New events, including those older than everything stored.
    package var accepted = 0
    /// Events equal to a stored one in user, item, timestamp and action; they change nothing.
    package var duplicates = 0
    /// Whether the events outlive this process.
    package var isPersisted = false

    package init() {}
}

/// A failed operation of a store.
package struct UserStoreError: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable {
        /// There is no room for more events; stored ones can still be read.
        case full
        /// The store does not work at the moment.
        case unavailable
        /// The store cannot represent what it was given.
        case unusable
    }

    package let code: Code
    /// One sentence.
    package let description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}

/// Stores the newest events of each user. Methods may be called on any thread. Each completion is called exactly once,
/// on any thread, possibly before the method returns.
package protocol UserStore: Sendable {
    /// The events of a user, oldest first, equal times in order of arrival; nil: there is no such user.
    func events(
        of user: String,
        _ completion: @escaping @Sendable (Result<[UserEvent]?, UserStoreError>) -> Void
    )

    /// A user's events as a model reads them; nil: there is no such user.
    func history(
        of user: String,
        _ numbers: some EventNumbers,
        _ completion: @escaping @Sendable (Result<UserHistory?, UserStoreError>) -> Void
    )

    /// Stores events: all of them or, on a failure, none.
    func append(
        _ events: [IncomingEvent],
        _ completion: @escaping @Sendable (Result<AppendOutcome, UserStoreError>) -> Void
    )

    /// Deletes a user permanently; deleting an unknown user succeeds.
    func delete(
        _ user: String,
        _ completion: @escaping @Sendable (Result<Void, UserStoreError>) -> Void
    )

    /// Number of servers of the store that are not used for now because they failed.
    var openBreakers: Int { get }

    /// Ends the store's work; it must not be used afterwards.
    func close()
}

extension UserStore {
    package var openBreakers: Int { 0 }

    package func history(
        of user: String,
        _ numbers: some EventNumbers,
        _ completion: @escaping @Sendable (Result<UserHistory?, UserStoreError>) -> Void
    ) {
        events(of: user) { result in completion(result.map { $0.map { UserHistory($0, numbers) } }) }
    }
}
