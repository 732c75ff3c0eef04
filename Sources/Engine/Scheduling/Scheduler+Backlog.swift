// The total demand of several jobs, model by model. Part of the pure scheduler.

extension Scheduler {
    /// Demand of several jobs.
    struct Backlog: Sendable, Equatable {
        /// Jobs whose next pass is not a step.
        var jobs = 0
        /// Those of them that will take steps later.
        var laterSequences = 0
        /// The work of `jobs` up to their next selections.
        var work = ComputeWork()
        /// Sequences whose next pass is a step, and the work of one step of each.
        var sequences = 0
        var sequenceWork = ComputeWork()
        /// Steps after the next selection, and the work of all of them.
        var steps = 0
        var stepWork = ComputeWork()

        mutating func add(_ demand: Demand) { change(demand, by: 1) }
        mutating func remove(_ demand: Demand) { change(demand, by: -1) }

        private mutating func change(_ demand: Demand, by sign: Int) {
            if demand.isStep {
                sequences += sign
                sequenceWork.add(demand.work, times: sign)
            } else {
                jobs += sign
                laterSequences += demand.steps > 0 ? sign : 0
                work.add(demand.work, times: sign)
            }
            steps += sign * demand.steps
            stepWork.add(demand.stepWork, times: sign * demand.steps)
        }
    }
}

extension Scheduler {
    /// The demand of all jobs, by model: the time of a batch depends on the model, and a batch has one model.
    struct Backlogs: Sendable, Equatable {
        /// By lane, up to the highest lane that has had a job.
        private(set) var lanes: [Backlog] = []

        subscript(lane: Int) -> Backlog { lane < lanes.count ? lanes[lane] : Backlog() }

        /// Jobs that wait.
        var jobs: Int { lanes.reduce(0) { $0 + $1.jobs + $1.sequences } }

        mutating func add(_ demand: Demand) {
            while lanes.count <= demand.lane { lanes.append(Backlog()) }
            lanes[demand.lane].add(demand)
        }

        mutating func remove(_ demand: Demand) {
            while lanes.count <= demand.lane { lanes.append(Backlog()) }
            lanes[demand.lane].remove(demand)
        }
    }
}

extension Scheduler.Demand {
    /// The remaining work after `taken` of its `needed` rows have been computed; nil if none remains.
    func rest(after taken: Int, of needed: Int) -> Self? {
        var rest = self
        if taken < needed {
            rest.work.rows = needed - taken
            rest.work.pairs = work.pairs - work.share(taken, of: needed).pairs
            return rest
        }
        guard steps > 0 else { return nil }
        rest.isStep = true
        rest.work = stepWork
        rest.steps -= 1
        return rest
    }

    /// All the work up to the answer.
    var total: ComputeWork {
        var total = work
        total += stepWork.times(steps)
        return total
    }
}

extension ComputeWork {
    func times(_ factor: Int) -> ComputeWork {
        var product = ComputeWork()
        product.add(self, times: factor)
        return product
    }

    mutating func add(_ other: ComputeWork, times factor: Int) {
        rows += factor * other.rows
        pairs += factor * other.pairs
        queries += factor * other.queries
    }
}
