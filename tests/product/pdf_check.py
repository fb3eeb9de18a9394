"""Fails unless a PDF is whole, says what the plain text of the same book says, and looks like pages of a book.

pdf_check.py BOOK.pdf BOOK.txt [most differing words in a thousand]    needs qpdf and poppler's tools
"""
import bisect, collections, json, re, subprocess, sys, tempfile, unicodedata
from pathlib import Path

pdf, plain = sys.argv[1:3]
tolerance = float(sys.argv[3]) if len(sys.argv) > 3 else 5


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]!r}\n{done.stderr[-2000:]!r}")
    return done.stdout.decode()


def expect(holds, what):
    if not holds:
        sys.exit(f"{pdf}: {what}")


# Whole: qpdf reads every object and stream, and has nothing to say.
said = run("qpdf", "--check", pdf)
expect("No syntax or stream encoding errors found" in said and "WARNING" not in said, said)

facts = dict(re.findall(r"^([^:\n]+):\s*(.*)$", run("pdfinfo", pdf), re.M))
pages = int(facts["Pages"])
width, height = (float(side) for side in re.findall(r"[\d.]+", facts["Page size"])[:2])
expect(facts["Tagged"] == "yes" and facts["Title"].strip(), f"not tagged or without a title: {facts}")

# Fonts: all inside, as subsets, and each letter can be told.
for row in run("pdffonts", pdf).splitlines()[2:]:
    expect(re.search(r"\byes yes yes\b", row), f"a font is not embedded, no subset, or without ToUnicode: {row}")

# The outline leads to each chapter's first page, in order, and the contents say the same numbers.
book = json.loads(run("qpdf", "--json=2", "--json-key=outlines", "--json-key=pagelabels", pdf))
front = next(label["index"] for label in book["pagelabels"] if label["label"].get("/S") == "/D")
begins = [entry["destpageposfrom1"] for entry in book["outlines"]]
expect(begins and begins[0] == front + 1, f"the first chapter is on page {begins[:1]}, the front has {front}")
expect(all(a < b for a, b in zip(begins, begins[1:] + [pages + 1])), f"chapters begin on pages {begins} of {pages}")
expect(front % 2 == 0, "the first chapter is not on a right-hand page")
kids = [kid for entry in book["outlines"] for kid in entry["kids"]]
expect(all(kid["destpageposfrom1"] for kid in kids), "an entry of the outline leads nowhere")
contents = run("pdftotext", "-layout", "-l", front, pdf, "-")
told = [int(number) for number in re.findall(r"(\d+)\s*$", contents, re.M)]
numbers = iter(told)
expect(all(begin - front in numbers for begin in begins), f"contents {told}, chapters begin on {begins}, front {front}")

# Words: as in the plain text, and in its order.
def words(text):
    text = unicodedata.normalize("NFKC", text)
    return [word.casefold() for word in re.findall(r"[^\W_]+", text)]


# The running heads stand in the margin.
top, area = round(height * 0.085), round(height * 0.83)
shown = run(
    "pdftotext", "-f", front + 1, "-x", 0, "-y", top, "-W", round(width), "-H", area, "-r", 72, "-enc", "UTF-8", pdf, "-"
)
shown = re.sub("\u00ad\\s*", "", shown)
text = Path(plain).read_text()
text = re.sub(r"\s<[a-z]+:[^>\s]*>", "", text, flags=re.I)
text = re.sub(r"\[Image(: [^\]]*)?\]", "", text)
text = re.sub(r"\[(\d+)\]", r" \1 ", text)
# What stands before the first chapter is not on these pages.
titles = [entry["title"] for entry in book["outlines"]]
found = re.search("^" + r"\s+".join(map(re.escape, titles[0].split())) + r"\s*\n=+$", text, re.M)
text = text[found.start() :] if found else text
have, want = words(shown), words(text)
# Words that were parted at a line's end, or joined by what stands between them, are the same letters.
lost, more = collections.Counter(want), collections.Counter(have)
lost, more = lost - more, more - lost
ascii_only = lambda counter: {word: count for word, count in counter.items() if word.isascii()}
wrong = sum(ascii_only(lost).values()) + sum(ascii_only(more).values())
expect(
    wrong * 1000 <= tolerance * len(want),
    f"{wrong} of {len(want)} words differ: lost {lost.most_common(30)}, more {more.most_common(30)}",
)
once = {word for word, count in collections.Counter(want).items() if count == 1}
once &= {word for word, count in collections.Counter(have).items() if count == 1}
place = {word: at for at, word in enumerate(word for word in want if word in once)}
rising = []
for at in (place[word] for word in have if word in once):
    spot = bisect.bisect_left(rising, at)
    rising[spot : spot + 1] = [at]
expect(len(rising) >= 0.9 * len(place), f"{len(rising)} of {len(place)} words stand in order")

# Ink: in the text's area, and not in the margins.
with tempfile.TemporaryDirectory() as folder:
    some = sorted({page for begin in begins[:6] for page in (begin, begin + 1, begin + 2)} | {pages})
    for page in (page for page in some if page <= pages):
        run("pdftoppm", "-gray", "-r", 36, "-f", page, "-l", page, "-singlefile", pdf, f"{folder}/page")
        data = Path(folder, "page.pgm").read_bytes()
        kind, columns, rows, depth, rest = re.match(rb"(P5)\s+(\d+)\s+(\d+)\s+(\d+)\s(.*)", data, re.S).groups()
        columns, rows = int(columns), int(rows)
        dark = [(at % columns / columns, at // columns / rows) for at, grey in enumerate(rest) if grey < 200]
        inside = sum(0.08 < x < 0.92 and 0.08 < y < 0.92 for x, y in dark)
        outside = [(x, y) for x, y in dark if not (0.05 < x < 0.95 and 0.03 < y < 0.97)]
        expect(inside > 20, f"page {page} is blank")
        expect(not outside, f"page {page} has ink in the margins, at {outside[:5]}")

print(f"{pages} pages, {len(begins)} chapters, {len(want)} words, {wrong} of them differ, {len(rising)}/{len(place)} in order")
