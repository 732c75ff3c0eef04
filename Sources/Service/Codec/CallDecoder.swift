// Decodes the fields of a call or a batch, for items or for scores, in one pass over a body. Values are checked where
// they are read, so that an error can name the field; paths are built only for errors. `CallDecoder+History` reads the
// history, `CallDecoder+Values` scalars and lists.

internal import Catalogue
internal import Engine
internal import JSON
internal import Users

/// Decodes calls from one reader.
struct CallDecoder<Source: ItemSource>: ~Copyable {
    var reader: JSONReader
    let question: RecommendCodec.Question
    var source: Source
    let limits: CallLimits
    let arrival: Arrival
    /// The user named by the request's head; nil: none, or the body is a batch.
    let user: String?
    /// Why the current call is refused although its JSON is valid.
    private(set) var refusal: CallError?
    /// The model that the current call names.
    private var target = CallTarget()
    /// The number of unknown ids in the current call.
    var unknownItems = 0
    /// The first unknown id of the current history.
    var unknownExample: String?
    /// The history being read, with `unknownRow` for unknown items. Reused by all calls of a batch, to grow only once.
    var rows: [Int32] = []
    var timestamps: [Int64] = []
    var actions: [UInt64] = []
    /// The ids whose rows are yet to be looked up: those of the last `waitingCount` of `rows`.
    var waiting = InlineArray<32, ItemKey>(repeating: ItemKey(0))
    var waitingCount = 0

    /// An item of a history: its row, or the id to look up.
    enum HistoryItem {
        case found(Int32)
        case waiting(ItemKey)
    }

    init(
        _ reader: consuming JSONReader,
        _ question: RecommendCodec.Question,
        source: Source,
        limits: CallLimits,
        arrival: Arrival,
        user: String?
    ) {
        self.reader = reader
        self.question = question
        self.source = source
        self.limits = limits
        self.arrival = arrival
        self.user = user
    }

    /// Checks that the body ends here.
    mutating func finish() throws(JSONError) { try reader.finish() }

    /// Reads the object of one call.
    mutating func decodeCall() throws(JSONError) -> RecommendCall {
        unknownItems = 0
        refusal = nil
        target = CallTarget()
        target.userID = user
        if source.hasChoice {
            try findTarget()
            try choose()
        }
        try beginObject("the request")
        var call = RecommendCall(
            RecommendationRequest(
                history: [],
                timestamps: nil,
                requestTime: arrival.time,
                count: limits.defaultK,
                arrival: arrival.instant
            )
        )
        call.request.userID = user
        switch question {
        case .recommend: try readRecommendCall(&call)
        case .rank: try readRankCall(&call)
        }
        call.unknownItems = unknownItems
        // Without a choice, the target only has to name the one model.
        if !source.hasChoice { try choose() }
        return call
    }

    /// Scans the next call for its target. Errors are left to the actual reading.
    private mutating func findTarget() throws(JSONError) {
        let start = reader.mark
        defer { reader.rewind(to: start) }
        guard try reader.peek() == .object else { return }
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let path: WritableKeyPath<CallTarget, String?>
            switch key {
            case "model": path = \.model
            case "version": path = \.version
            case "user_id": path = \.userID
            default:
                try reader.skipValue()
                continue
            }
            if try reader.peek() == .string {
                target[keyPath: path] = try reader.readString().string
            } else {
                try reader.skipValue()
            }
        }
    }

    private mutating func choose() throws(JSONError) {
        do throws(CallError) {
            try source.choose(target)
        } catch {
            refusal = error
            throw unusable("the model is not served")
        }
    }

    private mutating func readName(_ path: StaticString) throws(JSONError) -> String {
        guard try reader.peek() == .string else { throw unusable("\(path) must be a string") }
        return try reader.readString().string
    }

    private mutating func readRecommendCall(_ call: inout RecommendCall) throws(JSONError) {
        call.fallback = limits.fallback
        var mode = RecommendationMode.Name.topK
        var sampling: Sampling?
        var fields = FieldSet<CallField>()
        var sendsHistory = false
        while let field = try nextField(&fields, in: nil) {
            if field == .history {
                if try reader.readNull() { continue }
                sendsHistory = true
                try readHistory(&call)
                continue
            }
            if !limits.hasStore, field == .events || field == .store {
                throw unusable("unknown field '\(field)'")
            }
            if try reader.readNull() { continue }
            switch field {
            case .history: break
            case .events: call.events = try readCallEvents()
            case .store: call.storesEvents = try readBool("store")
            case .userID: call.request.userID = try readUserID()
            case .model: target.model = try readName("model")
            case .version: target.version = try readName("version")
            case .requestTime: call.request.requestTime = try readTimestamp("request_time")
            case .k: call.request.count = Int(try readInteger("k", in: 1...Int64(limits.maxK)))
            case .mode: mode = try readChoice("mode")
            case .sampling: sampling = try readSampling()
            case .exclude: try readExclusion(&call.request.eligibility)
            case .allow: call.request.eligibility.allowance = try readAllowance()
            case .explain: call.explains = try readBool("explain")
            case .fallback: call.fallback = try readChoice("fallback")
            case .diversity: call.request.eligibility.diversity = try readDiversity()
            case .deadline: try readDeadline(&call)
            case .priority: call.request.priority = try readChoice("priority")
            case .stream: call.stream = try readBool("stream")
            case .beams: try readBeams(&call)
            case .promptTokens: try readPromptTokens(&call)
            case .include: try readInclusion(&call)
            }
        }
        try settleHistory(&call, isSent: sendsHistory)
        if sampling != nil, mode != .sequence { throw unusable("sampling requires mode \"sequence\"") }
        if call.explains, mode == .sequence { throw unusable("explain requires mode \"top_k\"") }
        if mode == .sequence { call.request.mode = .sequence(sampling) }
    }

    /// Decides whether the history is the caller's or the store's.
    private func settleHistory(_ call: inout RecommendCall, isSent: Bool) throws(JSONError) {
        if !isSent, call.request.paths.prompt == nil {
            guard limits.hasStore else { throw unusable("history is missing") }
            guard call.request.userID != nil else {
                throw unusable("history is missing, and without user_id it cannot be looked up")
            }
            call.asksStore = true
        } else if isSent, !call.events.isEmpty {
            throw unusable("events is only for requests without history; append the events to history instead")
        }
    }

    private mutating func readRankCall(_ call: inout RecommendCall) throws(JSONError) {
        var ranking = Ranking()
        var fields = FieldSet<RankField>()
        var sendsHistory = false
        while let field = try nextField(&fields, in: nil) {
            switch field {
            case .history:
                if try reader.readNull() { continue }
                sendsHistory = true
                try readHistory(&call)
                continue
            case .candidates:
                try readCandidates(&ranking)
                continue
            case .events where !limits.hasStore, .store where !limits.hasStore:
                throw unusable("unknown field '\(field)'")
            default: break
            }
            if try reader.readNull() { continue }
            switch field {
            case .history, .candidates: break
            case .events: call.events = try readCallEvents()
            case .store: call.storesEvents = try readBool("store")
            case .userID: call.request.userID = try readUserID()
            case .model: target.model = try readName("model")
            case .version: target.version = try readName("version")
            case .requestTime: call.request.requestTime = try readTimestamp("request_time")
            case .order: ranking.order = try readChoice("order")
            case .k: ranking.count = Int(try readInteger("k", in: 1...Int64(limits.maxCandidates)))
            case .deadline: try readDeadline(&call)
            case .priority: call.request.priority = try readChoice("priority")
            case .stream: call.stream = try readBool("stream")
            }
        }
        try settleHistory(&call, isSent: sendsHistory)
        guard fields.contains(.candidates) else { throw unusable("candidates is missing") }
        if ranking.order == .request, ranking.count != nil { throw unusable("k requires order \"score\"") }
        call.request.mode = .rank(ranking.rows)
        call.ranking = ranking
    }

    /// Reads the object of a batch.
    mutating func decodeBatch() throws(JSONError) -> [Result<RecommendCall, CallError>] {
        var calls: [Result<RecommendCall, CallError>] = []
        var fields = FieldSet<BatchField>()
        try beginObject("the batch")
        while try nextField(&fields, in: nil) != nil {
            try beginArray("requests")
            while try reader.nextElement() {
                guard calls.count < limits.maxBatch else {
                    throw unusable("requests has more than \(limits.maxBatch) entries")
                }
                calls.append(try decodeBatchedCall())
            }
        }
        guard fields.contains(.requests) else { throw unusable("requests is missing") }
        return calls
    }

    /// Decodes a call of a batch. A call with unusable values is skipped, and the batch continues after it.
    private mutating func decodeBatchedCall() throws(JSONError) -> Result<RecommendCall, CallError> {
        let start = reader.mark
        do throws(JSONError) {
            let call = try decodeCall()
            source.endCall()
            return .success(call)
        } catch {
            guard error.code == .unusable else { throw error }
            reader.rewind(to: start)
            try reader.skipValue()
            return .failure(refusal ?? CallError(error))
        }
    }

    // MARK: Objects of a call

    /// Events that follow the stored history. An event without a time happens now.
    private mutating func readCallEvents() throws(JSONError) -> [UserEvent] {
        var events: [UserEvent] = []
        let now = arrival.time
        try beginArray("events")
        while try reader.nextElement() {
            let index = events.count
            guard index < limits.maxHistory else { throw unusable("events has more than \(limits.maxHistory) entries") }
            let incoming = try EventsDecoder.readEvent(&reader, now, hasUser: false) { name in
                "events[\(index)]\(name.isEmpty ? "" : ".\(name)")"
            }
            events.append(incoming.event)
        }
        return events
    }

    private mutating func readDeadline(_ call: inout RecommendCall) throws(JSONError) {
        let range = 1...Int64(CallLimits.maxDeadlineMilliseconds)
        call.request.limit(toMilliseconds: Int(try readInteger("deadline_ms", in: range)))
    }

    /// The ids of the candidates, including unknown ones.
    private mutating func readCandidates(_ ranking: inout Ranking) throws(JSONError) {
        try beginArray("candidates")
        while try reader.nextElement() {
            guard ranking.namedCount < limits.maxCandidates else {
                throw unusable("candidates has more than \(limits.maxCandidates) entries")
            }
            let (row, json) = try readCandidate("candidates[\(ranking.namedCount)]")
            if let row { ranking.add(row) } else { ranking.addUnknown(json) }
        }
        if ranking.namedCount == 0 { throw unusable("candidates must have 1 to \(limits.maxCandidates) entries") }
    }

    private mutating func readSampling() throws(JSONError) -> Sampling {
        var sampling = Sampling()
        var fields = FieldSet<SamplingField>()
        try beginObject("sampling")
        while let field = try nextField(&fields, in: "sampling") {
            if try reader.readNull() { continue }
            switch field {
            case .temperature: sampling.temperature = try readPositive("sampling.temperature", isShare: false)
            case .topP: sampling.topP = try readPositive("sampling.top_p", isShare: true)
            case .seed: sampling.seed = UInt64(bitPattern: try readInteger("sampling.seed", in: .min ... .max))
            }
        }
        return sampling
    }

    private mutating func readExclusion(_ eligibility: inout Eligibility) throws(JSONError) {
        var fields = FieldSet<ExcludeField>()
        try beginObject("exclude")
        while let field = try nextField(&fields, in: "exclude") {
            if try reader.readNull() { continue }
            switch field {
            case .items: eligibility.excludedRows = try readItems("exclude.items")
            case .tags: eligibility.excludedTags = try readTags("exclude.tags")
            case .seen: eligibility.excludesSeen = try readBool("exclude.seen")
            }
        }
    }

    private mutating func readDiversity() throws(JSONError) -> Diversity {
        var maxPerTag: Int?
        var prefix: String?
        var fields = FieldSet<DiversityField>()
        try beginObject("diversity")
        while let field = try nextField(&fields, in: "diversity") {
            if try reader.readNull() { continue }
            switch field {
            case .maxPerTag:
                maxPerTag = Int(try readInteger("diversity.max_per_tag", in: 1...Int64(limits.maxK)))
            case .prefix: prefix = try readName("diversity.prefix")
            }
        }
        guard let maxPerTag else { throw unusable("diversity.max_per_tag is missing") }
        return Diversity(maxPerTag: maxPerTag, prefix: prefix)
    }

    private mutating func readAllowance() throws(JSONError) -> Eligibility.Allowance {
        var allowance = Eligibility.Allowance(rows: [], tags: [])
        var fields = FieldSet<AllowField>()
        var isNamed = false
        try beginObject("allow")
        while let field = try nextField(&fields, in: "allow") {
            if try reader.readNull() { continue }
            isNamed = true
            switch field {
            case .items: allowance.rows = try readItems("allow.items")
            case .tags: allowance.tags = try readTags("allow.tags")
            }
        }
        guard isNamed else { throw unusable("allow must have items or tags") }
        return allowance
    }
}
