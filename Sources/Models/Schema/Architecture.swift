// The architectures that a bundle can hold, and what each one declares. To add one: a folder in Decoders with its
// configuration and mathematics, and a case in `Architecture.Name`.

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

/// A decoder's declaration: its settings, its tensors, the cost of a layer, and how to build it.
package protocol ArchitectureConfiguration: Sendable, Equatable {
    /// The name in `config.json`.
    var architecture: Architecture.Name { get }
    /// Every key of the object under `model` in `config.json`, in the order of writing and printing.
    static var settings: [Setting<Self>] { get }
    /// Distinguishes this model from others of its architecture, for people.
    var variant: String { get }

    /// D
    var width: Int { get set }
    /// L
    var layers: Int { get set }
    /// Rows of the item table, V + 1 with the padding row 0.
    var rows: Int { get set }
    /// The window: only this many newest events of a longer history are used.
    var maxSequenceLength: Int { get set }

    /// Every tensor of the bundle, in file order; the item table, (`rows`, D), comes first.
    var tensorSpecifications: [TensorSpecification] { get }
    /// Whether queries are scored against the item table itself.
    var scoresItemTable: Bool { get }
    /// The cost of a layer.
    var layerOperations: LayerOperations { get }
    /// The cached state per event.
    var keyValueShape: KeyValueShape { get }

    /// A configuration with the defaults: those of the published models, and 0 for dimensions.
    init()

    /// The first contradiction between settings that are each within range, as a sentence; nil: none.
    func contradiction() -> String?

    /// Loads the weights of a bundle into a device.
    ///
    /// - Parameter eligible: one bit per row, set if the catalogue has an item.
    func makeDecoder(_ loader: WeightLoader, eligible: [UInt64]) throws(ComputeError) -> any DecoderModel
}

extension ArchitectureConfiguration {
    package var scoresItemTable: Bool { true }

    /// A checked configuration with the caller's settings.
    ///
    /// - Throws: `JSONError` whose reason names the value by its JSON key.
    package init(_ set: (inout Self) throws(JSONError) -> Void) throws(JSONError) {
        self.init()
        try set(&self)
        try check()
    }

    /// Reads the object under `model` in `config.json`. Errors name the key.
    package init(_ fields: JSONFields) throws(JSONError) {
        self = try Self().reading(fields)
    }

    /// The configuration with every setting taken from `fields`, checked.
    func reading(_ fields: JSONFields) throws(JSONError) -> Self {
        var fields = fields
        var copy = self
        for setting in Self.settings { try setting.take(&fields, &copy) }
        try fields.end()
        try copy.check()
        return copy
    }

    private func check() throws(JSONError) {
        for setting in Self.settings { try setting.check(self) }
        if let contradiction = contradiction() { throw JSONError(contradiction) }
    }

    /// The object under `model` in `config.json`.
    package var json: JSONValue {
        .object(Self.settings.compactMap { setting in setting.json(self).map { JSONMember(setting.key, $0) } })
    }

    /// Label and value of each dimension and switch, for people.
    package var facts: [(label: String, value: String)] {
        [("variant", variant)]
            + Self.settings.flatMap { setting in setting.facts.map { ($0.label, $0.text(self)) } }
    }

    /// Bytes of keys and values that one event takes in a cache of this dtype.
    package func cacheBytesPerEvent(_ dtype: DType) -> Int {
        let shape = keyValueShape
        return shape.layers * shape.heads * (shape.keyColumns + shape.valueColumns) * dtype.byteCount
    }
}

/// Floating-point operations (two per multiply-add) of one layer.
package struct LayerOperations: Sendable, Equatable {
    /// Projections of a row into its key and value, which later rows need.
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

/// Floating-point operations of one request, by purpose.
package struct RequestOperations: Sendable, Equatable {
    /// Projections.
    package let linear: Int
    /// Attention over the causal triangle.
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
    /// Floating-point operations (two per multiply-add) of one request without a cache: all rows of all layers.
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

    /// Floating-point operations that an answer needs: the newest `length` events after `cached` earlier ones, whose
    /// keys and values are known. In the last layer every row needs only its key and value, except the newest.
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
package struct Architecture: Sendable, Equatable {
    /// Names as `config.json` writes them. A new decoder is a case here and its configuration below.
    package enum Name: String, Sendable, CaseIterable {
        case hstu
        case sasrec
        case llama
        case gpt
        case qwen2
        case qwen3

        /// A new configuration of this architecture.
        var configuration: any ArchitectureConfiguration {
            switch self {
            case .hstu: HSTUConfiguration()
            case .sasrec: SASRecConfiguration()
            case .llama: LlamaConfiguration(.llama)
            case .gpt: GPTConfiguration()
            case .qwen2: LlamaConfiguration(.qwen2)
            case .qwen3: LlamaConfiguration(.qwen3)
            }
        }
    }

    package let configuration: any ArchitectureConfiguration

    package var name: Name { configuration.architecture }

    package init(_ configuration: any ArchitectureConfiguration) {
        self.configuration = configuration
    }

    /// Reads the object under `model` for the architecture of this name.
    package init(_ name: Name, _ fields: JSONFields) throws(JSONError) {
        configuration = try name.configuration.reading(fields)
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.name == right.name && left.configuration.json == right.configuration.json
    }
}
