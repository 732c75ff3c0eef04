// Content codings as field values name them: the coding of a request's body, and the codings of replies that the client
// accepts (RFC 9110 §8.4.1, §12.5.3). GzipDecoder.swift and ReplyCompression.swift act on them.

/// How content is coded.
package enum ContentCoding: Sendable, Equatable {
    case identity
    case gzip
    /// An unsupported coding, or a stack of codings.
    case unknown

    /// Adds the codings of one Content-Encoding field. Gzip within gzip counts as unknown, because it hides the size of
    /// the content.
    mutating func add(_ value: Span<UInt8>) {
        var coding = self
        value.forEachListElement { name in
            if name.isEmpty || name.equalsIgnoringCase("identity") { return }
            coding = name.isGzip && coding == .identity ? .gzip : .unknown
        }
        self = coding
    }
}

/// The Accept-Encoding fields of a request. A new value has none.
package struct AcceptedCodings: Sendable, Equatable {
    /// Weights of the named codings, in thousandths.
    private var gzip: Int16?
    private var identity: Int16?
    private var others: Int16?

    package init() {}

    /// The coding to send: the one with the highest weight, gzip among equals; nil if the client accepts none that is
    /// available (406).
    ///
    /// An unnamed coding has the weight of `*`. Without `*`, unnamed gzip is not acceptable, and unnamed identity comes
    /// after every named coding (RFC 9110 §12.5.3).
    package func choose(offersGzip: Bool) -> ContentCoding? {
        let gzipWeight = offersGzip ? gzip ?? others ?? 0 : 0
        guard let identityWeight = identity ?? others else { return gzipWeight > 0 ? .gzip : .identity }
        if gzipWeight > 0, gzipWeight >= identityWeight { return .gzip }
        return identityWeight > 0 ? .identity : nil
    }

    /// Uncoded content must not be sent.
    var forbidsIdentity: Bool { (identity ?? others) == 0 }

    /// Adds the elements of one field. Skips elements with a malformed weight.
    mutating func add(_ value: Span<UInt8>) {
        var codings = self
        value.forEachListElement { element in
            let semicolon = element.firstIndex(of: Byte.semicolon, in: element.indices)
            let name = element.extracting(element.trimming(0..<(semicolon ?? element.count)))
            var weight: Int16 = 1_000
            if let semicolon {
                let parameter = element.extracting(element.trimming(semicolon + 1..<element.count))
                guard parameter.count > 2, parameter.extracting(0..<2).equalsIgnoringCase("q="),
                    let quality = parameter.extracting(2..<parameter.count).quality
                else { return }
                weight = quality
            }
            if name.isGzip {
                codings.gzip = weight
            } else if name.equalsIgnoringCase("identity") {
                codings.identity = weight
            } else if name.count == 1, name[0] == Byte.asterisk {
                codings.others = weight
            }
        }
        self = codings
    }
}

extension Span<UInt8> {
    /// `x-gzip` is the old name of gzip (RFC 9110 §8.4.1.3).
    fileprivate var isGzip: Bool { equalsIgnoringCase("gzip") || equalsIgnoringCase("x-gzip") }

    /// The qvalue of RFC 9110 §12.4.2 (0 to 1, at most three decimals) in thousandths; nil if malformed.
    fileprivate var quality: Int16? {
        guard !isEmpty, self[0] == Byte.zero || self[0] == Byte.zero + 1, count <= 5 else { return nil }
        guard count == 1 || self[1] == Byte.point else { return nil }
        var value = Int16(self[0] - Byte.zero)
        for place in 2..<5 {
            let digit = place < count ? self[place] : Byte.zero
            guard digit.isDigit else { return nil }
            value = value * 10 + Int16(digit - Byte.zero)
        }
        return value <= 1_000 ? value : nil
    }
}
