// All jobs between admission and answer: their waiting requests, duplicates and cache leases. A pure value protected by
// the engine's lock.

/// The jobs of an engine.
struct JobTable: Sendable {
    private(set) var jobs: [UInt64: Job] = [:]
    /// By ticket.
    private var jobOfCaller: [UInt64: UInt64] = [:]
    /// Jobs that have not started, by fingerprint.
    private var waiting: [UInt64: UInt64] = [:]
    /// The user cache of each model, by lane; nil: none.
    private var caches: [UserCache?] = []
    /// Shared by all caches, so that their entries can be compared by age.
    private var clock: UInt64 = 0
    /// Pages evicted in favour of another model's cache, by lane, whose memory has not been freed yet.
    private var released: [Int: [Int32]] = [:]

    func cache(lane: Int) -> UserCache? { lane < caches.count ? caches[lane] : nil }

    mutating func setCache(_ cache: UserCache?, lane: Int) {
        while caches.count <= lane { caches.append(nil) }
        caches[lane] = cache
        released[lane] = nil
    }

    /// Pages whose memory must be freed before the next batch writes to any, by lane.
    mutating func takeReleased() -> [Int: [Int32]] {
        defer { released = [:] }
        return released
    }

    /// Performs an operation on a cache. Caches that share memory together hold at most as much as the largest may
    /// alone: the entry that has been idle longest is evicted, whatever its model. Entries in use stay.
    private mutating func use<Result>(_ lane: Int, _ body: (inout JobTable, inout UserCache?) -> Result) -> Result {
        guard lane < caches.count else {
            var none: UserCache?
            return body(&self, &none)
        }
        // Moved out while it changes, to avoid a copy.
        var cache = caches[lane].take()
        cache?.clock = clock
        let result = body(&self, &cache)
        clock = cache?.clock ?? clock
        let isShared = cache?.isShared == true
        caches[lane] = cache
        if isShared, caches.count > 1 { shareMemory() }
        return result
    }

    private mutating func shareMemory() {
        var used = 0
        var budget = 0
        for case let cache? in caches where cache.isShared {
            used += cache.usedBytes
            budget = max(budget, cache.poolBytes)
        }
        while used > budget {
            var oldest: (stamp: UInt64, lane: Int)?
            for lane in caches.indices where caches[lane]?.isShared == true {
                guard let stamp = caches[lane]?.oldestStamp(), stamp < oldest?.stamp ?? .max else { continue }
                oldest = (stamp, lane)
            }
            guard let lane = oldest?.lane, let pages = caches[lane]?.evictOldest() else { return }
            used -= pages.count * (caches[lane]?.pageByteCount ?? 0)
            released[lane, default: []] += pages
        }
    }

    /// How many rows a request would find in the cache if it ran now; nil if the model has no cache.
    func reusableRows(_ history: UsedHistory, owner: String?, hashes: PrefixHashes?, lane: Int) -> Int? {
        caches[lane]?.reusableRows(history, owner: owner, hashes: hashes)
    }

    subscript(id: UInt64) -> Job? {
        _read { yield jobs[id] }
        _modify { yield &jobs[id] }
    }

    /// An identical job that has not started.
    func duplicate(of request: RecommendationRequest, _ model: LoadedModel, fingerprint: UInt64) -> UInt64? {
        guard let id = waiting[fingerprint], let job = jobs[id], job.model.isSame(as: model),
            job.request.asksTheSame(as: request)
        else {
            return nil
        }
        return id
    }

    mutating func insert(_ job: Job, _ id: UInt64) {
        for caller in job.callers { jobOfCaller[caller.request.id] = id }
        waiting[job.fingerprint] = id
        jobs[id] = job
    }

    mutating func join(_ caller: Job.Caller, _ id: UInt64) {
        jobs[id]?.callers.append(caller)
        jobOfCaller[caller.request.id] = id
    }

    func job(ofCaller ticket: UInt64) -> UInt64? { jobOfCaller[ticket] }

    /// Removes a caller. Its job stays, even without callers.
    mutating func removeCaller(_ ticket: UInt64) -> Job.Caller? {
        guard let id = jobOfCaller.removeValue(forKey: ticket),
            let index = jobs[id]?.callers.firstIndex(where: { $0.request.id == ticket })
        else { return nil }
        return jobs[id]?.callers.remove(at: index)
    }

    /// Starts a pass of a job. From now on no request may join it.
    mutating func begin(_ id: UInt64, at now: Instant) {
        guard let job = jobs[id] else { return }
        if waiting[job.fingerprint] == id { waiting[job.fingerprint] = nil }
        jobs[id]?.isRunning = true
        if job.start == nil { jobs[id]?.start = now }
    }

    /// A job's work in the next pass, for the scheduler; nil if there is no room for it now.
    mutating func size(_ id: UInt64) -> (rows: Int, isDivisible: Bool)? {
        guard let lane = jobs[id]?.lane else { return (0, true) }
        return use(lane) { table, cache in table.jobs[id]?.size(&cache) }
    }

    /// Whether a model's pages, if all were free, could hold this many history rows and this many additional rows.
    func fits(_ rows: Int, reserving reserved: Int, lane: Int) -> Bool {
        caches[lane]?.fits(rows, reserving: reserved) ?? false
    }

    /// Removes a job and returns its cache lease.
    ///
    /// - Parameter isTrusted: false if the job's rows cannot be trusted, because its computation failed.
    mutating func end(_ id: UInt64, isTrusted: Bool = true) -> Job? {
        guard var job = jobs.removeValue(forKey: id) else { return nil }
        for caller in job.callers { jobOfCaller[caller.request.id] = nil }
        if waiting[job.fingerprint] == id { waiting[job.fingerprint] = nil }
        use(job.lane) { _, cache in if isTrusted { job.release(to: &cache) } else { job.discard(from: &cache) } }
        return job
    }

    /// Whether the model of a lane has any job.
    func hasJob(lane: Int) -> Bool { jobs.values.contains { $0.lane == lane } }

    /// Drops the rows of all jobs.
    mutating func loseRows() {
        for id in jobs.keys { jobs[id]?.loseRows() }
    }

    /// Discards a job's cache lease and makes it compute all its rows.
    mutating func discard(_ id: UInt64) {
        guard let lane = jobs[id]?.lane else { return }
        use(lane) { table, cache in table.jobs[id]?.discard(from: &cache) }
        jobs[id]?.loseRows()
    }

    /// Appends a generated row to a job's input.
    mutating func see(_ row: Int32, _ id: UInt64) {
        guard let lane = jobs[id]?.lane else { return }
        use(lane) { table, cache in table.jobs[id]?.see(row, &cache) }
    }

    /// Makes a job compute its newest row again, for another question.
    mutating func seeAgain(_ id: UInt64) { jobs[id]?.seeAgain() }

    /// Drops a user's state, now and when waiting jobs end.
    mutating func forget(_ user: String) -> UserCache.Dropped {
        var dropped = UserCache.Dropped()
        for lane in caches.indices {
            // A lane without a cache is not skipped below: it may have one by the time its job is computed.
            if let own = caches[lane]?.forget(user) { dropped += own }
        }
        for (id, job) in jobs where job.request.userID == user && job.keeps {
            jobs[id]?.keeps = false
            if !job.isPrepared { dropped.inFlight += 1 }
        }
        return dropped
    }
}
