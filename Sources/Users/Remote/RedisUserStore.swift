// The store that several servers share: one list per user in Redis or Valkey. Servers sort and drop duplicates when
// reading, so programs that only append may write too.

internal import Dispatch
package import HTTP
internal import Locking
package import Redis

/// The settings of a store in Redis.
package struct RedisUserStoreConfiguration: Sendable, Equatable {
    package var redis: RedisConfiguration
    /// The prefix of keys.
    package var prefix: String
    /// The most events stored per user, keeping the newest; at least 1.
    package var maxEvents: Int
    /// Seconds after the last event when a user is deleted; nil: never.
    package var lifetime: UInt32?

    package init(redis: RedisConfiguration, prefix: String, maxEvents: Int, lifetime: UInt32?) {
        self.redis = redis
        self.prefix = prefix
        self.maxEvents = maxEvents
        self.lifetime = lifetime
        // Room for an event's item, action, timestamp and framing.
        self.redis.replyLimit = max(1 << 20, maxEvents * 1_400)
    }
}

/// Stores users' events in Redis.
package final class RedisUserStore: UserStore {
    /// The most users of one call that are written at the same time.
    private static let window = 32
    /// How often a rewrite is tried if others change the list meanwhile.
    private static let rewrites = 5

    /// Replaces the list at KEYS[1] with ARGV[4]… if its elements from index ARGV[3] on still are ARGV[1], joined by
    /// line feeds. The list expires after ARGV[2] seconds, 0: never. Earlier elements may come from an interrupted call
    /// that pushed but did not trim.
    private static let rewriteScript = """
        if table.concat(redis.call('LRANGE', KEYS[1], ARGV[3], -1), '\\n') ~= ARGV[1] then return 0 end
        redis.call('DEL', KEYS[1])
        for index = 4, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[index]) end
        if ARGV[2] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
        return 1
        """

    private let configuration: RedisUserStoreConfiguration
    private let client: RedisClient
    /// Sorts events, to keep that work off the event loops.
    private let queue = DispatchQueue(label: "genrec.users.redis", qos: .utility)

    /// - Parameter report: called when a server fails or recovers, with the reason.
    /// - Throws: `TLSError` if TLS cannot be set up.
    package init(
        _ configuration: RedisUserStoreConfiguration,
        report: @escaping @Sendable (String) -> Void
    ) throws(TLSError) {
        self.configuration = configuration
        client = try RedisClient(configuration.redis, report: report)
    }

    /// Puts the store's connections on these loops; before that, the store is unavailable.
    package func attach(to loops: [LoopHandle]) { client.attach(to: loops) }

    package var openBreakers: Int { client.openBreakers }

    package func close() {}

    /// The key of a user's list. The braces make the user alone determine the cluster slot, whatever the prefix is.
    private func key(_ user: String) -> String { "\(configuration.prefix)u:{\(user)}" }

    private var newest: String { String(-configuration.maxEvents) }

    // MARK: Reading

    package func events(
        of user: String,
        _ completion: @escaping @Sendable (Result<[UserEvent]?, UserStoreError>) -> Void
    ) {
        let count = configuration.maxEvents
        read(user, isBulk: false) { result in
            completion(
                result.map { $0.isEmpty ? nil : EventHistory.tidied($0.compactMap(StoredEvent.read), newest: count) }
            )
        }
    }

    /// The raw elements of a user's list.
    private func read(
        _ user: String,
        isBulk: Bool,
        _ completion: @escaping @Sendable (Result<[ArraySlice<UInt8>], UserStoreError>) -> Void
    ) {
        let request = RedisRequest(
            [RedisCommand("LRANGE", key(user), newest, "-1")],
            key: key(user),
            isRepeatable: true,
            isBulk: isBulk
        )
        client.send(request) { result in
            switch Self.replies(result) {
            case .success(let replies):
                guard let elements = replies.first?.elements else {
                    return completion(
                        .failure(UserStoreError(.unavailable, "the store answered with something other than a list"))
                    )
                }
                completion(.success(elements.compactMap { if case .text(let bytes) = $0 { bytes } else { nil } }))
            case .failure(let error): completion(.failure(error))
            }
        }
    }

    /// The replies, or the first error among them.
    private static func replies(_ result: Result<[RESPValue], RedisError>) -> Result<[RESPValue], UserStoreError> {
        switch result {
        case .success(let replies):
            for case .error(let words) in replies {
                // Only the error code: the message may repeat a key, which names a user.
                let code = words.prefix { $0 != " " }
                return .failure(UserStoreError(code == "OOM" ? .full : .unavailable, "the store answered \(code)"))
            }
            return .success(replies)
        case .failure(let error): return .failure(UserStoreError(.unavailable, error.description))
        }
    }

    // MARK: Writing

    package func append(
        _ events: [IncomingEvent],
        _ completion: @escaping @Sendable (Result<AppendOutcome, UserStoreError>) -> Void
    ) {
        var users: [(user: String, events: [UserEvent])] = []
        // Keyed by the ids' bytes, which are the keys in Redis.
        var places: [[UInt8]: Int] = [:]
        for event in events {
            guard StoredEvent.text(event.event) != nil else {
                completion(
                    .failure(UserStoreError(.unusable, "an action must not contain a tab when the store is Redis"))
                )
                return
            }
            let place = places[Array(event.user.utf8), default: users.count]
            if place == users.count {
                places[Array(event.user.utf8)] = place
                users.append((event.user, []))
            }
            users[place].events.append(event.event)
        }
        let run = AppendRun(users, count: events.count, completion)
        for _ in 0..<min(Self.window, max(1, users.count)) { appendNext(run) }
    }

    /// Appends the events of the next user of a call, then continues with the one after.
    private func appendNext(_ run: AppendRun) {
        guard let (user, events) = run.next() else { return }
        append(events, to: user, tries: Self.rewrites) { [self] result in
            run.ended(result)
            // Asynchronously, because an immediate reply would recurse on this stack.
            queue.async { [self] in appendNext(run) }
        }
    }

    /// Appends events of one user.
    ///
    /// - Parameter completion: receives the number of new events.
    private func append(
        _ events: [UserEvent],
        to user: String,
        tries: Int,
        _ completion: @escaping @Sendable (Result<Int, UserStoreError>) -> Void
    ) {
        read(user, isBulk: true) { [self] result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let elements):
                queue.async { [self] in
                    let list = elements.compactMap(StoredEvent.read)
                    let change = EventHistory.adding(events, to: list, newest: configuration.maxEvents)
                    if let appended = change.appended, list.count == elements.count {
                        push(Array(appended), to: user) { completion($0.map { change.accepted }) }
                    } else {
                        rewrite(user, elements, change, added: events, tries: tries, completion)
                    }
                }
            }
        }
    }

    /// Appends to the list, trims it to the newest events, and renews its expiry.
    private func push(
        _ events: [UserEvent],
        to user: String,
        _ completion: @escaping @Sendable (Result<Void, UserStoreError>) -> Void
    ) {
        let key = key(user)
        var commands: [RedisCommand] = []
        if !events.isEmpty {
            commands.append(RedisCommand(["RPUSH", key] + events.compactMap(StoredEvent.text)))
            commands.append(RedisCommand("LTRIM", key, newest, "-1"))
        }
        if let lifetime = configuration.lifetime { commands.append(RedisCommand("EXPIRE", key, String(lifetime))) }
        guard !commands.isEmpty else { return completion(.success(())) }
        // Without a push, repeating the request does no harm.
        let request = RedisRequest(commands, key: key, isRepeatable: events.isEmpty, isBulk: true)
        client.send(request) { result in completion(Self.replies(result).map { _ in }) }
    }

    /// Rewrites the list, because events came late or it had duplicates. Retries if others change it meanwhile.
    private func rewrite(
        _ user: String,
        _ elements: [ArraySlice<UInt8>],
        _ change: EventHistory.Change,
        added events: [UserEvent],
        tries: Int,
        _ completion: @escaping @Sendable (Result<Int, UserStoreError>) -> Void
    ) {
        let key = key(user)
        let list = elements.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
        let words = ["EVAL", Self.rewriteScript, "1", key, list, String(configuration.lifetime ?? 0), newest]
        let command = RedisCommand(words + change.kept.compactMap(StoredEvent.text))
        client.send(RedisRequest([command], key: key, isRepeatable: false, isBulk: true)) { [self] result in
            switch result {
            case .failure(let error): completion(.failure(UserStoreError(.unavailable, error.description)))
            case .success(let replies):
                if replies.first?.integer == 1 { return completion(.success(change.accepted)) }
                if replies.first?.integer == 0, tries > 1 {
                    return append(events, to: user, tries: tries - 1, completion)
                }
                // Scripts are disabled or too many writers interfered, so only append: readers sort the list.
                let known = Set(elements.compactMap(StoredEvent.read))
                push(events.filter { !known.contains($0) }, to: user) { completion($0.map { change.accepted }) }
            }
        }
    }

    package func delete(
        _ user: String,
        _ completion: @escaping @Sendable (Result<Void, UserStoreError>) -> Void
    ) {
        let request = RedisRequest([RedisCommand("DEL", key(user))], key: key(user), isRepeatable: true, isBulk: false)
        client.send(request) { result in completion(Self.replies(result).map { _ in }) }
    }
}

/// The users of a call, some of them in progress. The call completes when none is in progress, even after a failure: a
/// caller that repeats it must not meet its own writes, whose duplicates would push older events out of a list.
private final class AppendRun: Sendable {
    private struct State {
        var users: [(user: String, events: [UserEvent])]
        var running = 0
        var accepted = 0
        var failure: UserStoreError?
    }

    private let state: Lock<State>
    private let count: Int
    private let completion: @Sendable (Result<AppendOutcome, UserStoreError>) -> Void

    init(
        _ users: [(user: String, events: [UserEvent])],
        count: Int,
        _ completion: @escaping @Sendable (Result<AppendOutcome, UserStoreError>) -> Void
    ) {
        state = Lock(State(users: users))
        self.count = count
        self.completion = completion
        if users.isEmpty { finish(accepted: 0) }
    }

    /// The next user to start; nil: there is none, or a user has failed.
    func next() -> (user: String, events: [UserEvent])? {
        state.withLock { state in
            guard let next = state.users.popLast() else { return nil }
            state.running += 1
            return next
        }
    }

    /// Records a user's result. After a failure no further user is started.
    func ended(_ result: Result<Int, UserStoreError>) {
        let outcome: Result<Int, UserStoreError>? = state.withLock { state in
            state.running -= 1
            switch result {
            case .success(let accepted): state.accepted += accepted
            case .failure(let error):
                state.failure = state.failure ?? error
                state.users = []
            }
            guard state.running == 0, state.users.isEmpty else { return nil }
            return state.failure.map { .failure($0) } ?? .success(state.accepted)
        }
        switch outcome {
        case nil: break
        case .success(let accepted): finish(accepted: accepted)
        case .failure(let error): completion(.failure(error))
        }
    }

    private func finish(accepted: Int) {
        var outcome = AppendOutcome()
        outcome.accepted = accepted
        outcome.duplicates = count - accepted
        outcome.isPersisted = true
        completion(.success(outcome))
    }
}
