// The TLS context that new connections get, and its replacement while the server runs.

import Locking

/// The certificate and key of one or more listeners.
package final class TLSCredentials: Sendable {
    /// The allowed lifetimes of session tickets. The maximum is seven days (RFC 8446, section 4.6.1).
    package static let ticketLifetimeSeconds = 60...604_800

    let tickets: SessionTicketKeys
    private let context: Lock<TLSContext>

    /// - Parameter ticketLifetimeSeconds: how long a session can be resumed, and how often ticket keys are replaced.
    /// - Throws: `TLSError` for material that cannot be used.
    package init(_ material: TLSMaterial, ticketLifetimeSeconds: Int = 3_600) throws(TLSError) {
        tickets = try SessionTicketKeys(lifetimeSeconds: ticketLifetimeSeconds)
        context = Lock(try TLSContext(material, tickets: tickets))
    }

    /// Uses other material for connections accepted from now on. Throws and changes nothing if the material cannot be
    /// used or its certificate has expired: the present one is no worse.
    ///
    /// - Parameter now: seconds since the epoch.
    package func replace(with material: TLSMaterial, now: Int) throws(TLSError) {
        let next = try TLSContext(material, tickets: tickets)
        guard next.validity.to > now else { throw TLSError(.certificate, "has expired") }
        context.withLock { $0 = next }
    }

    /// The certificate's period of validity, in seconds since the epoch.
    package var validity: (from: Int, to: Int) { current.validity }

    var current: TLSContext { context.withLock { $0 } }
}
