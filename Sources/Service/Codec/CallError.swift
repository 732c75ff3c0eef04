// Why a body was refused before it was processed.

internal import JSON

/// A fault of the caller, with its HTTP status.
package struct CallError: Error, Equatable, CustomStringConvertible {
    /// The kind of fault; the raw value is the HTTP status.
    package enum Code: Int, Sendable {
        /// The body is not JSON (RFC 8259), is nested too deeply, or has a duplicate key. The detail names the byte.
        case malformed = 400
        /// The body names a model that is not served. The detail lists the served ones.
        case unknownModel = 404
        /// The body is well-formed JSON, but a field is missing, unknown or not usable. The detail names the field.
        case unusable = 422
        /// The model is still being loaded to replace another.
        case unavailable = 503
    }

    package let code: Code
    /// One sentence for the caller.
    package let detail: String

    /// A fault with its sentence.
    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    /// The HTTP status: 400, 404, 422 or 503.
    package var status: Int { code.rawValue }
    package var description: String { detail }

    package static func == (left: CallError, right: CallError) -> Bool { left.code == right.code }

    init(_ error: JSONError) {
        self.init(error.code == .unusable ? .unusable : .malformed, error.description)
    }

    /// The error of a body whose reader stopped at its first fault. If that is a fault of values, the rest of the body may still be
    /// invalid JSON, which takes precedence.
    init(_ error: JSONError, in body: UnsafeBufferPointer<UInt8>, depthLimit: Int) {
        var verdict = error
        if error.code == .unusable {
            var reader = JSONReader(body, depthLimit: depthLimit)
            do throws(JSONError) {
                try reader.skipValue()
                try reader.finish()
            } catch {
                verdict = error
            }
        }
        self.init(verdict)
    }
}
