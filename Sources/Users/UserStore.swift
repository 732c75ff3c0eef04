// The interface of a store of user events, in this process or on another machine.

/// Something that a user did.
package struct UserEvent: Sendable, Hashable {
    /// The item's id as text, of 1 to 1 024 bytes; the catalogue may not know it, or not yet.
    package var item: String
    /// Seconds since the epoch.
    package var timestamp: Int64
    /// What was done, as text of 1 to 256 bytes; nil: not given.
    package var action: String?

    package init(item: String, timestamp: Int64, action: String? = nil) {
        self.item = item
        self.timestamp = timestamp
        self.action = action
    }

    /// Compared by bytes: Swift's strings treat "é" as one character and as two as equal.
    package static func == (left: Self, right: Self) -> Bool {
        left.timestamp == right.timestamp && left.item.utf8.elementsEqual(right.item.utf8)
            && (left.action == nil) == (right.action == nil)
            && (left.action ?? "").utf8.elementsEqual((right.action ?? "").utf8)
    }
}

/// An event with the user whose it is, of 1 to 256 bytes.
package struct IncomingEvent: Sendable, Equatable {
    package var user: String
    package var event: UserEvent

    package init(user: String, event: UserEvent) {
        self.user = user
        self.event = event
    }
}

/// What became of events.
package struct AppendOutcome: Sendable, Equatable {
    /// New events, including those older than what is stored.
    package var accepted = 0
    /// Events that are there already, equal in user, item, timestamp and action: they change nothing.
    package var duplicates = 0
    /// Whether they outlive this process.
    package var isPersisted = false

    package init() {}
}

/// A failed operation of a store.
package struct UserStoreError: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable {
        /// There is no room for more; stored events can still be read.
        case full
        /// The store does not work, or not now.
        case unavailable
        /// It cannot keep what it was given.
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

/// Stores the newest events of each user. Methods may be called on any thread; each completion is called once, on any
/// thread, and perhaps before the method returns.
package protocol UserStore: Sendable {
    /// The events of a user, oldest first, those of the same second in order of arrival; nil: there is no such user.
    func events(
        of user: String,
        _ completion: @escaping @Sendable (Result<[UserEvent]?, UserStoreError>) -> Void
    )

    /// The same as a model reads them.
    func history(
        of user: String,
        _ numbers: some EventNumbers,
        _ completion: @escaping @Sendable (Result<UserHistory?, UserStoreError>) -> Void
    )

    /// Keeps events: all of them or, with a failure, none.
    func append(
        _ events: [IncomingEvent],
        _ completion: @escaping @Sendable (Result<AppendOutcome, UserStoreError>) -> Void
    )

    /// Forgets a user for good; an unknown one is no failure.
    func delete(
        _ user: String,
        _ completion: @escaping @Sendable (Result<Void, UserStoreError>) -> Void
    )

    /// Servers of the store that are given up for the moment, and tried again.
    var openBreakers: Int { get }

    /// Ends the store's work; it may not be used afterwards.
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
