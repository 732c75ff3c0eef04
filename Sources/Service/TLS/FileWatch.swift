// Detects changes of files with stat(2). It follows symbolic links, so swapping a link on the path, as Kubernetes does
// with mounted secrets, shows as another inode. inotify would see neither such links' targets nor network file systems.

internal import Glibc

/// Tells states of a file apart.
struct FileFingerprint: Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int
    /// Times of the last change, in nanoseconds: of the contents, and of the contents or metadata.
    private let modified: Int
    private let changed: Int

    /// nil if the file is missing or cannot be examined.
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
    /// The state that was last read.
    private var used: State
    /// The state at the last check, and for how many consecutive checks it has been found.
    private var seen: State
    private var looks = 0
    private let steadyLooks: Int

    /// - Parameters:
    ///   - state: the state of the files, taken before they were read.
    ///   - steadyLooks: how many consecutive checks must find a state before it is read.
    init(used state: State, steadyLooks: Int = 2) {
        used = state
        seen = state
        self.steadyLooks = steadyLooks
    }

    /// Whether to reread the files: their state differs from the one last read, and has been stable for `steadyLooks`
    /// checks, so that replacing them one by one has finished. Each state is read once.
    mutating func shouldRead(_ state: State) -> Bool {
        looks = state == seen ? looks + 1 : 1
        seen = state
        guard state != used, looks >= steadyLooks else { return false }
        used = state
        return true
    }

    /// Notes that the files are being read in this state for another reason.
    mutating func note(used state: State) {
        used = state
        seen = state
    }
}
