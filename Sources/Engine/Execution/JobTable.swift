// All jobs between admission and answer: who waits for which, which ask the same, and what they hold of the cache. A pure
// value behind the engine's lock.

/// The jobs of an engine.
struct JobTable: Sendable {
    private(set) var jobs: [UInt64: Job] = [:]
    /// By ticket.
    private var jobOfCaller: [UInt64: UInt64] = [:]
    /// Jobs that nobody has begun to compute, by what they ask.
    private var waiting: [UInt64: UInt64] = [:]
    /// What is kept of each model's users, by lane; nil: nothing is.
    private var caches: [UserCache?] = []
    /// One for all caches, so that their entries can be told by age.
    private var clock: UInt64 = 0
    /// Pages that were taken from a cache for the sake of another, by lane: their memory is still to be given back.
    private var released: [Int: [Int32]] = [:]

    func cache(lane: Int) -> UserCache? { lane < caches.count ? caches[lane] : nil }

    mutating func setCache(_ cache: UserCache?, lane: Int) {
        while caches.count <= lane { caches.append(nil) }
        caches[lane] = cache
        released[lane] = nil
    }

    /// Pages whose memory has to be given back before the next batch writes to any, by lane.
    mutating func takeReleased() -> [Int: [Int32]] {
        defer { released = [:] }
        return released
    }

    /// Lets something happen to a cache. Caches that share their memory hold no more together than the largest may alone: what has
    /// been at rest longest goes, of whichever model. What requests compute on stays.
    private mutating func use<Result>(_ lane: Int, _ body: (inout JobTable, inout UserCache?) -> Result) -> Result {
        guard lane < caches.count else {
            var none: UserCache?
            return body(&self, &none)
        }
        // Taken out while it changes, so that nothing is copied.
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

    /// How many rows a request would not have to compute if it ran now; nil: nothing is kept of the model's users.
    func reusableRows(_ history: UsedHistory, owner: String?, hashes: PrefixHashes?, lane: Int) -> Int? {
        caches[lane]?.reusableRows(history, owner: owner, hashes: hashes)
    }

    subscript(id: UInt64) -> Job? {
        _read { yield jobs[id] }
        _modify { yield &jobs[id] }
    }

    /// A job that asks the same and has not begun.
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

    /// Takes a caller out. Its job stays, also where it was the last one.
    mutating func removeCaller(_ ticket: UInt64) -> Job.Caller? {
        guard let id = jobOfCaller.removeValue(forKey: ticket),
            let index = jobs[id]?.callers.firstIndex(where: { $0.request.id == ticket })
        else { return nil }
        return jobs[id]?.callers.remove(at: index)
    }

    /// Nobody may join the job any more.
    mutating func begin(_ id: UInt64, at now: Instant) {
        guard let job = jobs[id] else { return }
        if waiting[job.fingerprint] == id { waiting[job.fingerprint] = nil }
        jobs[id]?.isRunning = true
        if job.start == nil { jobs[id]?.start = now }
    }

    /// What a job has to compute now, for the scheduler; nil: there is no room for it now.
    mutating func size(_ id: UInt64) -> (rows: Int, isDivisible: Bool)? {
        guard let lane = jobs[id]?.lane else { return (0, true) }
        return use(lane) { table, cache in table.jobs[id]?.size(&cache) }
    }

    /// Whether a model's users' pages could hold so many rows of a history and so many beside them, were they all free.
    func fits(_ rows: Int, reserving reserved: Int, lane: Int) -> Bool {
        caches[lane]?.fits(rows, reserving: reserved) ?? false
    }

    /// Takes a job out, and gives back what it holds of the cache.
    ///
    /// - Parameter isTrusted: false: the device failed while it computed.
    mutating func end(_ id: UInt64, isTrusted: Bool = true) -> Job? {
        guard var job = jobs.removeValue(forKey: id) else { return nil }
        for caller in job.callers { jobOfCaller[caller.request.id] = nil }
        if waiting[job.fingerprint] == id { waiting[job.fingerprint] = nil }
        use(job.lane) { _, cache in if isTrusted { job.release(to: &cache) } else { job.discard(from: &cache) } }
        return job
    }

    /// Whether any job is of a model.
    func hasJob(lane: Int) -> Bool { jobs.values.contains { $0.lane == lane } }

    /// No job has any rows any more.
    mutating func loseRows() {
        for id in jobs.keys { jobs[id]?.loseRows() }
    }

    /// Gives back what a job holds of the cache, and lets it compute all its rows.
    mutating func discard(_ id: UInt64) {
        guard let lane = jobs[id]?.lane else { return }
        use(lane) { table, cache in table.jobs[id]?.discard(from: &cache) }
        jobs[id]?.loseRows()
    }

    /// A row that was found becomes part of what the job sees.
    mutating func see(_ row: Int32, _ id: UInt64) {
        guard let lane = jobs[id]?.lane else { return }
        use(lane) { table, cache in table.jobs[id]?.see(row, &cache) }
    }

    /// A job's newest row is computed once more, for another question.
    mutating func seeAgain(_ id: UInt64) { jobs[id]?.seeAgain() }

    /// Forgets a user, now and when the jobs that wait are done.
    mutating func forget(_ user: String) -> UserCache.Dropped {
        var dropped = UserCache.Dropped()
        for lane in caches.indices {
            // Without a cache there may be one again when a job comes to be computed.
            if let own = caches[lane]?.forget(user) { dropped += own }
        }
        for (id, job) in jobs where job.request.userID == user && job.keeps {
            jobs[id]?.keeps = false
            if !job.isPrepared { dropped.inFlight += 1 }
        }
        return dropped
    }
}
