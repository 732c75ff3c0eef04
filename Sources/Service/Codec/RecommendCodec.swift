// Request bytes to calls, replies to bytes: the JSON of `POST /recommend` and `POST /recommend/batch`. Pure functions; the
// routes call them, nothing here knows of HTTP or the engine. This file is the way in; the way out is `RecommendCodec+Reply`.
//
// What the interface leaves open is decided here, and the OpenAPI document says the same:
// - A field that is not in the interface is refused (422): a misspelt `exlude` that did nothing would be a trap.
// - An optional field with the value null is absent. `history` is not optional; null is no history.
// - The same key twice in an object is malformed (400), since readers disagree on which one counts.
// - 400 is about bytes, 422 about values: a wrong type is 422. 422 is said only of a body that is well-formed to its end.
// - An integer may be written with a fraction or an exponent, where its value is whole and within ±2⁵³.
// - 17 and "17" are the same item, whatever the type of the catalogue's ids; "017" and "+17" are not 17. Replies have the
//   catalogue's type.
// - Unknown ids are counted wherever they stand; unknown tags are passed over.
// - `allow` must name items or tags; if it names only unknown ones, nothing is eligible.
// - `action` is checked to be a string or an integer and otherwise not used: no architecture here models it.

internal import JSON

/// Decodes calls and encodes replies.
package struct RecommendCodec: Sendable {
    /// Levels of nesting; a call in a batch needs five.
    private static let depthLimit = 16

    private let limits: CallLimits

    /// A codec that accepts what is within `limits`.
    package init(limits: CallLimits) { self.limits = limits }

    /// The call in a body of `POST /recommend`. Ids become rows of `items` as they are read.
    package func decode(_ body: UnsafeBufferPointer<UInt8>, items: some ItemLookup) throws(CallError) -> RecommendCall {
        var decoder = CallDecoder(JSONReader(body, depthLimit: Self.depthLimit), items: items, limits: limits)
        do throws(JSONError) {
            let call = try decoder.decodeCall()
            try decoder.finish()
            return call
        } catch {
            throw Self.verdict(on: error, in: body)
        }
    }

    /// The call in a body of `POST /recommend`.
    package func decode(_ body: [UInt8], items: some ItemLookup) throws(CallError) -> RecommendCall {
        try body.withUnsafeBufferPointer { body throws(CallError) in try decode(body, items: items) }
    }

    /// The calls in a body of `POST /recommend/batch`, in order. What is wrong with one call's values is that call's failure;
    /// what is wrong with the JSON, or with the batch itself, is thrown.
    package func decodeBatch(
        _ body: UnsafeBufferPointer<UInt8>,
        items: some ItemLookup
    ) throws(CallError) -> [Result<RecommendCall, CallError>] {
        var decoder = CallDecoder(JSONReader(body, depthLimit: Self.depthLimit), items: items, limits: limits)
        do throws(JSONError) {
            let calls = try decoder.decodeBatch()
            try decoder.finish()
            return calls
        } catch {
            throw Self.verdict(on: error, in: body)
        }
    }

    /// The calls in a body of `POST /recommend/batch`, in order.
    package func decodeBatch(
        _ body: [UInt8],
        items: some ItemLookup
    ) throws(CallError) -> [Result<RecommendCall, CallError>] {
        try body.withUnsafeBufferPointer { body throws(CallError) in try decodeBatch(body, items: items) }
    }

    /// What is wrong with a user id, as the end of a sentence about it; nil when nothing is. For ids that come by another way
    /// than a body, as in `DELETE /users/{user_id}`.
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

    /// The decoder stops at the first fault. Where that is one of values, the rest of the body may still not be JSON, which is
    /// the graver fault.
    private static func verdict(on error: JSONError, in body: UnsafeBufferPointer<UInt8>) -> CallError {
        guard error.code == .unusable else { return CallError(error) }
        var reader = JSONReader(body, depthLimit: depthLimit)
        do throws(JSONError) {
            try reader.skipValue()
            try reader.finish()
            return CallError(error)
        } catch {
            return CallError(error)
        }
    }
}
