// The names of a request's fields. One enum per object, so that unknown and duplicate fields are found in one place.

internal import JSON

/// The fields of one kind of object.
protocol RequestField {
    /// The field of that name; nil if the object has none.
    init?(_ key: JSONString)
    /// A number below 32, different for each field.
    var bit: UInt8 { get }
}

/// Which fields of an object have been read.
struct FieldSet<Field: RequestField> {
    private var bits: UInt32 = 0

    /// Adds a field. False if it was already there.
    mutating func insert(_ field: Field) -> Bool {
        let mask = UInt32(1) << field.bit
        defer { bits |= mask }
        return bits & mask == 0
    }

    func contains(_ field: Field) -> Bool { bits & (1 << field.bit) != 0 }
}

extension RequestField where Self: RawRepresentable, RawValue == UInt8 {
    var bit: UInt8 { rawValue }
}

enum CallField: UInt8, RequestField {
    case userID, model, version, history, requestTime, k, mode, sampling, exclude, allow, deadline, priority, stream,
        events
    case store, diversity, fallback, explain, beams, promptTokens, include

    init?(_ key: JSONString) {
        switch key {
        case "user_id": self = .userID
        case "model": self = .model
        case "version": self = .version
        case "history": self = .history
        case "request_time": self = .requestTime
        case "k": self = .k
        case "mode": self = .mode
        case "sampling": self = .sampling
        case "exclude": self = .exclude
        case "allow": self = .allow
        case "deadline_ms": self = .deadline
        case "priority": self = .priority
        case "stream": self = .stream
        case "events": self = .events
        case "store": self = .store
        case "diversity": self = .diversity
        case "fallback": self = .fallback
        case "explain": self = .explain
        case "beams": self = .beams
        case "prompt_tokens": self = .promptTokens
        case "include": self = .include
        default: return nil
        }
    }
}

/// The fields of a call that scores candidates.
enum RankField: UInt8, RequestField {
    case userID, model, version, history, requestTime, candidates, order, k, deadline, priority, stream, events, store

    init?(_ key: JSONString) {
        switch key {
        case "user_id": self = .userID
        case "model": self = .model
        case "version": self = .version
        case "history": self = .history
        case "request_time": self = .requestTime
        case "candidates": self = .candidates
        case "order": self = .order
        case "k": self = .k
        case "deadline_ms": self = .deadline
        case "priority": self = .priority
        case "stream": self = .stream
        case "events": self = .events
        case "store": self = .store
        default: return nil
        }
    }
}

enum EventField: UInt8, RequestField {
    case item, timestamp, action

    init?(_ key: JSONString) {
        switch key {
        case "item": self = .item
        case "timestamp": self = .timestamp
        case "action": self = .action
        default: return nil
        }
    }
}

enum ColumnField: UInt8, RequestField {
    case items, timestamps, actions

    init?(_ key: JSONString) {
        switch key {
        case "items": self = .items
        case "timestamps": self = .timestamps
        case "actions": self = .actions
        default: return nil
        }
    }
}

enum SamplingField: UInt8, RequestField {
    case temperature, topP, seed

    init?(_ key: JSONString) {
        switch key {
        case "temperature": self = .temperature
        case "top_p": self = .topP
        case "seed": self = .seed
        default: return nil
        }
    }
}

enum ExcludeField: UInt8, RequestField {
    case items, tags, seen

    init?(_ key: JSONString) {
        switch key {
        case "items": self = .items
        case "tags": self = .tags
        case "seen": self = .seen
        default: return nil
        }
    }
}

enum DiversityField: UInt8, RequestField {
    case maxPerTag, prefix

    init?(_ key: JSONString) {
        switch key {
        case "max_per_tag": self = .maxPerTag
        case "prefix": self = .prefix
        default: return nil
        }
    }
}

enum AllowField: UInt8, RequestField {
    case items, tags

    init?(_ key: JSONString) {
        switch key {
        case "items": self = .items
        case "tags": self = .tags
        default: return nil
        }
    }
}

enum BatchField: UInt8, RequestField {
    case requests

    init?(_ key: JSONString) {
        guard "requests" ~= key else { return nil }
        self = .requests
    }
}
