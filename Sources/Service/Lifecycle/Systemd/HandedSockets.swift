// Listening sockets that systemd opened and passed to this process (sd_listen_fds(3)). They stay open while one server
// process replaces another, so that connections wait instead of being refused.

internal import Glibc
internal import HTTP

/// The passed descriptors by listener.
struct HandedSockets: Equatable, Sendable {
    /// The first passed descriptor, fixed by the protocol.
    private static let firstDescriptor: Int32 = 3
    /// The name (`FileDescriptorName=`) of the admin listener's socket.
    private static let adminName = "admin"

    /// Sockets for the callers' listener.
    var callers: [Int32] = []
    /// Sockets for the operators' listener.
    var admin: [Int32] = []

    /// Empty unless `LISTEN_PID` says that `LISTEN_FDS` is for this process.
    ///
    /// - Throws: `ServerError` if `LISTEN_FDS` is not a usable number.
    init(environment: [String: String], processID: Int32 = getpid()) throws(ServerError) {
        guard let text = environment["LISTEN_FDS"], environment["LISTEN_PID"] == "\(processID)" else { return }
        guard let count = Int32(text), 0...64 ~= count else {
            throw ServerError(description: "LISTEN_FDS is \"\(text)\"; it must be a number from 0 to 64")
        }
        let names = environment["LISTEN_FDNAMES"].map { $0.split(separator: ":", omittingEmptySubsequences: false) }
        for index in 0..<count {
            let isAdmin = names.map { Int(index) < $0.count && $0[Int(index)] == Self.adminName } ?? false
            if isAdmin {
                admin.append(Self.firstDescriptor + index)
            } else {
                callers.append(Self.firstDescriptor + index)
            }
        }
    }
}

extension ServiceConfiguration {
    /// These settings with the passed sockets in place of their listeners' addresses. A socket for the admin listener
    /// creates that listener even if `admin.listen` is not set.
    func listening(on sockets: HandedSockets) -> ServiceConfiguration {
        var copy = self
        if !sockets.callers.isEmpty {
            copy.http.addresses = []
            copy.http.handedSockets = sockets.callers
        }
        copy.adminSockets = sockets.admin
        return copy
    }
}
