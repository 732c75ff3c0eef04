// One walk over a body: the fields of a call and of a batch. Values are checked where they are read, so that an error can name
// the field; paths are put together only when there is an error. The history is in `CallDecoder+History`, scalars and lists are
// in `CallDecoder+Values`.

internal import Glibc
internal import JSON
internal import Users

/// Decodes calls from one reader.
struct CallDecoder<Items: ItemLookup>: ~Copyable {
    var reader: JSONReader
    let items: Items
    let limits: CallLimits
    /// Unknown ids of the call being read.
    var unknownItems = 0
    /// The first unknown id of the history being read.
    var unknownExample: String?
    /// The history being read, unknown items as `unknownRow`; kept from call to call, so that a batch grows it once.
    var rows: [Int32] = []
    var timestamps: [Int64] = []
    var actions: [UInt64] = []

    init(_ reader: consuming JSONReader, items: Items, limits: CallLimits) {
        self.reader = reader
        self.items = items
        self.limits = limits
    }

    /// Checks that the body ends here.
    mutating func finish() throws(JSONError) { try reader.finish() }

    /// Reads the object of one call.
    mutating func decodeCall() throws(JSONError) -> RecommendCall {
        var call = RecommendCall(k: limits.defaultK)
        var fields = FieldSet<CallField>()
        unknownItems = 0
        try beginObject("the request")
        while let field = try nextField(&fields, in: nil) {
            if field == .history {
                call.history = try readHistory()
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
            case .userID: call.userID = try readUserID()
            case .requestTime: call.requestTime = try readTimestamp("request_time")
            case .k: call.k = Int(try readInteger("k", in: 1...Int64(limits.maxK)))
            case .mode: call.mode = try readChoice("mode")
            case .sampling: call.sampling = try readSampling()
            case .exclude: call.exclusion = try readExclusion()
            case .allow: call.allowance = try readAllowance()
            case .deadline:
                let range = 1...Int64(CallLimits.maxDeadlineMilliseconds)
                call.deadlineMilliseconds = Int(try readInteger("deadline_ms", in: range))
            case .priority: call.priority = try readChoice("priority")
            case .stream: call.stream = try readBool("stream")
            }
        }
        if !fields.contains(.history) {
            guard limits.hasStore else { throw unusable("history is missing") }
            guard call.userID != nil else {
                throw unusable("history is missing, and there is no user_id whose events could be looked up")
            }
            call.asksStore = true
        } else if !call.events.isEmpty {
            throw unusable("events are for a request without history: its last ones say the same")
        }
        if call.sampling != nil, call.mode != .sequence {
            throw unusable("sampling is only for the mode \"sequence\"")
        }
        call.unknownItems = unknownItems
        return call
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

    /// A call whose values are not usable is read over, and the batch goes on behind it.
    private mutating func decodeBatchedCall() throws(JSONError) -> Result<RecommendCall, CallError> {
        let start = reader.mark
        do throws(JSONError) {
            return .success(try decodeCall())
        } catch {
            guard error.code == .unusable else { throw error }
            reader.rewind(to: start)
            try reader.skipValue()
            return .failure(CallError(error))
        }
    }

    // MARK: Objects of a call

    /// Events that follow those of the store; without a time they happen now.
    private mutating func readCallEvents() throws(JSONError) -> [UserEvent] {
        var events: [UserEvent] = []
        let now = Int64(time(nil))
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

    private mutating func readSampling() throws(JSONError) -> RecommendCall.Sampling {
        var sampling = RecommendCall.Sampling()
        var fields = FieldSet<SamplingField>()
        try beginObject("sampling")
        while let field = try nextField(&fields, in: "sampling") {
            if try reader.readNull() { continue }
            switch field {
            case .temperature: sampling.temperature = try readPositive("sampling.temperature", isShare: false)
            case .topP: sampling.topP = try readPositive("sampling.top_p", isShare: true)
            case .seed: sampling.seed = try readInteger("sampling.seed", in: .min ... .max)
            }
        }
        return sampling
    }

    private mutating func readExclusion() throws(JSONError) -> RecommendCall.Exclusion {
        var exclusion = RecommendCall.Exclusion()
        var fields = FieldSet<ExcludeField>()
        try beginObject("exclude")
        while let field = try nextField(&fields, in: "exclude") {
            if try reader.readNull() { continue }
            switch field {
            case .items: exclusion.rows = try readItems("exclude.items")
            case .tags: exclusion.tags = try readTags("exclude.tags")
            case .seen: exclusion.seen = try readBool("exclude.seen")
            }
        }
        return exclusion
    }

    private mutating func readAllowance() throws(JSONError) -> RecommendCall.Allowance {
        var allowance = RecommendCall.Allowance()
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
