// Files that change while they are read: an error sentence, never a signal.

import Files
import Glibc
import TestSupport
import Testing

@Suite struct InputFileTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func message(_ body: () throws(FileError) -> Void) -> String {
        do throws(FileError) {
            try body()
            return "no error"
        } catch {
            return error.message
        }
    }

    @Test func parts_AreRead() throws {
        let path = try folder.write("a", "hello world".utf8)
        let file = try InputFile(path: path)
        #expect(file.byteCount == 11)
        #expect(try file.read(6..<11).withBytes { $0.elementsEqual("world".utf8) })
        #expect(try file.read(3..<3).bytes.isEmpty)
        #expect(try InputFile.contents(of: path).withBytes { $0.elementsEqual("hello world".utf8) })
        #expect(try InputFile.contents(of: folder.write("empty", [])).bytes.isEmpty)
    }

    @Test func fileLargerThanTheLimit_IsRefused() throws {
        let path = try folder.write("a", "hello".utf8)
        #expect(
            message { () throws(FileError) in _ = try InputFile.contents(of: path, atMost: 4) }
                == "\(path) is larger than 4 bytes"
        )
        #expect(message { () throws(FileError) in _ = try InputFile.contents(of: path, atMost: 5) } == "no error")
    }

    @Test(arguments: [0, 1, 4999])
    func fileThatIsCutShort_IsSaidToBe(length: Int) throws {
        let path = try folder.write("a", [UInt8](repeating: 1, count: 5000))
        let file = try InputFile(path: path)
        #expect(truncate(path, length) == 0)
        for range in [0..<5000, 0..<1, 4999..<5000] {
            #expect(
                message { () throws(FileError) in _ = try file.read(range) }
                    == "\(path) became shorter while it was read"
            )
        }
        #expect(throws: FileError(.unreadable, "")) { try file.checkUnchanged() }
    }

    @Test func fileThatIsOverwritten_IsSaidToBeChanged() throws {
        let path = try folder.write("a", [UInt8](repeating: 1, count: 5000))
        let file = try InputFile(path: path)
        let descriptor = open(path, O_WRONLY)
        defer { close(descriptor) }
        // The clock of a file system is coarse, so set the modification time explicitly.
        #expect(pwrite(descriptor, "x", 1, 100) == 1)
        var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
        #expect(futimens(descriptor, &times) == 0)
        #expect(
            message { () throws(FileError) in _ = try file.read(0..<10) } == "\(path) was changed while it was read"
        )
        #expect(pwrite(descriptor, "x", 1, 6000) == 1)
        #expect(
            message { () throws(FileError) in _ = try file.read(0..<10) } == "\(path) was changed while it was read"
        )
    }

    @Test func fileThatIsReplaced_StaysWhatItWas() throws {
        let path = try folder.write("a", "old".utf8)
        let file = try InputFile(path: path)
        let other = try folder.write("b", "new and longer".utf8)
        #expect(rename(other, path) == 0)
        #expect(try file.read(0..<3).withBytes { $0.elementsEqual("old".utf8) })
    }

    /// Nobody writes to the pipe, so opening it as a file would wait forever.
    @Test func whatIsNoFile_IsRefusedAtOnce() throws {
        let pipe = folder.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        for path in [pipe, folder.path, "/dev/zero"] {
            #expect(
                message { () throws(FileError) in _ = try InputFile(path: path) } == "\(path) is not a regular file"
            )
        }
        let absent = folder.path + "/absent"
        #expect(
            message { () throws(FileError) in _ = try InputFile(path: absent) }
                == "cannot open \(absent): No such file or directory"
        )
    }

    @Test func digestOfAFile_IsThatOfItsBytes() throws {
        let bytes = (0..<(3 << 20) + 17).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let file = try InputFile(path: folder.write("a", bytes))
        #expect(try SHA256Digest(of: file).hexadecimal == SHA256Digest(of: bytes)?.hexadecimal)
    }
}
