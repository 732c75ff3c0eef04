// One thread of a load test: an epoll loop that sends requests when they are due and counts their outcomes. It shares
// nothing but the stop flag.

internal import CLinux
internal import Glibc
internal import HTTP
internal import HeapModule
internal import Random
internal import Synchronization

/// Tells workers to stop immediately.
final class StopFlag: Sendable {
    private let isSet = Atomic<Bool>(false)

    var value: Bool { isSet.load(ordering: .relaxed) }
    func set() { isSet.store(true, ordering: .relaxed) }
}

/// The state of one worker. Times are nanoseconds since the start of the run.
struct LoadWorker: ~Copyable {
    /// When the caller of a request disconnects.
    private struct Departure: Comparable {
        var time: UInt64
        var slot: Int
        /// The request's serial number; the connection may carry another request by then.
        var serial: Int
        static func < (left: Departure, right: Departure) -> Bool { left.time < right.time }
    }

    /// The requests' bytes before the body.
    struct Heads: Sendable {
        let request: RequestHead
        let event: RequestHead
    }

    /// How often all connections are checked for timeouts; also the longest wait before the stop flag is seen.
    private static let lookInterval: UInt64 = 20_000_000
    /// How long a closed loop pauses after a failed connection attempt.
    private static let reconnectPause: UInt64 = 100_000_000
    private static let bufferBytes = 65_536

    private let plan: LoadPlan
    private let address: SocketAddress
    private let heads: Heads
    private let stop: StopFlag
    /// The clock's reading at the start of the run.
    private let origin: UInt64
    private let epoll: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 64)
    private let events = UnsafeMutableBufferPointer<CLinux_epoll_event>.allocate(capacity: Int(CLinux_epoll_batch))

    private var workload: Workload
    /// Replaces the workload when events and requests by user are sent.
    private var replay: Replay?
    private var recorder: LoadRecorder
    /// Nil in a closed loop.
    private var schedule: PoissonSchedule?
    /// Draws everything except the requests.
    private var generator: SplitMix64
    private var connections: [LoadConnection]
    private var idle: [Int] = []
    private var closed: [Int]
    private var busyCount = 0
    private var serial = 0
    private var departures = Heap<Departure>()
    /// The mean latency of replies, each new one weighted 1/64; departures are drawn within it.
    private var meanLatency = 10_000_000.0
    /// When all connections were last found to be in use.
    private var blockedAt: UInt64?
    /// A closed loop does not connect before this time.
    private var pausedUntil: UInt64 = 0
    private var nextLook: UInt64 = 0
    /// Whether the time to start requests is over.
    private var isOver = false

    /// - Throws: if the system has no epoll descriptor left.
    init(
        plan: LoadPlan,
        address: SocketAddress,
        heads: Heads,
        histories: [History],
        origin: UInt64,
        stop: StopFlag
    ) throws(LoadError) {
        epoll = CLinux_epoll_create()
        guard epoll >= 0 else { throw LoadError("cannot create an epoll descriptor: \(Syscall.message(errno))") }
        self.plan = plan
        self.address = address
        self.heads = heads
        self.stop = stop
        self.origin = origin
        generator = SplitMix64(seed: plan.seed)
        workload = Workload(histories: histories, settings: plan.workload, seed: generator.next())
        replay = plan.workload.eventShare.map { share in
            Replay(histories: histories, settings: plan.workload, eventShare: share, seed: plan.seed)
        }
        recorder = LoadRecorder(deadline: plan.deadline, keepsTrace: plan.keepsTrace)
        let count: Int
        switch plan.arrivals {
        case .open(let rate):
            schedule = PoissonSchedule(rate: rate, seed: generator.next())
            count = plan.maximumConnections
        case .closed(let connections):
            schedule = nil
            count = connections
        }
        connections = Array(repeating: LoadConnection(), count: count)
        closed = Array((0..<count).reversed())
    }

    deinit {
        for var connection in connections { connection.close() }
        Syscall.close(epoll)
        buffer.deallocate()
        events.deallocate()
    }

    private var now: UInt64 {
        let clock = Syscall.now()
        return clock > origin ? clock - origin : 0
    }

    // MARK: The loop

    /// Sends and counts until the plan's time is over and every request has ended, or until stopped.
    ///
    /// - Returns: the counts, and the nanoseconds for which requests were due.
    mutating func run() -> (recorder: LoadRecorder, duration: UInt64) {
        waitForStart()
        while !stop.value {
            let time = now
            dispatch(time)
            endAbandoned(time)
            look(time)
            if time >= plan.duration, busyCount == 0 { break }
            wait(for: patience(now))
        }
        let end = min(now, plan.duration)
        for slot in connections.indices where isUnderWay(slot) {
            finish(slot, .unfinished, now)
        }
        while let due = schedule?.next, due < end {
            recorder.unsent += 1
            schedule?.advance()
        }
        return (recorder, end)
    }

    private func waitForStart() {
        let clock = Syscall.now()
        guard origin > clock else { return }
        usleep(UInt32((origin - clock) / 1_000))
    }

    /// The time until something is due.
    private func patience(_ time: UInt64) -> UInt64 {
        var next = nextLook
        if let departure = departures.min?.time { next = min(next, departure) }
        if time < plan.duration {
            next = min(next, plan.duration)
            if blockedAt == nil {
                if let due = schedule?.next {
                    next = min(next, due)
                } else if busyCount < connections.count {
                    next = min(next, pausedUntil)
                }
            }
        }
        return next > time ? next - time : 0
    }

    private mutating func wait(for nanoseconds: UInt64) {
        let epoll = self.epoll
        let events = self.events
        let result = Syscall.retrying {
            Int(CLinux_epoll_wait_nanoseconds(epoll, events.baseAddress, Int32(events.count), nanoseconds))
        }
        guard case .value(let count) = result else { return }
        for index in 0..<count {
            take(events[index])
            // A request may have become due between two events; it must not wait for the remaining ones.
            dispatch(now)
        }
    }

    /// Ends requests that have timed out, late by up to the interval, which is small compared to the timeout.
    private mutating func look(_ time: UInt64) {
        guard time >= nextLook else { return }
        nextLook = time + Self.lookInterval
        for slot in connections.indices where isUnderWay(slot) && connections[slot].request.timeout <= time {
            finish(slot, .timeout, time)
        }
    }

    private func isUnderWay(_ slot: Int) -> Bool {
        switch connections[slot].state {
        case .connecting, .busy: true
        case .closed, .idle: false
        }
    }

    // MARK: Sending

    /// Starts every request that is due. The last call, at or after the end, starts those that came due since the
    /// previous call; any that find no free connection then are never sent.
    private mutating func dispatch(_ time: UInt64) {
        guard !isOver else { return }
        isOver = time >= plan.duration
        if schedule == nil {
            while !isOver, busyCount < connections.count, time >= pausedUntil, begin(intended: time, time, lag: 0) {}
            return
        }
        while let due = schedule?.next, due <= time, due < plan.duration {
            if idle.isEmpty, closed.isEmpty {
                blockedAt = time
                return
            }
            // If it was due while nothing was free, the server caused the delay, not the load generator.
            let hasWaited = blockedAt.map { due <= $0 } ?? false
            let start = now
            guard begin(intended: due, start, lag: hasWaited ? nil : start - due) else { return }
            schedule?.advance()
        }
        blockedAt = nil
    }

    /// Starts a request on an idle or new connection. False if there is neither.
    private mutating func begin(intended: UInt64, _ time: UInt64, lag: UInt64?) -> Bool {
        let isNew = idle.isEmpty
        guard let slot = isNew ? closed.popLast() : idle.popLast() else { return false }
        let visitor: Visitor?
        let step: Replay.Step
        if let next = replay?.next() {
            (visitor, step) = (nil, next)
        } else {
            let (next, isReturning) = workload.next()
            visitor = next
            step = Replay.Step(isEvent: false, body: workload.body(of: next), isReturning: isReturning)
        }
        if step.isEvent {
            recorder.eventBegan(lag: lag)
        } else {
            recorder.began(isReturning: step.isReturning, lag: lag)
        }
        busyCount += 1
        serial += 1
        connections[slot].request = .init(
            visitor: visitor,
            isEvent: step.isEvent,
            serial: serial,
            intended: intended,
            begun: time,
            timeout: time + plan.timeout
        )
        (step.isEvent ? heads.event : heads.request).write(step.body, to: &connections[slot].output)
        if isNew {
            guard connections[slot].open(address, epoll: epoll, slot: slot) else {
                finish(slot, .connectError, time)
                return true
            }
            recorder.connectionsOpened += 1
        }
        connections[slot].beginRequest()
        if plan.abandonShare > 0, generator.happens(plan.abandonShare) {
            let stay = generator.uniform() * meanLatency
            departures.insert(Departure(time: time + UInt64(stay), slot: slot, serial: serial))
        }
        if !isNew {
            connections[slot].state = .busy
            send(slot)
        }
        return true
    }

    private func token(_ slot: Int) -> UInt64 { UInt64(connections[slot].generation) << 32 | UInt64(slot) }

    private mutating func send(_ slot: Int) {
        guard let count = connections[slot].send() else {
            // The server may have sent a last reply before it closed.
            return receive(slot, isClosing: true)
        }
        recorder.bytesSent += count
    }

    /// Closes the connections whose callers disconnect now.
    private mutating func endAbandoned(_ time: UInt64) {
        while let departure = departures.min, departure.time <= time {
            _ = departures.popMin()
            let isSame = connections[departure.slot].request.serial == departure.serial
            if isSame, isUnderWay(departure.slot) { finish(departure.slot, .abandoned, time) }
        }
    }

    // MARK: Receiving

    private mutating func take(_ event: CLinux_epoll_event) {
        let slot = Int(event.token & 0xFFFF_FFFF)
        guard event.token == token(slot), connections[slot].state != .closed else { return }
        let isClosing = event.events & (CLinux_EPOLLRDHUP | CLinux_EPOLLHUP | CLinux_EPOLLERR) != 0
        if connections[slot].state == .connecting {
            guard event.events & (CLinux_EPOLLOUT | CLinux_EPOLLHUP | CLinux_EPOLLERR) != 0 else { return }
            guard connections[slot].connectError() == 0 else { return finish(slot, .connectError, now) }
            connections[slot].state = .busy
            send(slot)
        } else if connections[slot].state == .busy, !connections[slot].isSent, event.events & CLinux_EPOLLOUT != 0 {
            send(slot)
        }
        guard isClosing || event.events & CLinux_EPOLLIN != 0, connections[slot].state != .closed else { return }
        receive(slot, isClosing: isClosing)
    }

    private mutating func receive(_ slot: Int, isClosing: Bool) {
        let isIdle = connections[slot].state == .idle
        var received = 0
        let progress = connections[slot].receive(buffer, isClosing: isClosing, received: &received)
        recorder.bytesReceived += received
        if isIdle {
            // No request is open: the server closes the connection or announces that (408).
            guard progress != .waiting || received > 0 else { return }
            connections[slot].close()
            idle.removeAll { $0 == slot }
            closed.append(slot)
            return
        }
        switch progress {
        case .waiting: break
        case .replied: finish(slot, .status(connections[slot].status), now)
        case .lost: finish(slot, .connectionLost, now)
        case .notHTTP: finish(slot, .notHTTP, now)
        }
    }

    /// Ends a request; its connection becomes idle or is closed.
    private mutating func finish(_ slot: Int, _ outcome: Outcome, _ time: UInt64) {
        busyCount -= 1
        let request = connections[slot].request
        let end = max(time, request.begun)
        if request.isEvent {
            recorder.eventEnded(outcome, intended: request.intended, end: end)
        } else {
            recorder.ended(outcome, intended: request.intended, begun: request.begun, end: end)
        }
        var keeps = false
        if case .status(let status) = outcome {
            if status == 200, !request.isEvent {
                recorder.read(connections[slot].body.withUnsafeBufferPointer { ReplyFacts(json: $0) })
            }
            if let visitor = request.visitor { workload.answered(visitor) }
            meanLatency += (Double(end - request.begun) - meanLatency) / 64
            keeps = connections[slot].isReusable
        } else if outcome == .connectError {
            pausedUntil = time + Self.reconnectPause
        }
        if keeps {
            connections[slot].state = .idle
            idle.append(slot)
        } else {
            connections[slot].close()
            closed.append(slot)
        }
    }
}
