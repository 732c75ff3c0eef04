// Declares a setting once: its key, allowed values, where its value is stored, and help for operators. Reading,
// checking, Config/genrec.yaml, the page Settings and `genrec check-config` are derived from the declaration.

/// A fault of one setting, or of a file that a setting names.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// One sentence, starting with the place of the value if there is one: `genrec.yaml:12:3: …`.
    package let description: String
}

/// All faults of a configuration; never empty.
package struct ConfigurationFaults: Error, CustomStringConvertible {
    package let faults: [ConfigurationError]
    /// The settings, with faulty ones at their defaults; nil if the file could not be read.
    let readable: ServiceConfiguration?

    /// The first fault, and the number of others.
    package var description: String {
        let rest = faults.count - 1
        guard rest > 0 else { return faults.first?.description ?? "" }
        return "\(faults[0]) (and \(rest) more; `genrec check-config` lists them)"
    }
}

/// A setting of the server.
struct Setting: Sendable {
    /// Section and name, joined by a dot.
    let key: String
    /// The allowed values, for documentation: "1 to 256".
    let allowed: String
    /// Sentences for operators. Line breaks are kept.
    let help: String
    /// The key of the setting that must be valid before this one can be checked.
    private(set) var dependsOn: String?
    /// Checks the value once all settings are read, if some layer sets it. Returns the end of a sentence that starts
    /// with the key, or nil.
    private(set) var check: (@Sendable (ServiceConfiguration) -> String?)?
    /// Stores the value; nil: no layer sets it. Throws the end of a sentence that starts with the key.
    let apply: @Sendable (String?, inout ServiceConfiguration) throws(Refusal) -> Void
    /// The value as text that `apply` accepts.
    let text: @Sendable (ServiceConfiguration) -> String

    /// Why a value is refused: the rest of a sentence that starts with the key, "must be …" or ": …".
    struct Refusal: Error {
        let predicate: String

        init(_ predicate: String) { self.predicate = predicate }

        static func mustBe(_ allowed: String, not text: String) -> Refusal {
            Refusal(" must be \(allowed), not '\(text)'")
        }
    }

    /// The environment variable of the setting.
    var variable: String { Self.variablePrefix + key.uppercased().map { $0 == "." ? "_" : $0 } }

    static let variablePrefix = "GENREC_"

    /// The option of `genrec serve` for a key, if there is one.
    static let options = [
        "bundle": "--bundle", "http.listen": "--listen", "tls.certificate": "--tls-certificate", "tls.key": "--tls-key",
        "tls.client_ca": "--tls-client-ca", "engine.device": "--device", "engine.dtype": "--dtype",
        "engine.threads": "--threads",
    ]

    func after(_ key: String) -> Setting {
        var setting = self
        setting.dependsOn = key
        return setting
    }

    func checked(_ check: @escaping @Sendable (ServiceConfiguration) -> String?) -> Setting {
        var setting = self
        setting.check = check
        return setting
    }
}

extension Setting {
    typealias Path<Value> = any WritableKeyPath<ServiceConfiguration, Value> & Sendable

    /// A whole number.
    ///
    /// - Parameters:
    ///   - range: both bounds are allowed.
    ///   - above: gives a lower bound from another setting.
    ///   - below: gives an upper bound from another setting. A default that breaks either bound is moved to it.
    static func integer(
        _ key: String,
        _ path: Path<Int>,
        _ range: ClosedRange<Int>,
        above: (@Sendable (ServiceConfiguration) -> Int)? = nil,
        below: (@Sendable (ServiceConfiguration) -> Int)? = nil,
        _ help: String
    ) -> Setting {
        Setting(
            key: key,
            allowed: "\(range.lowerBound) to \(range.upperBound)",
            help: help,
            apply: { (text, configuration) throws(Refusal) in
                let low = max(range.lowerBound, above?(configuration) ?? .min)
                let high = min(range.upperBound, below?(configuration) ?? .max)
                guard let text else {
                    configuration[keyPath: path] = min(max(configuration[keyPath: path], low), high)
                    return
                }
                guard let value = Int(text), low <= value, value <= high else {
                    throw .mustBe("a whole number from \(low) to \(high)", not: text)
                }
                configuration[keyPath: path] = value
            },
            text: { String($0[keyPath: path]) }
        )
    }

    /// One of an enumeration's cases, by raw value.
    static func choice<Choice: RawRepresentable & CaseIterable & SendableMetatype>(
        _ key: String,
        _ path: Path<Choice>,
        _ help: String
    ) -> Setting where Choice.RawValue == String {
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        return parsed(key, path, allowed: names, help, write: \.rawValue) { (text, _) throws(Refusal) in
            guard let value = Choice(rawValue: text) else { throw .mustBe("one of \(names)", not: text) }
            return value
        }
    }

    /// Text that is used unchanged, such as a path. Empty means nil.
    static func text(_ key: String, _ path: Path<String?>, allowed: String, _ help: String) -> Setting {
        parsed(key, path, allowed: allowed, help, write: { $0 ?? "" }, read: { (text, _) throws(Refusal) in text })
    }

    /// Text that `read` turns into a value, given the settings declared before this one.
    static func parsed<Value>(
        _ key: String,
        _ path: Path<Value>,
        allowed: String,
        _ help: String,
        write: @escaping @Sendable (Value) -> String = { "\($0)" },
        read: @escaping @Sendable (String, ServiceConfiguration) throws(Refusal) -> Value
    ) -> Setting {
        Setting(
            key: key,
            allowed: allowed,
            help: help,
            apply: { (text, configuration) throws(Refusal) in
                if let text { configuration[keyPath: path] = try read(text, configuration) }
            },
            text: { write($0[keyPath: path]) }
        )
    }
}
