// Decodes requests and encodes replies: the JSON of `POST /recommend`, `POST /rank` and their batches. Pure functions
// without HTTP or the engine. This file decodes; `RecommendCodec+Reply` encodes.
//
// Decisions that the interface leaves open, also stated in the OpenAPI document:
// - An unknown field is refused (422), so that a misspelt `exlude` cannot be ignored silently.
// - An optional field with the value null is absent. `history` is not optional; null is not a history.
// - The same key twice in an object is malformed (400), since readers disagree on which one counts.
// - 400 is about bytes, 422 about values: a wrong type is 422. A body gets 422 only if it is well-formed to its end.
// - An integer may have a fraction or an exponent if its value is whole and within ±2⁵³.
// - 17 and "17" are the same item, whatever the type of the catalogue's ids; "017" and "+17" are not 17. Replies have
//   the catalogue's type.
// - Unknown ids are counted wherever they occur. Unknown tags are skipped.
// - `allow` must name items or tags. If all of them are unknown, nothing is eligible.
// - `action` must be a string or an integer and is otherwise unused: no architecture here models it.

package import Engine
internal import JSON

/// Decodes calls and encodes replies.
package struct RecommendCodec: Sendable {
    /// The deepest nesting; a call in a batch needs five levels.
    private static let depthLimit = 16

    /// The kind of call in a body.
    package enum Question: Sendable {
        /// Items of the catalogue.
        case recommend
        /// The scores of candidates.
        case rank
    }

    private let limits: CallLimits

    /// A codec that accepts what is within `limits`.
    package init(limits: CallLimits) { self.limits = limits }

    /// The call in a body of `POST /recommend` or `POST /rank`. Ids become rows of the call's model as they are read.
    /// Afterwards that model is the last one that `source` chose.
    ///
    /// - Parameter user: the user named by the request's head.
    package func decode(
        _ body: UnsafeBufferPointer<UInt8>,
        as question: Question = .recommend,
        from source: inout some ItemSource,
        arrival: Arrival,
        user: String? = nil
    ) throws(CallError) -> RecommendCall {
        var decoder = decoder(body, question, source, arrival, user)
        do throws(JSONError) {
            let call = try decoder.decodeCall()
            try decoder.finish()
            source = decoder.source
            return call
        } catch {
            throw Self.verdict(on: error, decoder.refusal, in: body)
        }
    }

    /// The call in a body of `POST /recommend` or `POST /rank`.
    package func decode(
        _ body: [UInt8],
        as question: Question = .recommend,
        from source: inout some ItemSource,
        arrival: Arrival,
        user: String? = nil
    ) throws(CallError) -> RecommendCall {
        try body.withUnsafeBufferPointer { body throws(CallError) in
            try decode(body, as: question, from: &source, arrival: arrival, user: user)
        }
    }

    /// The calls in a batch's body, in order. A wrong value fails only its own call. Invalid JSON, or a fault of the
    /// batch itself, is thrown.
    package func decodeBatch(
        _ body: UnsafeBufferPointer<UInt8>,
        as question: Question = .recommend,
        from source: inout some ItemSource,
        arrival: Arrival
    ) throws(CallError) -> [Result<RecommendCall, CallError>] {
        var decoder = decoder(body, question, source, arrival, nil)
        do throws(JSONError) {
            let calls = try decoder.decodeBatch()
            try decoder.finish()
            source = decoder.source
            return calls
        } catch {
            throw Self.verdict(on: error, nil, in: body)
        }
    }

    /// The calls in a batch's body, in order.
    package func decodeBatch(
        _ body: [UInt8],
        as question: Question = .recommend,
        from source: inout some ItemSource,
        arrival: Arrival
    ) throws(CallError) -> [Result<RecommendCall, CallError>] {
        try body.withUnsafeBufferPointer { body throws(CallError) in
            try decodeBatch(body, as: question, from: &source, arrival: arrival)
        }
    }

    private func decoder<Source: ItemSource>(
        _ body: UnsafeBufferPointer<UInt8>,
        _ question: Question,
        _ source: Source,
        _ arrival: Arrival,
        _ user: String?
    ) -> CallDecoder<Source> {
        CallDecoder(
            JSONReader(body, depthLimit: Self.depthLimit),
            question,
            source: source,
            limits: limits,
            arrival: arrival,
            user: user
        )
    }

    /// What is wrong with a user id, as the end of an error sentence; nil if it is valid. Also for ids outside a body,
    /// as in `DELETE /users/{user_id}`.
    package static func fault(inUserID utf8: UnsafeBufferPointer<UInt8>) -> String? {
        if utf8.isEmpty || utf8.count > 256 { return "must have 1 to 256 bytes" }
        var previous: UInt8 = 0
        for byte in utf8 {
            // C0, DEL, and C1, which UTF-8 writes as C2 80 … C2 9F.
            if byte < 0x20 || byte == 0x7F || (previous == 0xC2 && byte < 0xA0) {
                return "must not have control characters"
            }
            previous = byte
        }
        return nil
    }

    /// What is wrong with a user id; see above.
    package static func fault(inUserID id: String) -> String? {
        var id = id
        return id.withUTF8 { fault(inUserID: $0) }
    }

    /// The error to report.
    ///
    /// - Parameter refusal: the error if the JSON is valid.
    private static func verdict(
        on error: JSONError,
        _ refusal: CallError?,
        in body: UnsafeBufferPointer<UInt8>
    ) -> CallError {
        let fault = CallError(error, in: body, depthLimit: depthLimit)
        return fault.code == .unusable ? refusal ?? fault : fault
    }
}
