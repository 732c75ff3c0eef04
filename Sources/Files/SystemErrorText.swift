// The text of an errno, for error sentences.

import Glibc

/// The system's text for an `errno`.
package func systemErrorText(_ code: Int32) -> String {
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
}

/// Whether an `errno` means that there is no room to write.
package func isNoRoom(_ code: Int32) -> Bool { code == ENOSPC || code == EDQUOT || code == EFBIG }
