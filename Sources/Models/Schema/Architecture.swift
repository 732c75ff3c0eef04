// The architectures that a bundle can hold. Adding one: its configuration in a file of its own, a case here, and the
// compiler names the switches that have to know it.

package import Compute
package import JSON

/// A tensor that a bundle must hold.
package struct TensorSpecification: Sendable, Equatable {
    package let name: String
    /// Extents, outermost first.
    package let shape: [Int]

    package init(_ name: String, _ shape: [Int]) {
        self.name = name
        self.shape = shape
    }

    /// Number of elements. Cannot overflow: configurations bound their products.
    package var count: Int { shape.reduce(1, *) }
}

/// What every architecture's configuration tells.
package protocol ArchitectureConfiguration: Sendable, Equatable {
    /// Rows of the item table, V + 1 with the padding row 0.
    var rows: Int { get }
    /// The window: of a longer history only the newest so many events are used.
    var maxSequenceLength: Int { get }
    /// Every tensor of the bundle, in the order in which they are written; the item table, (`rows`, D), comes first.
    var tensorSpecifications: [TensorSpecification] { get }
    /// Label and value of each dimension and switch, for people.
    var facts: [(label: String, value: String)] { get }
    /// The object under `model` in `config.json`.
    var json: JSONValue { get }

    /// Reads the object under `model` in `config.json`. Errors name the key.
    init(_ fields: JSONFields) throws(JSONError)

    /// D
    var width: Int { get }
    /// L
    var layers: Int { get }
    /// What a layer costs.
    var layerOperations: LayerOperations { get }

    /// Bytes of keys and values that one event leaves in a cache of this element type.
    func cacheBytesPerEvent(_ dtype: DType) -> Int
}

/// Floating-point operations (two a multiply-add) of one layer.
package struct LayerOperations: Sendable, Equatable {
    /// Projections into a row's key and value: what later rows need of it.
    package let keyValue: Int
    /// All other projections of a row.
    package let otherLinear: Int
    /// Attention of one row to one key.
    package let pair: Int

    package init(keyValue: Int, otherLinear: Int, pair: Int) {
        self.keyValue = keyValue
        self.otherLinear = otherLinear
        self.pair = pair
    }
}

/// Floating-point operations of one request by what they are spent on.
package struct RequestOperations: Sendable, Equatable {
    /// Projections.
    package let linear: Int
    /// Attention over the causal half.
    package let attention: Int
    /// Dot products with the item table.
    package let scoring: Int

    package init(linear: Int, attention: Int, scoring: Int) {
        self.linear = linear
        self.attention = attention
        self.scoring = scoring
    }

    package var total: Int { linear + attention + scoring }
}

extension ArchitectureConfiguration {
    /// Floating-point operations (two a multiply-add) of one request that is computed without a cache, all rows of all
    /// layers.
    ///
    /// - Parameter length: events of the history that are used, at most `maxSequenceLength`.
    package func operations(length: Int) -> RequestOperations {
        let layer = layerOperations
        return RequestOperations(
            linear: layers * length * (layer.keyValue + layer.otherLinear),
            attention: layers * (length * (length + 1) / 2) * layer.pair,
            scoring: 2 * rows * width
        )
    }

    /// Floating-point operations that an answer needs: the newest `length` events on `cached` earlier ones, whose keys and
    /// values are known, and in the last layer no more of a row than its key and value, but for the newest.
    package func neededOperations(length: Int, cached: Int) -> RequestOperations {
        let layer = layerOperations
        let pairs = length * cached + length * (length + 1) / 2
        return RequestOperations(
            linear: layers * length * layer.keyValue + ((layers - 1) * length + 1) * layer.otherLinear,
            attention: ((layers - 1) * pairs + cached + length) * layer.pair,
            scoring: 2 * rows * width
        )
    }

    /// Elements of all tensors.
    package var parameterCount: Int { tensorSpecifications.reduce(0) { $0 + $1.count } }
}

/// An architecture with its configuration.
package enum Architecture: Sendable, Equatable {
    case hstu(HSTUConfiguration)
    case sasrec(SASRecConfiguration)
    case llama(LlamaConfiguration)
    case gpt(GPTConfiguration)

    /// Names as `config.json` writes them.
    package enum Name: String, Sendable, CaseIterable {
        case hstu
        case sasrec
        case llama
        case gpt
    }

    package var name: Name {
        switch self {
        case .hstu: .hstu
        case .sasrec: .sasrec
        case .llama: .llama
        case .gpt: .gpt
        }
    }

    package var configuration: any ArchitectureConfiguration {
        switch self {
        case .hstu(let configuration): configuration
        case .sasrec(let configuration): configuration
        case .llama(let configuration): configuration
        case .gpt(let configuration): configuration
        }
    }

    /// Reads the object under `model` for the architecture of this name.
    package init(_ name: Name, _ fields: JSONFields) throws(JSONError) {
        switch name {
        case .hstu: self = .hstu(try HSTUConfiguration(fields))
        case .sasrec: self = .sasrec(try SASRecConfiguration(fields))
        case .llama: self = .llama(try LlamaConfiguration(fields))
        case .gpt: self = .gpt(try GPTConfiguration(fields))
        }
    }
}
