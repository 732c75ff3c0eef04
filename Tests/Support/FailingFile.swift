// Files whose system calls really fail, as on a full or broken disk.

internal import Glibc

/// Replaces this process's open file at a path by a device: writes to "/dev/full" fail for lack of room, "/dev/null"
/// accepts bytes and fails to sync them, and neither can be truncated.
///
/// - Returns: whether there is such a file.
package func replaceOpenFile(_ path: String, by device: String) -> Bool {
    let replacement = open(device, O_WRONLY | O_CLOEXEC)
    guard replacement >= 0 else { return false }
    defer { close(replacement) }
    for descriptor in 0..<Int32(65_536) where descriptor != replacement {
        var target = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/fd/\(descriptor)", &target, target.count)
        guard count > 0, String(decoding: target.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) == path
        else {
            continue
        }
        return dup2(replacement, descriptor) >= 0
    }
    return false
}
