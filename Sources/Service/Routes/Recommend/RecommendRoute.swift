// `POST /recommend` and `POST /rank`: decode the body, ask the engine, encode its answer.

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
    /// - Parameter question: the kind of call in the body.
    func recommend(
        _ request: HTTPRequest,
        _ route: Route,
        asks question: RecommendCodec.Question,
        _ exchange: HTTPExchange
    ) {
        let requestID = requestIDs.id(for: request.head)
        let note = request.head.note as? RequestNote
        let call: RecommendCall
        let model: ServedModel
        do throws(CallError) {
            var source = try source(requestID)
            call = try decode(request, question, &source)
            model = source.model
            try call.check(model.model.paths)
        } catch {
            metrics.count(.invalid)
            note?.ended(RequestNote.Answer(outcome: .invalid))
            exchange.respond(problem(error.status, error.detail, route, requestID))
            return
        }
        let accept = request.head.combinedHeader("accept")
        guard let form = ReplyForm.choose(accept: accept, wantsStream: call.stream) else {
            metrics.count(.invalid)
            let detail = "stream is true, but Accept allows neither application/x-ndjson nor text/event-stream"
            exchange.respond(problem(406, detail, route, requestID))
            return
        }
        if call.explains, case .stream = form {
            metrics.count(.invalid)
            note?.ended(RequestNote.Answer(outcome: .invalid))
            exchange.respond(problem(422, "explain is not available with a stream", route, requestID))
            return
        }
        let asked = Asked(model: model, requestID: requestID, route: route, form: form, note: note, exchange: exchange)
        guard call.asksStore else { return answer(call, asked) }
        withHistory(call, model) { [self] result in
            do throws(UserStoreError) {
                answer(try result.get(), asked)
            } catch {
                metrics.count(.failed)
                note?.ended(RequestNote.Answer(outcome: .failed))
                exchange.respond(problem(error.status, error.description, route, requestID))
            }
        }
    }

    /// The facts about a request besides its call.
    private struct Asked: Sendable {
        let model: ServedModel
        let requestID: String
        let route: Route
        let form: ReplyForm
        let note: RequestNote?
        let exchange: HTTPExchange
    }

    /// Answers a call whose history is known.
    private func answer(_ call: RecommendCall, _ asked: Asked) {
        var answer = Answer(asked.model, asked.requestID, asked.route, call)
        if let note = asked.note {
            note.asks(
                RequestNote.Question(
                    model: asked.model.residence.logged,
                    k: call.ranking.map { $0.count ?? $0.namedCount } ?? call.request.count,
                    history: call.eventCount,
                    user: call.request.userID.map { telemetry.hash(ofUser: $0) }
                )
            )
            answer.note = note
        }
        switch asked.form {
        case .whole: recommendWhole(call, answer, asked.exchange)
        case .stream(let format): stream(call, answer, format, asked.exchange)
        }
    }

    /// Answers a call with one JSON object.
    private func recommendWhole(_ call: RecommendCall, _ answer: Answer, _ exchange: HTTPExchange) {
        let ticket = submit(call, answer) { result in
            answer.note?.ended(result)
            // This runs on the engine's thread; encoding on the loop lets the next batch start.
            exchange.respond(making: {
                switch result {
                case .success(let recommendation):
                    return self.response(recommendation, answer)
                case .failure(let error):
                    self.count(error.outcome, answer)
                    return self.response(error, answer)
                }
            })
        }
        guard let ticket else { return }
        exchange.onCancel { [self] in
            if answer.model.engines.cancel(ticket) { count(.cancelled, answer) }
        }
    }

    /// Counts the outcome of a call whose model is known.
    func count(_ outcome: RecommendOutcome, _ answer: Answer) {
        metrics.count(outcome)
        let isAnswered = [.ok, .partial, .coldStart].contains(outcome)
        metrics.models.instruments(of: answer.model).count(outcome, arrival: isAnswered ? answer.arrival : nil)
    }

    /// The call in a request's body, with the deadline of the header if that is earlier.
    private func decode(
        _ request: HTTPRequest,
        _ question: RecommendCodec.Question,
        _ source: inout FleetSource
    ) throws(CallError) -> RecommendCall {
        var call = try codec.decode(
            request.body,
            as: question,
            from: &source,
            arrival: Arrival(request),
            user: try user(request.head)
        )
        if let milliseconds = try deadline(request.head) { call.request.limit(toMilliseconds: milliseconds) }
        return call
    }

    /// The source of models for the calls of a request.
    func source(_ requestID: String) throws(CallError) -> FleetSource {
        do throws(FleetError) {
            return try FleetSource(fleet, requestID: requestID)
        } catch {
            throw CallError(error)
        }
    }

    /// The user named by `X-User-Id`, which load balancers use to choose a server; nil if it was not sent.
    private func user(_ head: HTTPRequestHead) throws(CallError) -> String? {
        guard let id = head.header("x-user-id") else { return nil }
        if let fault = RecommendCodec.fault(inUserID: id) { throw CallError(.unusable, "X-User-Id \(fault)") }
        return id
    }

    /// The milliseconds of `X-Deadline-Ms`; nil if it was not sent.
    func deadline(_ head: HTTPRequestHead) throws(CallError) -> Int? {
        guard let text = head.header("x-deadline-ms") else { return nil }
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let milliseconds = Int(text),
            1...CallLimits.maxDeadlineMilliseconds ~= milliseconds
        else {
            throw CallError(.unusable, "X-Deadline-Ms must be from 1 to \(CallLimits.maxDeadlineMilliseconds)")
        }
        return milliseconds
    }

    /// Answers a call with the engine, or at once if it needs no computation or the engine refuses it.
    ///
    /// - Parameter itemGenerated: called with each computed item of a sequence, before the completion.
    /// - Returns: the ticket for cancelling the request; nil if it has been answered.
    func submit(
        _ call: RecommendCall,
        _ answer: Answer,
        itemGenerated: Engine.ItemHandler? = nil,
        _ completion: @escaping Engine.Completion
    ) -> Ticket? {
        let instruments = metrics.models.instruments(of: answer.model)
        let counted: Engine.Completion
        if answer.model.model.paths == nil {
            counted = completion
        } else {
            counted = { result in
                if case .success(let recommendation) = result, let isExact = recommendation.paths?.isExact {
                    instruments.paths.answered(isExact: isExact)
                }
                completion(result)
            }
        }
        var done = counted
        var itemGenerated = itemGenerated
        instruments.historyLength.observe(Double(call.eventCount))
        let unknown = call.unknownItems + (call.ranking?.unknown.count ?? 0)
        if unknown > 0 { instruments.unknownItems.increment(by: unknown) }
        if let ranking = call.ranking { instruments.candidates.observe(Double(ranking.namedCount)) }
        if let id = call.strangeID {
            instruments.strangeHistories.increment()
            strangeHistories.note(id, answer.model.model.catalogue)
        }
        let request = call.request
        let model = answer.model.model
        if call.explains { done = explaining(request, by: answer.model, done) }
        if let reason = call.degradation {
            answerByPopularity(request, model.catalogue, reason, done)
            return nil
        }
        if call.fallback == .popularity {
            let hasBegun = Flag()
            if let handler = itemGenerated {
                itemGenerated = { item, rank in
                    hasBegun.set()
                    handler(item, rank)
                }
            }
            done = degrading(request, model.catalogue, hasBegun: { hasBegun.isSet }, done)
        }
        // Answers that need no device are never refused.
        if request.history.isEmpty, request.paths.prompt == nil {
            if request.eligibility.isCheap {
                done(.success(model.catalogue.coldStart(request, timing: .init())))
            } else {
                batches.async { [done] in done(.success(model.catalogue.coldStart(request, timing: .init()))) }
            }
            return nil
        }
        let answered: Engine.Completion
        if fleet.hasShadows {
            answered = { [shadow, done] result in
                done(result)
                guard case .success(let recommendation) = result else { return }
                let user = request.userID ?? answer.requestID
                shadow.follow(request, recommendation, by: answer.model, user: user)
            }
        } else {
            answered = done
        }
        do throws(EngineError) {
            return try answer.model.engines.submit(
                request,
                to: model,
                itemGenerated: itemGenerated,
                completion: answered
            )
        } catch {
            done(.failure(error))
            return nil
        }
    }

    /// Everything in a reply except the items. Retains the model with which the request started.
    struct Answer: Sendable {
        let model: ServedModel
        let requestID: String
        let route: Route
        let unknownItems: Int
        let arrival: Instant
        let isHistoryStored: Bool
        let ranking: Ranking?
        private let history: [Int32]
        private let eligibility: Eligibility
        let includesTokens: Bool
        let includesExact: Bool
        /// nil in a batch, or if the request is neither logged nor traced.
        var note: RequestNote?

        init(_ model: ServedModel, _ requestID: String, _ route: Route, _ call: RecommendCall) {
            self.model = model
            self.requestID = requestID
            self.route = route
            arrival = call.request.arrival
            unknownItems = call.unknownItems
            isHistoryStored = call.asksStore && call.degradation == nil
            ranking = call.ranking
            history = call.request.history
            eligibility = call.request.eligibility
            includesTokens = call.includesTokens
            includesExact = call.includesExact
        }

        /// The reply, with the time until now.
        func reply(_ recommendation: Recommendation) -> RecommendReply {
            var reply = RecommendReply(
                recommendation,
                requestID: requestID,
                model: model.name,
                unknownItems: unknownItems,
                totalNanoseconds: Instant.now().nanoseconds(since: arrival),
                ranking: ranking
            )
            reply.isHistoryStored = isHistoryStored
            if recommendation.exhausted {
                let found = recommendation.items.lazy.map(\.row)
                reply.removals = eligibility.removals(history: history, found: found, model.model.catalogue)
            }
            reply.includesTokens = includesTokens
            reply.includesExact = includesExact
            return reply
        }
    }

    /// Encodes the reply and counts the outcome.
    private func response(_ recommendation: Recommendation, _ answer: Answer) -> HTTPResponse {
        do throws(JSONError) {
            let start = Instant.now()
            let body = try RecommendCodec.encode(answer.reply(recommendation), ids: answer.model.model.catalogue)
            answer.note?.encoded(from: start, arrival: answer.arrival)
            count(recommendation.outcome, answer)
            return json(200, body, answer.route, answer.requestID)
        } catch {
            count(.failed, answer)
            return problem(500, "the reply cannot be written: \(error)", answer.route, answer.requestID)
        }
    }

    /// The problem reply.
    func response(_ error: EngineError, _ answer: Answer) -> HTTPResponse {
        var headers: HTTPFields = []
        if let wait = error.retryAfterNanoseconds {
            // Whole seconds, at least one (RFC 9110, section 10.2.3).
            let seconds = max(1, (wait / 1_000_000_000) + (wait % 1_000_000_000 > 0 ? 1 : 0))
            headers.append(("Retry-After", String(seconds)))
        }
        return problem(error.status, error.message, answer.route, answer.requestID, headers: headers)
    }
}

extension Arrival {
    /// The arrival of the request's last byte, and the present wall-clock time.
    init(_ request: HTTPRequest) {
        self.init(Instant(nanoseconds: request.receivedAt), time: Int64(Glibc.time(nil)))
    }
}

extension Recommendation {
    var outcome: RecommendOutcome {
        if degradation != nil { return .degraded }
        return switch source {
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
        case .tooLarge: .invalid
        case .unavailable, .recovering, .deviceFailed, .computationFailed: .failed
        }
    }

    /// The HTTP status (API page, "Errors").
    var status: Int {
        switch code {
        case .queueFull, .deadlineUnreachable: 429
        case .expired: 504
        case .tooLarge: 422
        case .unavailable, .recovering, .deviceFailed: 503
        case .computationFailed: 500
        }
    }
}
