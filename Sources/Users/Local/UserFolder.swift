// The files of a local store: who owns the folder, and what is read from it at the start.

internal import Files
internal import Glibc

/// The folder of a local store.
enum UserFolder {
    /// What was read.
    struct Opened {
        var table: EventTable
        /// The number of the journal that goes on.
        var generation: Int
        var journalPath: String
        /// Bytes of that journal that are whole; nil: it is to be made.
        var journalBytes: Int?
        /// Bytes behind them.
        var cutBytes = 0
    }

    static func path(_ directory: String, _ kind: String, _ number: Int) -> String {
        "\(directory)/\(kind).\(number)"
    }

    /// Makes the folder if it is not there, and takes its lock, which is held as long as the descriptor is open.
    static func lock(_ directory: String) throws(UserStoreError) -> Int32 {
        try makeDirectory(directory)
        let path = directory + "/lock"
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw UserStoreError(.unavailable, "cannot open \(path): \(systemErrorText(errno))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(descriptor)
            throw UserStoreError(
                .unavailable,
                code == EWOULDBLOCK
                    ? "another process has the users' folder \(directory)"
                    : "cannot lock \(path): \(systemErrorText(code))"
            )
        }
        return descriptor
    }

    private static func makeDirectory(_ directory: String) throws(UserStoreError) {
        var made = directory.hasPrefix("/") ? "" : "."
        for part in directory.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, 0o700) != 0, errno != EEXIST else { continue }
            throw UserStoreError(.unavailable, "cannot make the folder \(made): \(systemErrorText(errno))")
        }
    }

    /// Reads the newest snapshot and the journals from it on.
    ///
    /// - Throws: `UserStoreError` for a file that cannot be read, and for damage anywhere but at the end of the last journal.
    static func open(_ directory: String, maxEvents: Int) throws(UserStoreError) -> Opened {
        let snapshots = try numbers(of: "snapshot", in: directory)
        let first = snapshots.last ?? 1
        let journals = try numbers(of: "journal", in: directory).filter { $0 >= first }
        let generation = journals.last ?? first
        var opened = Opened(
            table: EventTable(maxEvents: maxEvents),
            generation: generation,
            journalPath: path(directory, "journal", generation)
        )
        if let snapshot = snapshots.last { try read(path(directory, "snapshot", snapshot), &opened, mayBeTorn: false) }
        for journal in journals {
            try read(path(directory, "journal", journal), &opened, mayBeTorn: journal == generation)
        }
        removeFiles(before: first, in: directory)
        return opened
    }

    private static func read(_ path: String, _ opened: inout Opened, mayBeTorn: Bool) throws(UserStoreError) {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try InputFile.contents(of: path).withBytes { Array($0) }
        } catch {
            throw UserStoreError(.unavailable, error.message)
        }
        let whole = bytes.withUnsafeBufferPointer { JournalRecord.apply($0, to: &opened.table) }
        if mayBeTorn {
            // A journal that was torn within its first bytes is made anew in place.
            let isBegun = whole > 0 || bytes.count < JournalRecord.magic.count
            guard isBegun else { throw UserStoreError(.unavailable, "\(path) is no journal of users") }
            if whole == 0 { unlink(path) } else { opened.journalBytes = whole }
            opened.cutBytes = bytes.count - whole
        } else if whole < bytes.count || whole == 0 {
            throw UserStoreError(.unavailable, "\(path) is damaged at byte \(whole); restore it, or remove the folder")
        }
    }

    /// The numbers of the files of a kind, ascending.
    private static func numbers(of kind: String, in directory: String) throws(UserStoreError) -> [Int] {
        guard let stream = opendir(directory) else {
            throw UserStoreError(.unavailable, "cannot read \(directory): \(systemErrorText(errno))")
        }
        defer { closedir(stream) }
        var numbers: [Int] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasPrefix(kind + "."), let number = Int(name.dropFirst(kind.count + 1)), number > 0 else {
                continue
            }
            numbers.append(number)
        }
        return numbers.sorted()
    }

    /// Removes the files that a snapshot of this number replaces.
    static func removeFiles(before generation: Int, in directory: String) {
        for kind in ["snapshot", "journal"] {
            // What cannot be listed or removed now is at the next start.
            for number in (try? numbers(of: kind, in: directory)) ?? [] where number < generation {
                unlink(path(directory, kind, number))
            }
        }
    }
}
