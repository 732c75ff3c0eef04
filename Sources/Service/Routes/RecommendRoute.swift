// `POST /recommend`: from the body's bytes to a request of the engine, and from its answer to the reply's bytes.

internal import Catalogue
internal import Compute
internal import Dispatch
internal import Engine
internal import Glibc
internal import HTTP
internal import JSON
internal import Models
internal import Telemetry
internal import Users

extension RequestHandler {
    /// Whether the body could not be read or the reply could not be understood, by the head alone (RFC 9110, sections 8.3,
    /// 8.4 and 12.5.1); nil: neither.
    func refusalOfRepresentation(_ head: HTTPRequestHead, _ route: Route) -> HTTPResponse? {
        // The one spelling that nearly every caller uses needs no work.
        let isJSON =
            head.header("content-type", is: "application/json")
            || head.header("content-type").map { type in
                MediaType(type).isJSON || (route == .events && MediaType(type).isNDJSON)
            } ?? false
        guard isJSON else {
            return problem(
                415,
                "the content type must be application/json" + (route == .events ? " or application/x-ndjson" : ""),
                route,
                requestIDs.id(for: head),
                headers: [("Accept-Post", Self.jsonType + (route == .events ? ", application/x-ndjson" : ""))]
            )
        }
        if head.contentCoding == .unknown {
            return problem(
                415,
                "the content coding must be gzip, once, or identity",
                route,
                requestIDs.id(for: head),
                headers: [("Accept-Encoding", "gzip, identity")]
            )
        }
        let form = ReplyForm.choose(accept: head.combinedHeader("accept"), wantsStream: false)
        if route != .recommend, form != .whole {
            return problem(406, "replies come as application/json", route, requestIDs.id(for: head))
        }
        if form == nil {
            return problem(
                406,
                "replies come as application/json, application/x-ndjson or text/event-stream",
                route,
                requestIDs.id(for: head)
            )
        }
        return nil
    }

    func recommend(_ request: HTTPRequest, _ exchange: HTTPExchange) {
        let model = models.current
        let requestID = requestIDs.id(for: request.head)
        let note = request.head.note as? RequestNote
        let call: RecommendCall
        do throws(CallError) {
            call = try decode(request, model)
        } catch {
            metrics.count(.invalid)
            note?.update { $0.outcome = .invalid }
            exchange.respond(problem(error.status, error.detail, .recommend, requestID))
            return
        }
        let arrival = Instant(nanoseconds: request.receivedAt)
        let accept = request.head.combinedHeader("accept")
        guard let form = ReplyForm.choose(accept: accept, wantsStream: call.stream) else {
            metrics.count(.invalid)
            let detail = "stream is true, but Accept allows neither application/x-ndjson nor text/event-stream"
            exchange.respond(problem(406, detail, .recommend, requestID))
            return
        }
        withHistory(call, model) { [self] result in
            let call: RecommendCall
            do throws(UserStoreError) {
                call = try result.get()
            } catch {
                metrics.count(.failed)
                exchange.respond(problem(error, .recommend, requestID))
                return
            }
            var answer = Answer(model, requestID, call, arrival: arrival)
            if let note {
                let user = call.userID.map(telemetry.hash)
                note.update { details in
                    details.model = model.name
                    details.k = call.k
                    details.history = call.history.eventCount
                    details.user = user
                }
                answer.note = note
            }
            switch form {
            case .whole: recommendWhole(call, answer, exchange)
            case .stream(let format): stream(call, answer, format, exchange)
            }
        }
    }

    /// Has a call answered by one object.
    private func recommendWhole(_ call: RecommendCall, _ answer: Answer, _ exchange: HTTPExchange) {
        let ticket = submit(call, answer) { result in
            // On the engine's thread: the loop encodes, so that the next batch does not wait for it.
            exchange.respond(making: {
                switch result {
                case .success(let recommendation):
                    return self.response(recommendation, answer)
                case .failure(let error):
                    self.metrics.count(error.outcome)
                    return self.response(error, answer)
                }
            })
        }
        guard let ticket else { return }
        exchange.onCancel { [metrics] in
            if answer.model.engines.cancel(ticket) { metrics.count(.cancelled) }
        }
    }

    /// The call in a request's body, with the deadline of its header where that is the earlier one.
    private func decode(_ request: HTTPRequest, _ model: ServedModel) throws(CallError) -> RecommendCall {
        let call = try codec.decode(request.body, items: model.bundle.catalogue)
        return limited(call, within: try deadline(request.head))
    }

    /// The milliseconds of `X-Deadline-Ms`, nil where it was not sent.
    func deadline(_ head: HTTPRequestHead) throws(CallError) -> Int? {
        guard let text = head.header("x-deadline-ms") else { return nil }
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let milliseconds = Int(text),
            1...CallLimits.maxDeadlineMilliseconds ~= milliseconds
        else {
            throw CallError(.unusable, "X-Deadline-Ms must be from 1 to \(CallLimits.maxDeadlineMilliseconds)")
        }
        return milliseconds
    }

    /// The call with the earlier of its own deadline and the header's.
    func limited(_ call: RecommendCall, within milliseconds: Int?) -> RecommendCall {
        guard let milliseconds else { return call }
        var call = call
        call.deadlineMilliseconds = min(milliseconds, call.deadlineMilliseconds ?? milliseconds)
        return call
    }

    /// Has a call answered: by the engine, or at once where that takes no computing, or where the engine refuses it.
    ///
    /// - Parameter itemGenerated: told each item of a sequence that is computed, before the completion.
    /// - Returns: what to cancel the request by, nil if it is answered already.
    func submit(
        _ call: RecommendCall,
        _ answer: Answer,
        itemGenerated: Engine.ItemHandler? = nil,
        _ completion: @escaping Engine.Completion
    ) -> Ticket? {
        var completion = completion
        if let note = answer.note {
            completion = { [completion] result in
                note.ended(result)
                completion(result)
            }
        }
        metrics.historyLength.observe(Double(call.history.eventCount))
        if call.unknownItems > 0 { metrics.unknownItems.increment(by: call.unknownItems) }
        if let id = call.history.strangeID { strangeHistories.note(id, answer.model.bundle.catalogue) }
        let work = RecommendationRequest(call, arrival: answer.arrival)
        if work.history.isEmpty, work.eligibility.isCheap {
            completion(.success(answer.model.bundle.catalogue.coldStart(work, timing: .init())))
            return nil
        }
        do throws(EngineError) {
            return try answer.model.engines.submit(work, itemGenerated: itemGenerated, completion: completion)
        } catch {
            completion(.failure(error))
            return nil
        }
    }

    /// What a reply says beside the recommendation. It keeps the model that the request began with.
    struct Answer: Sendable {
        let model: ServedModel
        let requestID: String
        let unknownItems: Int
        let arrival: Instant
        let isHistoryStored: Bool
        /// nil in a batch, and where nothing is written of the request.
        var note: RequestNote?

        init(_ model: ServedModel, _ requestID: String, _ call: RecommendCall, arrival: Instant) {
            self.model = model
            self.requestID = requestID
            self.arrival = arrival
            unknownItems = call.unknownItems
            isHistoryStored = call.asksStore
        }

        /// The reply, at this moment.
        func reply(_ recommendation: Recommendation) -> RecommendReply {
            var reply = RecommendReply(
                recommendation,
                model: model.name,
                requestID: requestID,
                unknownItems: unknownItems,
                total: Instant.now().nanoseconds(since: arrival)
            )
            reply.isHistoryStored = isHistoryStored
            return reply
        }
    }

    /// Encodes the reply and counts the outcome.
    private func response(_ recommendation: Recommendation, _ answer: Answer) -> HTTPResponse {
        do throws(JSONError) {
            let start = Instant.now()
            let body = try RecommendCodec.encode(answer.reply(recommendation), ids: answer.model.bundle.catalogue)
            answer.note?.encoded(from: start, arrival: answer.arrival)
            metrics.count(recommendation.outcome)
            return json(200, body, .recommend, answer.requestID)
        } catch {
            metrics.count(.failed)
            return problem(500, "the reply cannot be written: \(error)", .recommend, answer.requestID)
        }
    }

    /// The reply that says what was wrong.
    func response(_ error: EngineError, _ answer: Answer) -> HTTPResponse {
        var headers: HTTPFields = []
        if let wait = error.retryAfterNanoseconds {
            // Whole seconds, at least one (RFC 9110, section 10.2.3).
            let seconds = max(1, (wait / 1_000_000_000) + (wait % 1_000_000_000 > 0 ? 1 : 0))
            headers.append(("Retry-After", String(seconds)))
        }
        return problem(error.status, error.message, .recommend, answer.requestID, headers: headers)
    }
}

extension RecommendationRequest {
    /// What the engine has to do for a call.
    fileprivate init(_ call: RecommendCall, arrival: Instant) {
        var eligibility = Eligibility()
        eligibility.excludedRows = call.exclusion.rows
        eligibility.excludedTags = call.exclusion.tags
        eligibility.excludesSeen = call.exclusion.seen
        eligibility.allowance = call.allowance.map { .init(rows: $0.rows, tags: $0.tags) }
        let priority: Priority =
            switch call.priority {
            case .high: .high
            case .normal: .normal
            case .low: .low
            }
        self.init(
            userID: call.userID,
            history: call.history.rows,
            timestamps: call.history.timestamps,
            actions: call.history.actions,
            requestTime: call.requestTime ?? Int64(time(nil)),
            count: call.k,
            mode: RecommendationMode(call),
            eligibility: eligibility,
            priority: priority,
            arrival: arrival,
            deadline: call.deadlineMilliseconds.map { arrival.advanced(by: UInt64($0) * 1_000_000) }
        )
    }
}

extension RecommendationMode {
    fileprivate init(_ call: RecommendCall) {
        switch call.mode {
        case .topK: self = .topK
        case .sequence:
            self = .sequence(
                call.sampling.map { sampling in
                    Sampling(
                        temperature: sampling.temperature,
                        topP: sampling.topP,
                        seed: sampling.seed.map { UInt64(bitPattern: $0) } ?? .random(in: .min ... .max)
                    )
                }
            )
        }
    }
}

extension RecommendReply {
    /// The reply that says what the engine found. `total` is in nanoseconds.
    fileprivate init(
        _ recommendation: Recommendation,
        model: Model,
        requestID: String,
        unknownItems: Int,
        total: UInt64
    ) {
        self.init(
            requestID: requestID,
            model: model,
            rows: recommendation.items.map(\.row),
            scores: recommendation.items.map(\.score),
            source: recommendation.source == .model ? .model : .popularity,
            historyUsed: recommendation.historyUsed,
            historyCached: recommendation.historyCached,
            historyStart: recommendation.historyStart,
            unknownItems: unknownItems,
            exhausted: recommendation.exhausted,
            timing: Timing(
                queue: .nanoseconds(recommendation.timing.queue),
                prefill: .nanoseconds(recommendation.timing.prefill),
                decode: .nanoseconds(recommendation.timing.decode),
                total: .nanoseconds(total)
            )
        )
    }
}

extension Recommendation {
    var outcome: RecommendOutcome {
        switch source {
        case .popularity: .coldStart
        case .model: exhausted ? .partial : .ok
        }
    }
}

extension EngineError {
    var outcome: RecommendOutcome {
        switch code {
        case .queueFull: .rejectedQueue
        case .deadlineUnreachable: .rejectedDeadline
        case .expired: .expired
        case .unavailable, .deviceFailed, .computationFailed: .failed
        }
    }

    /// The status that says it (the design's API page, "Errors").
    var status: Int {
        switch code {
        case .queueFull, .deadlineUnreachable: 429
        case .expired: 504
        case .unavailable, .deviceFailed: 503
        case .computationFailed: 500
        }
    }
}
