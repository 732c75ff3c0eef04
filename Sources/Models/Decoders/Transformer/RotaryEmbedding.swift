// Rotary position embedding: which dimensions of a head rotate together, and how fast. The angles of an event are its
// slot times `inverseFrequencies`; the device rotates queries and keys by them.

import Glibc
package import JSON

/// The rotary settings of `config.json`.
package struct RotaryEmbedding: Sendable, Equatable {
    /// Which dimensions of a head form a pair. Weights trained with one pairing are wrong under the other.
    package enum Pairing: String, Sendable, CaseIterable {
        /// j with j + d/2, as in Hugging Face's Llama.
        case halves
        /// 2j with 2j + 1, as in Meta's Llama.
        case interleaved
    }

    /// The change of the frequencies that extends the window beyond the one of pretraining.
    package enum Scaling: Sendable, Equatable {
        case none
        /// All frequencies are divided by the factor.
        case linear(factor: Double)
        /// Low frequencies are divided by the factor, high ones stay, those between are interpolated (Llama 3.1).
        case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalLength: Int)

        /// Hugging Face's word for it, as in `config.json`.
        package var type: String {
            switch self {
            case .none: "default"
            case .linear: "linear"
            case .llama3: "llama3"
            }
        }
    }

    /// θ
    package var theta = 10_000.0
    package var scaling = Scaling.none
    package var pairing = Pairing.halves

    package init(theta: Double = 10_000, scaling: Scaling = .none, pairing: Pairing) {
        self.theta = theta
        self.scaling = scaling
        self.pairing = pairing
    }

    /// Bounds of the values above.
    package enum Limit {
        package static let theta = 1e12
        package static let factor = 1e6
        package static let originalLength = 1...(1 << 24)
    }

    /// d/2 angles per slot, in radians: θ^(−2j/d) for j < d/2, scaled. Rounds to float32 where transformers
    /// (`modeling_rope_utils`) does; the powers themselves are exact to the last bit.
    ///
    /// - Parameter headDimension: d, even.
    package func inverseFrequencies(headDimension: Int) -> [Float] {
        precondition(headDimension > 0 && headDimension.isMultiple(of: 2))
        return (0..<headDimension / 2).map { pair in
            let exponent = Float(2 * pair) / Float(headDimension)
            let frequency = 1 / Float(pow(Double(Float(theta)), Double(exponent)))
            return scaled(frequency)
        }
    }

    private func scaled(_ frequency: Float) -> Float {
        switch scaling {
        case .none: return frequency
        case .linear(let factor): return frequency / Float(factor)
        case .llama3(let factor, let low, let high, let length):
            let wavelength = Float(2 * Double.pi) / frequency
            if wavelength < Float(Double(length) / high) { return frequency }
            let slow = frequency / Float(factor)
            if wavelength > Float(Double(length) / low) { return slow }
            let smooth = (Float(length) / wavelength - Float(low)) / Float(high - low)
            return (1 - smooth) * frequency / Float(factor) + smooth * frequency
        }
    }
}

// MARK: - config.json

extension Setting {
    /// `rope_scaling`: an object whose keys are Hugging Face's.
    static func ropeScaling(_ path: Path<RotaryEmbedding.Scaling>) -> Self {
        let key = "rope_scaling"
        return Self(
            key,
            values: "an object",
            """
            `type` `default`, or `linear` with `factor`, or `llama3` with `factor`, `low_freq_factor`, \
            `high_freq_factor`, `original_max_position_embeddings`
            """,
            take: { (fields, owner) throws(JSONError) in
                var object = try fields.object(key)
                owner[keyPath: path] = try RotaryEmbedding.Scaling(type: object.string("type"), &object)
                try object.end()
            },
            json: { owner in
                let scaling = owner[keyPath: path]
                return .object([JSONMember("type", .string(scaling.type))] + scaling.members)
            },
            check: { (owner) throws(JSONError) in try owner[keyPath: path].check() }
        )
    }
}

extension RotaryEmbedding.Scaling {
    /// Takes the parameters of a kind of scaling, whose keys are Hugging Face's.
    ///
    /// - Throws: `JSONError` that names a kind that is not supported, or a parameter.
    package init(type: String, _ fields: inout JSONFields) throws(JSONError) {
        typealias Limit = RotaryEmbedding.Limit
        switch type {
        case "default": self = .none
        case "linear": self = .linear(factor: try fields.positiveReal("factor", atMost: Limit.factor))
        case "llama3":
            self = .llama3(
                factor: try fields.positiveReal("factor", atMost: Limit.factor),
                lowFrequencyFactor: try fields.positiveReal("low_freq_factor", atMost: Limit.factor),
                highFrequencyFactor: try fields.positiveReal("high_freq_factor", atMost: Limit.factor),
                originalLength: try fields.integer("original_max_position_embeddings", in: Limit.originalLength)
            )
        default:
            throw JSONError(
                "RoPE scaling of type \(quoted(type)) is not supported, only \"default\", \"linear\" and \"llama3\""
            )
        }
    }

    /// Checks parameters set in code rather than read from JSON.
    fileprivate func check() throws(JSONError) {
        typealias Limit = RotaryEmbedding.Limit
        let factors: [(key: String, value: Double)]
        switch self {
        case .none: return
        case .linear(let factor): factors = [("factor", factor)]
        case .llama3(let factor, let low, let high, let length):
            factors = [("factor", factor), ("low_freq_factor", low), ("high_freq_factor", high)]
            guard low < high else {
                throw JSONError("rope_scaling.low_freq_factor must be less than rope_scaling.high_freq_factor")
            }
            guard Limit.originalLength.contains(length) else {
                throw JSONError(
                    """
                    rope_scaling.original_max_position_embeddings must be from \(Limit.originalLength.lowerBound) to \
                    \(Limit.originalLength.upperBound)
                    """
                )
            }
        }
        for (key, value) in factors where !(value > 0 && value <= Limit.factor) {
            throw JSONError("rope_scaling.\(key) must be greater than 0 and at most \(Limit.factor)")
        }
    }

    fileprivate var members: [JSONMember] {
        switch self {
        case .none: []
        case .linear(let factor): [JSONMember("factor", .real(factor))]
        case .llama3(let factor, let low, let high, let length):
            [
                JSONMember("factor", .real(factor)),
                JSONMember("low_freq_factor", .real(low)),
                JSONMember("high_freq_factor", .real(high)),
                JSONMember("original_max_position_embeddings", .integer(length)),
            ]
        }
    }

    /// The scaling as a phrase for people; empty if there is none.
    var fact: String {
        switch self {
        case .none: ""
        case .linear(let factor): ", frequencies divided by \(factor)"
        case .llama3(let factor, _, _, let length): ", llama3 scaling by \(factor) from \(length) slots"
        }
    }
}
