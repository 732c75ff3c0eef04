// An array whose modified copies share most of their memory with the original.

/// An array in pages. Changing an element of a copy copies only its page and the list of pages.
struct PagedArray<Element: Sendable>: Sendable {
    private static var pageCount: Int { 512 }

    private var pages: [[Element]] = []
    private(set) var count = 0

    mutating func append(_ element: Element) {
        if count % Self.pageCount == 0 { pages.append([]) }
        pages[pages.count - 1].append(element)
        count += 1
    }

    subscript(index: Int) -> Element {
        get { pages[index / Self.pageCount][index % Self.pageCount] }
        set { pages[index / Self.pageCount][index % Self.pageCount] = newValue }
    }
}
