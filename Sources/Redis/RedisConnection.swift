// One connection to one server. Requests are sent in order and replies arrive in the same order, which is all that
// links a reply to its request. After anything unexpected the connection is therefore closed and never reused.

internal import HTTP

/// A request in progress, with the replies so far.
final class RedisJob {
    let request: RedisRequest
    /// When it fails, in nanoseconds of the monotonic clock.
    let deadline: UInt64
    let completion: @Sendable (Result<[RESPValue], RedisError>) -> Void
    /// Replies to the first commands; the later ones are sent again or have not been sent.
    var replies: [RESPValue] = []
    /// How often it was redirected to another node.
    var redirections = 0
    /// How often it was postponed or lost its connection.
    var retries = 0

    init(
        _ request: RedisRequest,
        deadline: UInt64,
        _ completion: @escaping @Sendable (Result<[RESPValue], RedisError>) -> Void
    ) {
        self.request = request
        self.deadline = deadline
        self.completion = completion
    }
}

/// The owner of a connection.
protocol RedisConnectionOwner: AnyObject {
    /// The server has accepted the connection. `mode` is what it reports: standalone, cluster or sentinel.
    func connectionReady(_ connection: RedisConnection, mode: String)
    /// All commands of a job that were sent, those from `job.replies.count` on, have replies.
    func connection(_ connection: RedisConnection, answered job: RedisJob, with replies: [RESPValue])
    /// The connection has ended. `unanswered` jobs are in order; `unsent` ones were never sent. `isAway` is false if
    /// only the connection may be at fault.
    func connection(
        _ connection: RedisConnection,
        failed reason: String,
        isAway: Bool,
        unanswered: [RedisJob],
        unsent: [RedisJob]
    )
}

/// A connection, used only on its loop.
final class RedisConnection: LoopSocketUser {
    /// Silence after which the server is pinged.
    private static let idleNanoseconds: UInt64 = 15_000_000_000
    /// Setting up a connection takes more round trips than a request, especially with TLS.
    private static let greetingNanoseconds: UInt64 = 1_000_000_000

    /// What the next replies answer.
    private enum Pending {
        /// The connection's own commands: HELLO and those after it, ASKING, PING.
        case own(Own)
        case job(RedisJob, count: Int)
    }

    private enum Own {
        case hello
        case select
        case asking
        case ping
    }

    let address: RedisAddress
    private let configuration: RedisConfiguration
    private weak var owner: (any RedisConnectionOwner)?
    private var socket: LoopSocket?
    private var parser: RESPParser
    private var pending: [(what: Pending, deadline: UInt64)] = []
    /// The first entry of `pending` without a reply.
    private var first = 0
    private var replies: [RESPValue] = []
    /// Jobs that wait until the server has accepted the connection.
    private var waiting: [(job: RedisJob, asking: Bool)] = []
    private(set) var isReady = false
    /// Whether the server has ever accepted the connection.
    private(set) var wasReady = false
    private var isOver = false
    private var greetingDeadline: UInt64?
    private var lastHeard: UInt64
    private var mode = "standalone"
    /// A lower bound of the deadlines in `pending` and `waiting`.
    private var earliest = UInt64.max

    init(
        to address: RedisAddress,
        _ configuration: RedisConfiguration,
        tls: TLSClientContext?,
        on sockets: LoopSockets,
        owner: any RedisConnectionOwner
    ) {
        self.address = address
        self.configuration = configuration
        self.owner = owner
        parser = RESPParser(limit: configuration.replyLimit)
        lastHeard = Syscall.now()
        greetingDeadline = lastHeard + max(Self.greetingNanoseconds, configuration.timeout)
        socket = sockets.connect(host: address.host, port: address.port, tls: tls, user: self)
    }

    /// Number of requests without a reply.
    var load: Int { pending.count - first + waiting.count }

    // MARK: Sending

    /// Sends the missing commands of a job, after `ASKING` if `asking`.
    func send(_ job: RedisJob, asking: Bool) {
        guard isReady else {
            waiting.append((job, asking))
            earliest = min(earliest, job.deadline)
            return
        }
        if asking { send(RedisCommand("ASKING"), .own(.asking), deadline: job.deadline) }
        var count = 0
        for command in job.request.commands[job.replies.count...] {
            socket?.send(command.bytes)
            count += 1
        }
        append(.job(job, count: count), job.deadline)
    }

    private func send(_ command: RedisCommand, _ what: Pending, deadline: UInt64) {
        socket?.send(command.bytes)
        append(what, deadline)
    }

    private func append(_ what: Pending, _ deadline: UInt64) {
        if first == pending.count {
            pending.removeAll(keepingCapacity: true)
            first = 0
        }
        pending.append((what, deadline))
        earliest = min(earliest, deadline)
    }

    // MARK: The socket

    func socketOpened() {
        let deadline = greetingDeadline ?? .max
        var words = ["HELLO", "3"]
        if let password = configuration.password { words += ["AUTH", configuration.user ?? "default", password] }
        words += ["SETNAME", "genrec"]
        send(RedisCommand(words), .own(.hello), deadline: deadline)
        if configuration.database > 0 {
            send(RedisCommand("SELECT", String(configuration.database)), .own(.select), deadline: deadline)
        }
    }

    func socketReceived(_ bytes: UnsafeRawBufferPointer) {
        lastHeard = Syscall.now()
        parser.append(bytes)
        do throws(RESPError) {
            while !isOver, let value = try parser.next() { take(value) }
        } catch {
            fail(error.message)
        }
    }

    func socketClosed(_ reason: String) { fail(reason, isAway: !wasReady) }

    private func take(_ value: RESPValue) {
        if case .push = value { return }
        guard first < pending.count else { return fail("sent an unexpected reply") }
        switch pending[first].what {
        case .own(let own):
            first += 1
            greeted(own, value)
        case .job(let job, let count):
            replies.append(value)
            guard replies.count == count else { return }
            first += 1
            let all = replies
            replies = []
            owner?.connection(self, answered: job, with: all)
        }
    }

    /// Handles a reply to one of the connection's own commands.
    private func greeted(_ own: Own, _ value: RESPValue) {
        if case .error(let words) = value, own != .asking, own != .ping {
            return fail(Self.refusal(words, database: own == .select))
        }
        switch own {
        case .hello: mode = value.value(of: "mode")?.string ?? "standalone"
        case .select: break
        case .asking, .ping: return
        }
        guard first == pending.count else { return }
        isReady = true
        wasReady = true
        greetingDeadline = nil
        let jobs = waiting
        waiting = []
        owner?.connectionReady(self, mode: mode)
        for (job, asking) in jobs where !isOver { send(job, asking: asking) }
    }

    /// The meaning of a refusal of HELLO or SELECT. Only the error code is reported, since the message may repeat the
    /// user or database.
    private static func refusal(_ words: String, database: Bool) -> String {
        let code = words.prefix { $0 != " " }
        switch code {
        case "WRONGPASS": return "refused the user or the password"
        case "NOAUTH": return "requires a password"
        case "NOPERM": return "does not permit this user to connect"
        case "ERR" where words.contains("unknown command"): return "is older than Redis 6.2, the minimum version"
        default: return database ? "refused the database (\(code))" : "refused the client (\(code))"
        }
    }

    // MARK: Time

    var nextDue: UInt64? {
        var due = min(earliest, greetingDeadline ?? .max)
        if isReady, first == pending.count { due = min(due, lastHeard + Self.idleNanoseconds) }
        return due == .max ? nil : due
    }

    func timePassed(_ now: UInt64) {
        guard !isOver else { return }
        if let greetingDeadline, now >= greetingDeadline { return fail("did not answer") }
        if now >= earliest {
            // The loop may have been busy while the replies arrived.
            if pending[first...].contains(where: { $0.deadline <= now }) { socket?.readNow() }
            guard !isOver else { return }
            if pending[first...].contains(where: { $0.deadline <= now }) { return fail("did not answer in time") }
            if waiting.contains(where: { $0.job.deadline <= now }) {
                let late = waiting.filter { $0.job.deadline <= now }
                waiting.removeAll { $0.job.deadline <= now }
                for (job, _) in late {
                    job.completion(.failure(RedisError("connecting to the store \(address) timed out")))
                }
            }
            earliest = min(
                pending[first...].map(\.deadline).min() ?? .max,
                waiting.map(\.job.deadline).min() ?? .max
            )
        }
        if isReady, first == pending.count, now >= lastHeard + Self.idleNanoseconds {
            send(RedisCommand("PING"), .own(.ping), deadline: now + configuration.timeout)
        }
    }

    // MARK: Ending

    /// Ends the connection and returns its jobs to the owner.
    func fail(_ reason: String, isAway: Bool = true) {
        guard !isOver else { return }
        isOver = true
        isReady = false
        socket?.close()
        socket = nil
        var unanswered: [RedisJob] = []
        for (what, _) in pending[first...] {
            if case .job(let job, _) = what { unanswered.append(job) }
        }
        let unsent = waiting.map(\.job)
        pending = []
        first = 0
        waiting = []
        owner?.connection(self, failed: reason, isAway: isAway, unanswered: unanswered, unsent: unsent)
    }
}
