// A loop as other targets see it: a thread that runs their work and that their sockets to other servers live on.

import CLinux
import Dispatch
import Glibc

/// A loop.
package final class LoopHandle: Sendable {
    private static let key = DispatchSpecificKey<LoopHandle>()

    private let mailbox: Mailbox

    init(mailbox: Mailbox) { self.mailbox = mailbox }

    /// The loop that the caller runs on; nil if it runs on none.
    package static var current: LoopHandle? { DispatchQueue.getSpecific(key: key) }

    /// Makes `current` find this loop on its queue.
    func mark(_ queue: DispatchQueue) { queue.setSpecific(key: Self.key, value: self) }

    /// Queues `work` to run on the loop.
    ///
    /// - Returns: false if the loop has ended, so that `work` will not be called.
    @discardableResult
    package func run(_ work: @escaping @Sendable (LoopSockets) -> Void) -> Bool { mailbox.post(.work(work)) }
}

/// Looks up host names.
enum HostName {
    /// Separate from the loops, because looking up a name may take seconds.
    private static let queue = DispatchQueue(label: "genrec.names", qos: .utility, attributes: .concurrent)

    /// Passes the addresses of a name to `completion`, in the resolver's order; an empty list if it has none.
    static func lookUp(_ host: String, _ port: UInt16, _ completion: @escaping @Sendable ([SocketAddress]) -> Void) {
        queue.async {
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV
            var list: UnsafeMutablePointer<addrinfo>?
            var addresses: [SocketAddress] = []
            if getaddrinfo(host, String(port), &hints, &list) == 0 {
                var entry = list
                while let found = entry {
                    if let address = found.pointee.ai_addr,
                        let copy = SocketAddress(copying: address, length: found.pointee.ai_addrlen)
                    {
                        addresses.append(copy)
                    }
                    entry = found.pointee.ai_next
                }
                freeaddrinfo(list)
            }
            completion(addresses)
        }
    }
}
