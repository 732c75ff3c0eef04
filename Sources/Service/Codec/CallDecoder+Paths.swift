// The fields of a call that only models with semantic ids accept, and how such a model checks them.

internal import Catalogue
internal import Engine
internal import JSON
internal import Models

/// Optional parts of a reply.
private enum Inclusion: String, CaseIterable {
    case tokens, exact
}

extension CallDecoder {
    /// One width, or one per level.
    mutating func readBeams(_ call: inout RecommendCall) throws(JSONError) {
        call.notePathField(.beams)
        let range = 1...Int64(limits.maxBeams)
        guard try reader.peek() == .array else {
            call.request.paths.widths = [Int(try readInteger("beams", in: range))]
            return
        }
        call.areBeamsListed = true
        var widths: [Int] = []
        try reader.beginArray()
        while try reader.nextElement() {
            guard widths.count < SemanticIDs.Limit.levels.upperBound else {
                throw unusable("beams has too many levels")
            }
            guard try reader.peek() == .number, let width = try reader.readNumber().wholeValue, range.contains(width)
            else { throw unusable("beams[\(widths.count)] must be an integer from 1 to \(limits.maxBeams)") }
            widths.append(Int(width))
        }
        call.request.paths.widths = widths
    }

    mutating func readPromptTokens(_ call: inout RecommendCall) throws(JSONError) {
        call.notePathField(.promptTokens)
        var tokens: [Int32] = []
        try beginArray("prompt_tokens")
        while try reader.nextElement() {
            guard tokens.count < CallLimits.maxPromptTokens else {
                throw unusable("prompt_tokens has more than \(CallLimits.maxPromptTokens) entries")
            }
            guard try reader.peek() == .number, let token = try reader.readNumber().wholeValue, token >= 0,
                let token = Int32(exactly: token)
            else {
                throw unusable("prompt_tokens[\(tokens.count)] must be a token id: an integer of at least 0")
            }
            tokens.append(token)
        }
        if tokens.isEmpty { throw unusable("prompt_tokens must have at least one token") }
        call.request.paths.prompt = tokens
    }

    mutating func readInclusion(_ call: inout RecommendCall) throws(JSONError) {
        call.notePathField(.include)
        var count = 0
        try beginArray("include")
        while try reader.nextElement() {
            guard try reader.peek() == .string, let wanted = Inclusion(rawValue: try reader.readString().string) else {
                throw unusable("include[\(count)] must be one of \"tokens\", \"exact\"")
            }
            switch wanted {
            case .tokens: call.includesTokens = true
            case .exact: call.includesExact = true
            }
            count += 1
        }
    }
}

extension RecommendCall {
    fileprivate mutating func notePathField(_ field: CallField) { pathField = pathField ?? field }

    /// Checks that a model can answer the call.
    ///
    /// - Parameter paths: the model's; nil: the model has no semantic ids.
    /// - Throws: `CallError` with the code `unusable`, naming the field.
    func check(_ paths: PathCatalogue?) throws(CallError) {
        func unusable(_ sentence: String) -> CallError { CallError(.unusable, sentence) }
        guard let paths else {
            if let pathField { throw unusable("\(pathField.name) requires a model with semantic ids") }
            return
        }
        if case .sequence = request.mode {
            throw unusable(
                "models with semantic ids do not support mode \"sequence\": each item is already several tokens"
            )
        }
        guard request.eligibility.diversity == nil else {
            throw unusable("models with semantic ids do not support diversity")
        }
        if let widths = request.paths.widths {
            let levels = paths.ids.levels
            guard !areBeamsListed || widths.count == levels else {
                throw unusable("beams must have one width for each of the \(levels) levels, not \(widths.count)")
            }
            if let last = widths.last, last < request.count {
                throw unusable(
                    "\(areBeamsListed ? "the last of beams" : "beams") must be at least k, which is \(request.count)"
                )
            }
        }
        guard let prompt = request.paths.prompt else { return }
        if let place = prompt.firstIndex(where: { Int($0) >= paths.vocabulary }) {
            throw unusable(
                "prompt_tokens[\(place)] is \(prompt[place]), but the vocabulary has tokens 0 to \(paths.vocabulary - 1)"
            )
        }
        guard prompt.count <= paths.longestPrompt else {
            throw unusable(
                "prompt_tokens has \(prompt.count) tokens, but the window of \(paths.window) has room for \(paths.longestPrompt)"
            )
        }
    }
}

extension CallField {
    /// The name in JSON of a field that only models with semantic ids accept.
    fileprivate var name: String {
        switch self {
        case .promptTokens: "prompt_tokens"
        default: "\(self)"
        }
    }
}
