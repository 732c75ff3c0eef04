// Computes a batch on the device. If the device lacks memory for it, computes it in halves, and a single request that
// is still too large on the fallback.

internal import Compute
internal import Locking

extension Engine {
    /// A batch, or a part of one, to compute.
    private struct Work {
        var batch: Batch
        /// The fallback computes it although the device is available.
        var isForFallback = false
    }

    /// Computes a batch and answers the members that it completes.
    ///
    /// - Returns: whether the engine's own device computed any of it and, if the device was lost, the unfinished jobs.
    func run(_ batch: Batch, on executors: Executors) -> (hasDeviceComputed: Bool, loss: Loss?) {
        for (lane, pages) in state.withLock({ $0.table.takeReleased() }) {
            executors.executor(lane: lane, onFallback: false)?.release(pages)
        }
        var pending = [Work(batch: batch)]
        var hasDeviceComputed = false
        var isAgain = false
        while var work = pending.popLast() {
            if isAgain { work.batch.start = .now() }
            isAgain = true
            let isUsual = !work.isForFallback
            let isPrimary = isUsual && executors.primary != nil
            guard let executor = executors.executor(lane: batch.lane, onFallback: !isPrimary) else {
                return (hasDeviceComputed, nil)
            }
            do throws(ComputeError) {
                let (answers, durations) = try executor.answers(work.batch.members.map(\.pass))
                advance(
                    work.batch,
                    answers,
                    durations,
                    executor,
                    isUsual: isUsual,
                    isFallback: !isPrimary,
                    isLast: pending.isEmpty
                )
                hasDeviceComputed = hasDeviceComputed || isPrimary
            } catch {
                observer.deviceFailed(error, device: executor.device.name)
                if error.code.isOfTheBatch, work.batch.members.count > 1 {
                    pending += work.batch.halves.reversed().map { Work(batch: $0, isForFallback: work.isForFallback) }
                } else if error.code.isOfTheBatch, isPrimary, executors.fallback != nil, !executor.searchesPaths {
                    // Not for searches: their rows are in the device's pages.
                    work.batch = whole(work.batch)
                    work.isForFallback = true
                    if !work.batch.members.isEmpty { pending.append(work) }
                } else if error.code.losesDevice, isPrimary {
                    let left = [work] + pending.reversed()
                    let jobs = left.flatMap { $0.batch.members.map(\.id) }
                    return (hasDeviceComputed, Loss(error: error, jobs: jobs))
                } else {
                    fail(work.batch, EngineError(error))
                }
            }
        }
        return (hasDeviceComputed, nil)
    }

    /// The batch with all rows of its members to compute, because the fallback has none of the device's cached rows.
    private func whole(_ batch: Batch) -> Batch {
        var whole = batch
        // The prediction was for the device and for fewer rows.
        whole.predictedNanoseconds = 0
        whole.members = state.withLock { state in
            batch.members.compactMap { member in
                guard state.table[member.id] != nil else { return nil }
                state.table.discard(member.id)
                return state.table[member.id].map { (member.id, $0.pass($0.neededRows), false) }
            }
        }
        return whole
    }

    private func fail(_ batch: Batch, _ failure: EngineError) {
        let (failed, statistics) = state.withLock { state in
            (batch.members.compactMap { state.table.end($0.id, isTrusted: false) }, state.statistics)
        }
        report(statistics)
        reportVain(failed)
        for caller in failed.flatMap(\.callers) { caller.completion(.failure(failure)) }
    }
}

extension Engine.Batch {
    /// The batch in two parts, computed one after the other. It has at least two members.
    fileprivate var halves: [Engine.Batch] {
        let middle = members.count / 2
        var (first, second) = (Engine.Batch(lane: lane, start: start), Engine.Batch(lane: lane, start: start))
        (first.model, second.model) = (model, model)
        first.members = Array(members[..<middle])
        second.members = Array(members[middle...])
        first.queueWaits = queueWaits
        return [first, second]
    }
}
