// Lists and mappings of the YAML file, with the places of all values.

internal import Yams

/// A node of the YAML file.
indirect enum SettingsNode {
    /// `place` is `line:column`, from 1.
    case scalar(String, place: String)
    case list([SettingsNode], place: String)
    case mapping([Member], place: String)

    struct Member {
        let key: String
        let keyPlace: String
        let value: SettingsNode
    }

    var place: String {
        switch self {
        case .scalar(_, let place), .list(_, let place), .mapping(_, let place): place
        }
    }

    /// - Parameter count: called for each node; throws if there are too many.
    init(_ node: Node, count: () throws(ConfigurationError) -> Void) throws(ConfigurationError) {
        try count()
        let place = "\(node.mark?.line ?? 0):\(node.mark?.column ?? 0)"
        switch node {
        case .scalar(let scalar): self = .scalar(scalar.string, place: place)
        case .alias: self = .scalar("", place: place)
        case .sequence(let sequence):
            var elements: [SettingsNode] = []
            for element in sequence { elements.append(try SettingsNode(element, count: count)) }
            self = .list(elements, place: place)
        case .mapping(let mapping):
            var members: [Member] = []
            for (key, value) in mapping {
                let keyPlace = "\(key.mark?.line ?? 0):\(key.mark?.column ?? 0)"
                members.append(
                    Member(key: key.string ?? "", keyPlace: keyPlace, value: try SettingsNode(value, count: count))
                )
            }
            self = .mapping(members, place: place)
        }
    }
}
