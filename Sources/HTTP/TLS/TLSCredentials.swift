// The TLS context that new connections get, and its replacement while the server runs.

import Locking

/// The certificate and key of one or more listeners.
package final class TLSCredentials: Sendable {
    /// How long session tickets are good for; RFC 8446, section 4.6.1, ends at seven days.
    package static let ticketLifetimeSeconds = 60...604_800

    let tickets: SessionTicketKeys
    private let context: Lock<TLSContext>

    /// - Parameter ticketLifetimeSeconds: how long a session can be resumed. Keys of tickets are replaced as often.
    /// - Throws: `TLSError` for material that cannot be used.
    package init(_ material: TLSMaterial, ticketLifetimeSeconds: Int = 3_600) throws(TLSError) {
        tickets = try SessionTicketKeys(lifetimeSeconds: ticketLifetimeSeconds)
        context = Lock(try TLSContext(material, tickets: tickets))
    }

    /// Uses other material for connections that are accepted from now on; if it cannot be used, nothing changes. An expired
    /// certificate cannot, because the one before it is no worse.
    ///
    /// - Parameter now: seconds since the epoch.
    package func replace(with material: TLSMaterial, now: Int) throws(TLSError) {
        let next = try TLSContext(material, tickets: tickets)
        guard next.validity.to > now else { throw TLSError(.certificate, "has expired") }
        context.withLock { $0 = next }
    }

    /// When the certificate begins and ceases to be valid, in seconds since the epoch.
    package var validity: (from: Int, to: Int) { current.validity }

    var current: TLSContext { context.withLock { $0 } }
}
