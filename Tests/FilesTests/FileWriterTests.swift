// The file at the path after a successful write, and the files left after a failed one.

import Files
import Glibc
import TestSupport
import Testing

@Suite struct FileWriterTests {
    private func write(_ text: String, to path: String) throws {
        var file = try FileWriter(path: path)
        try file.append(Array(text.utf8))
        try file.commit()
    }

    private func text(_ path: String) throws -> String { String(decoding: try contents(of: path), as: UTF8.self) }

    private func kind(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    @Test func file_IsThereWholeOrNotAtAll() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/file"
        try write("first", to: path)
        try write("second", to: path)
        #expect(try text(folder.path + "/file") == "second")
        do {
            var file = try FileWriter(path: path)
            try file.append(Array("third".utf8))
        }
        #expect(try text(folder.path + "/file") == "second")
        #expect(try folder.names() == ["file"])
    }

    @Test func symbolicLink_Stays() throws {
        let folder = try TemporaryDirectory()
        try write("first", to: folder.path + "/file")
        #expect(symlink("file", folder.path + "/link") == 0)
        try write("second", to: folder.path + "/link")
        #expect(kind(folder.path + "/link") == S_IFLNK)
        #expect(try text(folder.path + "/file") == "second")
        #expect(try folder.names() == ["file", "link"])
    }

    /// A device is not replaced by renaming either, but only root can create one.
    @Test func pipe_IsWrittenTo() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        try write("through", to: path)
        var bytes = [UInt8](repeating: 0, count: 16)
        #expect(read(reader, &bytes, bytes.count) == 7)
        #expect(String(decoding: bytes.prefix(7), as: UTF8.self) == "through")
        #expect(kind(path) == S_IFIFO)
        #expect(try folder.names() == ["pipe"])
    }

    @Test func folder_IsNotReplaced() throws {
        let folder = try TemporaryDirectory()
        mkdir(folder.path + "/folder", 0o700)
        #expect(throws: FileError.self) { try write("text", to: folder.path + "/folder") }
        #expect(try folder.names() == ["folder"])
    }
}
