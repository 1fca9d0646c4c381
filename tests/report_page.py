"""A report as a test reads it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Cells of all rows of a page, its words, and every address that it would load."""

    def __init__(self, text: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self._is_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        self._is_cell = tag in ("td", "th")
        if self._is_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._is_cell = self._is_cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.words += data
        if self._is_cell:
            self.rows[-1][-1] += data


def numbers_of_epochs(page: Page) -> list[dict[str, float]]:
    """The logged numbers of every epoch, from the table of a report of one run."""
    (head,) = [row for row in page.rows if row[:1] == ["epoch"]]
    first = page.rows.index(head) + 1
    rows = [row for row in page.rows[first:] if len(row) == len(head)]
    return [
        {name: float(cell) for name, cell in zip(head, row, strict=True) if cell} for row in rows
    ]
