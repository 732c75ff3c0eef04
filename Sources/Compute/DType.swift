// The element types that weights are stored in and that devices compute with.

/// An element type. Raw values are the names used in `config.json` and by `--dtype`.
package enum DType: String, Sendable, Hashable, CaseIterable {
    case float32
    case float16
    case bfloat16
    case int8
    case uint8
    case bool
    case int32
    case int64

    /// Bytes of one element.
    package var byteCount: Int {
        switch self {
        case .int64: 8
        case .float32, .int32: 4
        case .float16, .bfloat16: 2
        case .int8, .uint8, .bool: 1
        }
    }
}
