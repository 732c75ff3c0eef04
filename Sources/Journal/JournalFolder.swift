// A folder of journals and snapshots, `journal.N` and `snapshot.N`. Snapshot N contains all journals before N, and
// perhaps part of journal N, so applying a change twice must have the same effect as applying it once.

internal import Files
internal import Glibc

/// The files of a folder, which are read at the start.
package struct JournalFolder: Sendable {
    package enum Kind: String, CaseIterable {
        case snapshot
        case journal
    }

    /// The result of reading.
    package struct Opened {
        /// The number of the journal to continue.
        package var generation: Int
        /// Valid bytes of that journal; nil if it must be created.
        package var journalBytes: Int?
        /// Invalid bytes at its end, which are cut off.
        package var cutBytes = 0
        /// The size of the snapshot in bytes.
        package var snapshotBytes = 0
    }

    package let directory: String
    private let magic: [UInt8]
    private let contents: String

    /// - Parameters:
    ///   - magic: the first bytes of each file.
    ///   - contents: what the folder stores, for errors: "users".
    package init(_ directory: String, magic: [UInt8], contents: String) {
        self.directory = directory
        self.magic = magic
        self.contents = contents
    }

    package func path(_ kind: Kind, _ number: Int) -> String { "\(directory)/\(kind.rawValue).\(number)" }

    /// The journal to continue, open at its end.
    package func journal(_ opened: Opened) throws(JournalError) -> JournalFile {
        try JournalFile(path: path(.journal, opened.generation), magic: magic, byteCount: opened.journalBytes)
    }

    /// A new journal.
    package func makeJournal(_ number: Int) throws(JournalError) -> JournalFile {
        try JournalFile(path: path(.journal, number), magic: magic, byteCount: nil)
    }

    /// Creates the folder and its parents if missing.
    package func make() throws(JournalError) {
        do throws(FileError) { try makeFolder(directory) } catch { throw JournalError(error) }
    }

    /// Creates the folder if missing, and takes its lock.
    package func lock() throws(JournalError) -> FolderLock {
        try make()
        return try FolderLock(directory, contents: contents)
    }

    /// Reads the newest snapshot and the journals from it on. The folder must exist.
    ///
    /// - Parameter apply: called with each record's content; returns false if it is invalid.
    /// - Throws: `JournalError` for a file that cannot be read, and for damage other than a torn last record.
    package func open(_ apply: (inout RecordReader) -> Bool) throws(JournalError) -> Opened {
        let snapshots = try numbers(of: .snapshot)
        let first = snapshots.last ?? 1
        let journals = try numbers(of: .journal).filter { $0 >= first }
        var opened = Opened(generation: journals.last ?? first)
        if let snapshot = snapshots.last { try read(.snapshot, snapshot, &opened, mayBeTorn: false, apply) }
        for journal in journals {
            try read(.journal, journal, &opened, mayBeTorn: journal == opened.generation, apply)
        }
        removeFiles(before: first)
        return opened
    }

    private func read(
        _ kind: Kind,
        _ number: Int,
        _ opened: inout Opened,
        mayBeTorn: Bool,
        _ apply: (inout RecordReader) -> Bool
    ) throws(JournalError) {
        let path = path(kind, number)
        let content: OwnedBytes
        do throws(FileError) {
            content = try InputFile.contents(of: path)
        } catch {
            throw JournalError(error)
        }
        let (count, extent) = content.withBytes { bytes in
            bytes.withMemoryRebound(to: UInt8.self) { ($0.count, JournalRecord.read($0, magic: magic, apply)) }
        }
        let whole = extent.byteCount
        if kind == .snapshot { opened.snapshotBytes = count }
        if mayBeTorn, extent.isDamaged {
            throw JournalError(
                .unavailable,
                "\(path) is damaged at byte \(whole) with more data after it; restore it, or discard the rest: "
                    + "truncate -s \(whole) \(path)"
            )
        } else if mayBeTorn {
            // A journal torn within its magic bytes is created again.
            let isBegun = whole > 0 || count < magic.count
            guard isBegun else { throw JournalError(.unavailable, "\(path) is not a journal of \(contents)") }
            if whole == 0 { unlink(path) } else { opened.journalBytes = whole }
            opened.cutBytes = count - whole
        } else if whole < count || whole == 0 {
            throw JournalError(.unavailable, "\(path) is damaged at byte \(whole); restore it, or remove the folder")
        }
    }

    /// Whether the folder has a file of either kind.
    package var isInUse: Bool {
        Kind.allCases.contains { kind in ((try? numbers(of: kind)) ?? []).isEmpty == false }
    }

    /// The numbers of the files of a kind, ascending.
    private func numbers(of kind: Kind) throws(JournalError) -> [Int] {
        guard let stream = opendir(directory) else {
            throw JournalError(.unavailable, "cannot read \(directory): \(systemErrorText(errno))")
        }
        defer { closedir(stream) }
        var numbers: [Int] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasPrefix(kind.rawValue + "."), let number = Int(name.dropFirst(kind.rawValue.count + 1)),
                number > 0
            else { continue }
            numbers.append(number)
        }
        return numbers.sorted()
    }

    /// Writes a snapshot of everything in the journals before it.
    ///
    /// - Parameter next: returns the next complete record; nil if there are no more.
    /// - Returns: the size of the snapshot in bytes.
    package func writeSnapshot(_ number: Int, _ next: () -> [UInt8]?) throws(JournalError) -> Int {
        var byteCount = magic.count
        do throws(FileError) {
            var file = try FileWriter(path: path(.snapshot, number))
            try file.append(magic)
            while let record = next() {
                byteCount += record.count
                try file.append(record)
            }
            try file.commit()
        } catch {
            // The journals that it would have replaced are still there.
            throw JournalError(error, "no snapshot of the \(contents) could be written: ")
        }
        return byteCount
    }

    /// What `renew` wrote.
    package struct Renewed {
        package let journal: JournalFile
        /// The size of the snapshot in bytes.
        package let snapshotBytes: Int
    }

    /// Replaces a journal by a snapshot of everything and a new journal. Nothing may change meanwhile. The old journal
    /// may have failed; it is no longer needed.
    ///
    /// - Parameter next: returns the next complete record of the snapshot; nil if there are no more.
    package func renew(_ journal: JournalFile, _ number: Int, _ next: () -> [UInt8]?) throws(JournalError) -> Renewed {
        let byteCount = try writeSnapshot(number, next)
        let renewed: Renewed
        do throws(JournalError) {
            renewed = Renewed(journal: try makeJournal(number), snapshotBytes: byteCount)
        } catch {
            // The next start would not read what is appended to the old journal after the snapshot.
            journal.fail(error)
            throw error
        }
        removeFiles(before: number)
        return renewed
    }

    /// Removes the files that a snapshot of this number replaces.
    package func removeFiles(before generation: Int) {
        for kind in Kind.allCases {
            // Files that cannot be listed or removed now are removed at the next start.
            for number in (try? numbers(of: kind)) ?? [] where number < generation { unlink(path(kind, number)) }
        }
    }
}

/// Exclusive ownership of a folder by this process, until this object is released.
package final class FolderLock: Sendable {
    private let descriptor: Int32

    /// - Parameter contents: what the folder stores, for errors.
    package init(_ directory: String, contents: String) throws(JournalError) {
        let path = directory + "/lock"
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw JournalError(.unavailable, "cannot open \(path): \(systemErrorText(errno))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            throw JournalError(
                .unavailable,
                code == EWOULDBLOCK
                    ? "another process has the \(contents)'\(contents.hasSuffix("s") ? "" : "s") folder \(directory)"
                    : "cannot lock \(path): \(systemErrorText(code))"
            )
        }
    }

    deinit {
        guard descriptor >= 0 else { return }
        // Closing is not enough: a child that has been forked and has not called exec yet keeps the lock too.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
