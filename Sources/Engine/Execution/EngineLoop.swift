// The engine's thread makes the device, loads the models, warms them up, then takes batches from the queue and runs
// them until the engine is drained. The device, its weights and its streams are created and destroyed on this thread.

package import Catalogue
internal import Compute
internal import Dispatch
internal import Locking
internal import Models
internal import Synchronization

extension Engine {
    /// Starts the engine's thread.
    ///
    /// - Parameters:
    ///   - source: makes the device; called on the new thread.
    ///   - models: the initial models. The engine is ready when all of them are loaded. An error of the device or of a
    ///     model becomes the reason of the `failed` phase.
    ///   - ended: called on the thread when it has finished and released everything.
    /// - Throws: `.unavailable` if the system cannot create a thread.
    package func start(
        _ source: DeviceSource,
        _ models: [(model: LoadedModel, source: ModelSource)],
        ended: @escaping @Sendable () -> Void
    ) throws(EngineError) {
        let hosted = state.withLock { state in
            models.map { (state.takeLane($0.model.id), HostedModel(model: $0.model, source: $0.source)) }
        }
        let started = EngineThread.start(name: "genrec-engine") {
            self.runThread(source, hosted)
            ended()
        }
        guard started else { throw EngineError(.unavailable, "the system could not start the engine's thread") }
    }

    private func runThread(_ source: DeviceSource, _ models: [(lane: Int, hosted: HostedModel)]) {
        var executors: Executors
        do {
            executors = try makeExecutors(source, models)
        } catch {
            change(to: .failed(String(describing: error)))
            refuseErrands()
            return
        }
        if let device = executors.primary?.description { change(to: .ready(device)) }
        serve(source, &executors)
        change(to: .stopped)
        // A job whose pass ran while the engine was being stopped is waiting again.
        refuseWaiting()
        refuseErrands()
    }

    private enum Step {
        case errand(Errand)
        case retire(lane: Int)
        case run(Batch, depth: Int)
        case sleep(until: Instant?)
        case end
    }

    /// The members of a batch.
    struct Batch {
        /// The model's lane.
        var lane: Int
        /// nil if the batch is empty.
        var model: ModelID?
        var members: [(id: UInt64, pass: Pass, isStep: Bool)] = []
        /// Requests without a history.
        var colds: [UInt64] = []
        /// Queueing times of the requests whose first pass this is, in nanoseconds.
        var queueWaits: [UInt64] = []
        var predictedNanoseconds: UInt64 = 0
        var start: Instant

        var work: ComputeWork { members.reduce(into: ComputeWork()) { $0 += $1.pass.work } }

        var pathReport: PathReport {
            var report = PathReport()
            for member in members {
                guard case .paths(let round) = member.pass.asks else { continue }
                report.rounds += 1
                report.rows += round.beamRows
                report.candidates += round.candidates?.tokens.count ?? 0
                report.sharedRows += max(0, round.beamRows - 1) * member.pass.cached.rows
            }
            return report
        }
    }

    private func serve(_ source: DeviceSource, _ executors: inout Executors) {
        var recovery = Recovery(source.backoff, startNanoseconds: executors.startNanoseconds)
        while true {
            turnCount.add(1, ordering: .relaxed)
            if recovery.isDue(.now()) { recover(source, &executors, &recovery) }
            switch nextStep(until: recovery.next) {
            case .errand(.load(let loading)):
                if let loss = goOn(loading, &executors) { lose(loss, &executors, &recovery) }
            case .errand(.tell(let body)):
                body()
            case .retire(let lane):
                let remains = executors.remove(lane: lane)
                let (retired, statistics) = state.withLock { ($0.freeLane(lane), $0.statistics) }
                observer.cachesChanged(to: statistics)
                free(remains, retired)
            case .run(let batch, let depth):
                observer.queueDepthChanged(to: depth)
                for id in batch.colds { answerByPopularity(id) }
                if batch.members.isEmpty { continue }
                let run = run(batch, on: executors)
                if run.hasDeviceComputed { recovery.computed() }
                if let loss = run.loss { lose(loss, &executors, &recovery) }
            case .sleep(until: nil):
                wakeUp.wait()
            case .sleep(until: .some(let instant)):
                if wakeUp.wait(timeout: DispatchTime(uptimeNanoseconds: instant.nanoseconds)) == .timedOut {
                    // A signal may have been sent since; then `isThreadAsleep` is clear and the signal is consumed by
                    // the next wait, which returns at once. That costs one turn of this loop and loses nothing.
                    state.withLock { $0.isThreadAsleep = false }
                }
            case .end:
                return
            }
        }
    }

    /// - Parameter wakeTime: the latest end of a sleep; nil: the thread sleeps as long as there is nothing to do.
    private func nextStep(until wakeTime: Instant?) -> Step {
        expireOverdue()
        return state.withLock { state in
            if state.phase == .stopped { return .end }
            if let errand = state.takeErrand() { return .errand(errand) }
            if let lane = state.idleRetiredLane { return .retire(lane: lane) }
            let now = Instant.now()
            let decision = state.scheduler.next(
                now: now,
                waitsToFill: state.phase != .draining,
                in: &state.table,
                size: { id, table in table.size(id) }
            )
            switch decision {
            case .run(let portions):
                return .run(begin(portions, now, &state), depth: state.scheduler.depth)
            case .wait(let instant):
                state.isThreadAsleep = true
                return .sleep(until: min(instant, wakeTime ?? instant))
            case .idle:
                if state.phase == .draining { return .end }
                state.isThreadAsleep = true
                return .sleep(until: wakeTime)
            }
        }
    }

    private func begin(_ portions: [Scheduler.Portion], _ now: Instant, _ state: inout State) -> Batch {
        var batch = Batch(lane: portions.first.flatMap { state.table[$0.job]?.lane } ?? 0, start: now)
        for portion in portions {
            guard let job = state.table[portion.job] else { continue }
            batch.model = job.model.id
            if job.start == nil {
                batch.queueWaits += job.callers.map { now.nanoseconds(since: $0.request.arrival) }
            }
            state.table.begin(portion.job, at: now)
            if portion.rows == 0 {
                batch.colds.append(portion.job)
            } else {
                batch.members.append((portion.job, job.pass(portion.rows), job.isStep))
            }
        }
        batch.predictedNanoseconds = state.scheduler.serviceTimes[batch.lane].nanoseconds(batch.work)
        return batch
    }

    /// Answers a request without a history.
    private func answerByPopularity(_ id: UInt64) {
        guard let job = state.withLock({ $0.table.end(id) }) else { return }
        let recommendation = job.model.catalogue.coldStart(job.request, timing: .init())
        for caller in job.callers {
            var answer = recommendation
            answer.timing.queue = job.start?.nanoseconds(since: caller.request.arrival) ?? 0
            caller.completion(.success(answer))
        }
    }

    /// Calls to make once the lock is released.
    private enum Notice {
        case item(ScoredRow, rank: Int, [Job.Caller])
        case answer(Job)
        case failure(Job)
        case inVain(nanoseconds: UInt64)
    }

    /// Gives each pass's answer to its job, which is then answered or queued for its next pass.
    ///
    /// - Parameters:
    ///   - executor: the executor that computed the batch.
    ///   - isUsual: whether the executor computes every batch at present, so that its times predict the next ones.
    ///   - isFallback: whether the executor is the fallback's.
    ///   - isLast: whether this is the last part of the batch that the scheduler chose.
    func advance(
        _ batch: Batch,
        _ answers: [Answer],
        _ durations: BatchExecutor.Durations,
        _ executor: BatchExecutor,
        isUsual: Bool,
        isFallback: Bool,
        isLast: Bool
    ) {
        // The device's time plus the overhead around it: the next batch waits for both.
        let now = Instant.now()
        let elapsed = now.nanoseconds(since: batch.start)
        let (notices, statistics) = state.withLock { state in
            let total = durations.prefill + durations.topK
            let shares = shares(of: total, batch, state.scheduler.serviceTimes[batch.lane])
            state.scheduler.finished(
                batch.work,
                lane: batch.lane,
                nanoseconds: isUsual ? elapsed : nil,
                now: now,
                isLast: isLast
            )
            var notices: [Notice] = []
            for (index, member) in batch.members.enumerated() {
                let id = member.id
                let end = member.pass.rows.upperBound
                guard let isWanted = state.table[id]?.passed(through: end, shares[index], durations) else { continue }
                if isWanted {
                    notices += advance(id, member.pass.asks == nil ? nil : answers[index], &state)
                } else {
                    // Its callers disconnected while it was computed.
                    notices.append(.inVain(nanoseconds: giveUp(id, &state).lostNanoseconds))
                }
            }
            return (notices, state.statistics)
        }
        // Reported before anybody is answered, so that a caller with a reply finds it in the metrics.
        guard let model = batch.model else { return }
        observer.batchFinished(
            BatchReport(
                model: model,
                queueWaits: batch.queueWaits,
                lengths: batch.members.map(\.pass.work.rows),
                steps: batch.members.count { $0.isStep },
                paths: batch.pathReport,
                durations: durations,
                predictedNanoseconds: batch.predictedNanoseconds,
                elapsedNanoseconds: elapsed,
                memory: executor.memory,
                device: executor.device.name,
                isFallback: isFallback
            )
        )
        report(statistics)
        for notice in notices { tell(notice) }
    }

    /// Divides a batch's time among its members in proportion to their predicted work. Each share also states the part
    /// without the selection.
    private func shares(
        of total: UInt64,
        _ batch: Batch,
        _ model: ServiceTimeModel
    ) -> [Job.Share] {
        let parts = batch.members.map { member in
            var work = member.pass.work
            let all = Double(model.nanoseconds(work, batches: 0)) + 1
            work.queries = 0
            return (all: all, rows: min(all, Double(model.nanoseconds(work, batches: 0)) + 1))
        }
        let unit = Double(total) / parts.reduce(0) { $0 + $1.all }
        return parts.map { Job.Share(all: UInt64(unit * $0.all), rows: UInt64(unit * $0.rows)) }
    }

    /// - Parameter answer: nil if the pass had no question.
    private func advance(_ id: UInt64, _ answer: Answer?, _ state: inout State) -> [Notice] {
        guard let answer else {
            readmit(id, &state)
            return []
        }
        guard let taken = state.table[id]?.take(answer) else { return [] }
        var notices = taken.items.map { Notice.item($0.item, rank: $0.rank, taken.callers) }
        switch taken.progress {
        case .goesOn(let row):
            state.table.see(row, id)
            readmit(id, &state)
        case .asksAgain:
            state.table.seeAgain(id)
            readmit(id, &state)
        case .searches: readmit(id, &state)
        case .done:
            if let job = state.table.end(id) { notices.append(.answer(job)) }
        case .failed:
            if let job = state.table.end(id, isTrusted: false) { notices.append(.failure(job)) }
        }
        return notices
    }

    func readmit(_ id: UInt64, _ state: inout State) {
        guard let (requests, demand) = state.table[id]?.readmission() else { return }
        state.scheduler.readmit(requests, job: id, demand)
        if let deadline = requests.lazy.compactMap(\.deadline).min() { armExpiry(&state, for: deadline) }
    }

    private func tell(_ notice: Notice) {
        switch notice {
        case .item(let item, let rank, let callers):
            for caller in callers { caller.itemGenerated?(item, rank) }
        case .answer(let job):
            for caller in job.callers {
                let queued = job.start?.nanoseconds(since: caller.request.arrival) ?? 0
                caller.completion(.success(job.recommendation(queued: queued)))
            }
        case .failure(let job):
            let failure = EngineError(.computationFailed, "the model's scores are not finite numbers")
            for caller in job.callers { caller.completion(.failure(failure)) }
        case .inVain(let nanoseconds):
            if nanoseconds > 0 { observer.computedInVain(nanoseconds: nanoseconds) }
        }
    }
}

extension CatalogueSnapshot {
    /// The answer to a request without a known event.
    package func coldStart(_ request: RecommendationRequest, timing: Recommendation.Timing) -> Recommendation {
        let items: [ScoredRow]
        if case .rank(let rows) = request.mode {
            items = rows.map { ScoredRow(row: $0, score: popularityScore($0)) }
        } else {
            items = mostPopular(request.count, request.eligibility)
        }
        return Recommendation(
            items: items,
            source: .popularity,
            historyUsed: 0,
            exhausted: request.mode.isExhausted(by: items.count, of: request.count),
            timing: timing
        )
    }
}

extension RecommendationMode {
    /// Whether finding so few items means that no more were eligible.
    fileprivate func isExhausted(by found: Int, of count: Int) -> Bool {
        if case .rank = self { return false }
        return found < count
    }
}
