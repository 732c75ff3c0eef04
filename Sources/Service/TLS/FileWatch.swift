// Whether files have changed, according to stat(2). It follows symbolic links, so swapping a link on the path, as
// Kubernetes does with mounted secrets, shows as another inode. inotify would see neither such links' targets nor
// network file systems.

internal import Glibc

/// Distinguishes one state of a file from another.
struct FileFingerprint: Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int
    /// Contents, then contents and rights, in nanoseconds.
    private let modified: Int
    private let changed: Int

    /// nil if there is no such file, or it cannot be examined.
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int(status.st_size)
        modified = status.st_mtim.tv_sec &* 1_000_000_000 &+ status.st_mtim.tv_nsec
        changed = status.st_ctim.tv_sec &* 1_000_000_000 &+ status.st_ctim.tv_nsec
    }
}

/// Decides when to reread files that belong together.
struct FileWatch<State: Equatable> {
    /// The state that was read last.
    private var used: State
    /// The state at the last check, and the number of consecutive checks with it.
    private var seen: State
    private var looks = 0
    private let steadyLooks: Int

    /// - Parameters:
    ///   - state: that that of the files, taken before they were read.
    ///   - steadyLooks: how many consecutive checks must find a state before it is read.
    init(used state: State, steadyLooks: Int = 2) {
        used = state
        seen = state
        self.steadyLooks = steadyLooks
    }

    /// True if the files should be reread: their state differs from what was read last, and is the same as at the last
    /// look, so that replacing them one by one has finished. Each state is read once.
    mutating func shouldRead(_ state: State) -> Bool {
        looks = state == seen ? looks + 1 : 1
        seen = state
        guard state != used, looks >= steadyLooks else { return false }
        used = state
        return true
    }

    /// The files are being read in this state for another reason.
    mutating func note(used state: State) {
        used = state
        seen = state
    }
}
