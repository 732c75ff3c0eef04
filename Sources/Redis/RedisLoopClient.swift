// The client's part on one loop: chooses a server for each request and handles redirections, delays and failures.

internal import HTTP

/// The part of a client on one loop.
///
/// `@unchecked Sendable`: used only on its loop.
final class RedisLoopClient: LoopResident, RedisConnectionOwner, @unchecked Sendable {
    /// The most redirections of one request.
    private static let maximumRedirections = 5
    /// The time between refreshes of the slot map if it seems outdated; otherwise `routineNanoseconds`.
    private static let refreshNanoseconds: UInt64 = 50_000_000
    private static let routineNanoseconds: UInt64 = 30_000_000_000

    private let configuration: RedisConfiguration
    private let tls: TLSClientContext?
    private unowned let sockets: LoopSockets
    /// Called with the change in the number of open breakers, 1 or -1, and the reason.
    private let breakerChanged: (Int, String) -> Void
    private var nodes: [RedisAddress: RedisNode] = [:]
    private var slots = RedisSlotMap()
    private var isCluster = false
    private var isRefreshing = false
    private var refreshAt: UInt64?
    private var refreshTurn = 0
    /// Postponed jobs, with the time of the next attempt.
    private var delayed: [(due: UInt64, job: RedisJob)] = []
    private var isOver = false
    private var random = SystemRandomNumberGenerator()

    init(
        _ configuration: RedisConfiguration,
        tls: TLSClientContext?,
        on sockets: LoopSockets,
        breakerChanged: @escaping (Int, String) -> Void
    ) {
        self.configuration = configuration
        self.tls = tls
        self.sockets = sockets
        self.breakerChanged = breakerChanged
    }

    // MARK: Requests

    func send(
        _ request: RedisRequest,
        _ completion: @escaping @Sendable (Result<[RESPValue], RedisError>) -> Void
    ) {
        let now = Syscall.now()
        route(RedisJob(request, deadline: now + configuration.timeout, completion), now)
    }

    /// Sends a job to the server that has its key's slot.
    private func route(_ job: RedisJob, _ now: UInt64) {
        guard !isOver else { return job.completion(.failure(RedisError("the client of the store has stopped"))) }
        guard now < job.deadline else {
            return job.completion(.failure(RedisError("the store did not answer in time")))
        }
        if let address = slots[RedisSlot.of(job.request.key)], isCluster {
            send(job, to: node(address), asking: false, now)
        } else {
            // Any server will do: a node of a cluster redirects to the right one.
            let seeds = configuration.seeds.map(node)
            send(job, to: seeds.first { !$0.breaker.isOpen } ?? seeds[0], asking: false, now)
        }
    }

    private func send(_ job: RedisJob, to node: RedisNode, asking: Bool, _ now: UInt64) {
        if node.breaker.isOpen {
            return job.completion(.failure(RedisError("the store \(node.address) is unavailable")))
        }
        connection(of: node, lane: node.lane(isBulk: job.request.isBulk)).send(job, asking: asking)
    }

    private func node(_ address: RedisAddress) -> RedisNode {
        if let node = nodes[address] { return node }
        let node = RedisNode(address, lanes: configuration.connections)
        nodes[address] = node
        return node
    }

    private func connection(of node: RedisNode, lane: Int) -> RedisConnection {
        if let connection = node.lanes[lane] { return connection }
        let connection = RedisConnection(to: node.address, configuration, tls: tls, on: sockets, owner: self)
        node.lanes[lane] = connection
        return connection
    }

    // MARK: Answers

    func connectionReady(_ connection: RedisConnection, mode: String) {
        closeBreaker(of: node(connection.address))
        if mode == "cluster", !isCluster {
            isCluster = true
            refreshSoon(Syscall.now())
        }
    }

    private func closeBreaker(of node: RedisNode) {
        guard node.breaker.isOpen else { return }
        node.breaker.succeeded()
        breakerChanged(-1, "the store \(node.address) is available again")
    }

    func connection(_ connection: RedisConnection, answered job: RedisJob, with replies: [RESPValue]) {
        var redirection: RedisRedirection?
        for reply in replies {
            if case .error(let words) = reply, let other = RedisRedirection(words, from: connection.address) {
                redirection = other
                break
            }
            // Executed commands are not sent again, wherever the rest has to go.
            job.replies.append(reply)
        }
        guard let redirection else { return job.completion(.success(job.replies)) }
        let now = Syscall.now()
        switch redirection {
        case .moved(let slot, let address):
            isCluster = true
            slots[slot] = address
            refreshSoon(now)
            redirect(job, to: address, asking: false, now)
        case .ask(let address): redirect(job, to: address, asking: true, now)
        case .later(let mapIsOld):
            if mapIsOld, isCluster { refreshSoon(now) }
            putOff(job, now)
        }
    }

    private func redirect(_ job: RedisJob, to address: RedisAddress, asking: Bool, _ now: UInt64) {
        job.redirections += 1
        guard job.redirections <= Self.maximumRedirections else {
            return job.completion(.failure(RedisError("the store's nodes redirect in a loop")))
        }
        guard now < job.deadline else {
            return job.completion(.failure(RedisError("the store did not answer in time")))
        }
        send(job, to: node(address), asking: asking, now)
    }

    /// Tries again shortly, with a delay that doubles each time.
    private func putOff(_ job: RedisJob, _ now: UInt64) {
        let due = now + 5_000_000 << UInt64(min(job.retries, 8))
        job.retries += 1
        guard due < job.deadline else {
            return job.completion(.failure(RedisError("the store's cluster is not ready")))
        }
        delayed.append((due, job))
    }

    func connection(
        _ connection: RedisConnection,
        failed reason: String,
        isAway: Bool,
        unanswered: [RedisJob],
        unsent: [RedisJob]
    ) {
        let now = Syscall.now()
        let node = node(connection.address)
        if let lane = node.lanes.firstIndex(where: { $0 === connection }) { node.lanes[lane] = nil }
        guard !isOver else {
            for job in unanswered + unsent {
                job.completion(.failure(RedisError("the client of the store has stopped")))
            }
            return
        }
        let message = "the store \(node.address) \(reason)"
        if isAway {
            if !node.breaker.isOpen { breakerChanged(1, message) }
            node.breaker.failed(now, spread: Double.random(in: 0..<1, using: &random))
        }
        if isCluster { refreshSoon(now) }
        for job in unsent + unanswered.filter(\.request.isRepeatable) {
            job.retries += 1
            if job.retries > 2 || now >= job.deadline || isAway && !hasOthers(node) {
                job.completion(.failure(RedisError(message)))
            } else if isAway {
                putOff(job, now)
            } else {
                route(job, now)
            }
        }
        for job in unanswered where !job.request.isRepeatable { job.completion(.failure(RedisError(message))) }
    }

    private func hasOthers(_ node: RedisNode) -> Bool {
        isCluster || configuration.seeds.contains { $0 != node.address }
    }

    // MARK: The map of slots

    private func refreshSoon(_ now: UInt64) {
        guard !isRefreshing else { return }
        refreshAt = min(refreshAt ?? .max, now)
    }

    /// Asks one node at a time which nodes have which slots.
    private func refresh(_ now: UInt64) {
        let known =
            configuration.seeds + nodes.keys.filter { !configuration.seeds.contains($0) }.sorted { "\($0)" < "\($1)" }
        let candidates = known.filter { nodes[$0]?.breaker.isOpen != true }
        refreshAt = now + Self.refreshNanoseconds
        guard !candidates.isEmpty else { return }
        refreshTurn += 1
        let address = candidates[refreshTurn % candidates.count]
        isRefreshing = true
        let request = RedisRequest([RedisCommand("CLUSTER", "SLOTS")], key: "", isRepeatable: false, isBulk: false)
        let job = RedisJob(request, deadline: now + max(configuration.timeout, 100_000_000)) { [weak self] result in
            // Runs on this loop, like all completions of its jobs.
            self?.refreshed(result, from: address)
        }
        send(job, to: node(address), asking: false, now)
    }

    private func refreshed(_ result: Result<[RESPValue], RedisError>, from address: RedisAddress) {
        isRefreshing = false
        guard case .success(let replies) = result, let map = replies.first.flatMap({ RedisSlotMap($0, from: address) })
        else {
            return
        }
        slots = map
        // The other nodes may not have noticed yet that one is down.
        let isWhole = map.nodes.allSatisfy { nodes[$0]?.breaker.isOpen != true }
        refreshAt = Syscall.now() + (isWhole ? Self.routineNanoseconds : 4 * Self.refreshNanoseconds)
        // Drops nodes that have left, unless they still have connections.
        for (address, node) in nodes where !map.nodes.contains(address) && !configuration.seeds.contains(address) {
            if node.breaker.isOpen {
                breakerChanged(-1, "the store \(address) has left the cluster")
                nodes[address] = nil
            } else if node.isIdle {
                nodes[address] = nil
            }
        }
    }

    // MARK: Time

    var nextDue: UInt64? {
        var due = UInt64.max
        for node in nodes.values {
            due = min(due, node.breaker.retryAt ?? .max)
            for case let connection? in node.lanes { due = min(due, connection.nextDue ?? .max) }
        }
        for (time, _) in delayed { due = min(due, time) }
        if isCluster, !isRefreshing { due = min(due, refreshAt ?? .max) }
        return due == .max ? nil : due
    }

    func timePassed(_ now: UInt64) {
        for node in Array(nodes.values) {
            for case let connection? in node.lanes { connection.timePassed(now) }
            if let retryAt = node.breaker.retryAt, now >= retryAt {
                guard !node.lanes.contains(where: { $0?.isReady == true }) else {
                    // Another connection has succeeded.
                    closeBreaker(of: node)
                    continue
                }
                // A successful greeting closes the breaker; a failure sets the next attempt.
                node.breaker.tries(until: now + 10_000_000_000)
                _ = connection(of: node, lane: 0)
            }
        }
        if isCluster, !isRefreshing, now >= refreshAt ?? .max { refresh(now) }
        guard delayed.contains(where: { $0.due <= now }) else { return }
        let due = delayed.filter { $0.due <= now }
        delayed.removeAll { $0.due <= now }
        for (_, job) in due { route(job, now) }
    }

    func loopEnded() {
        isOver = true
        for node in nodes.values {
            for case let connection? in node.lanes { connection.fail("is no longer needed") }
        }
        for (_, job) in delayed { job.completion(.failure(RedisError("the client of the store has stopped"))) }
        delayed = []
        nodes = [:]
    }
}
