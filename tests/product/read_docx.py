"""Opens a DOCX with python-docx and compares it, word by word, with the same book as JSON: read_docx.py BOOK.docx BOOK.json"""

import json
import sys
import zipfile

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from lxml import etree

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
OFFICE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
PARSER = etree.XMLParser(huge_tree=True, resolve_entities=False)

document = docx.Document(sys.argv[1])
book = json.load(open(sys.argv[2], encoding="utf-8"))
assets = {asset["name"] for asset in book["assets"]}


def words(text):
    # What neither XML nor HTML parsers take is dropped on the way; a soft hyphen is an element of its own.
    return "".join(c for c in text if not is_dropped(ord(c))).split()


def is_dropped(code):
    return code == 0xAD or 0x7F <= code <= 0x9F or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


class Chapter:
    """What a chapter of the source says: its words, and its notes in the order of their numbers."""

    def __init__(self, chapter):
        self.text, self.mentioned, self.texts = [chapter["title"], "\n"], [], {}
        self.blocks(chapter["blocks"], self.text, True)
        unmentioned = sorted(label for label in self.texts if label not in self.mentioned)
        self.notes = [words("".join(self.texts.get(label, []))) for label in self.mentioned + unmentioned]

    def blocks(self, blocks, out, in_text):
        for block in blocks:
            kind = block["type"]
            if kind == "footnote":
                text = []
                self.blocks(block["blocks"], text, False)
                self.texts.setdefault(block["label"], text)
            for cells in [block["head"], *block["rows"]] if kind == "table" else []:
                for cell in cells:
                    self.runs(cell, out, in_text)
            for item in block.get("items", []):
                self.blocks(item["blocks"], out, in_text)
            if kind == "quote":
                self.blocks(block["blocks"], out, in_text)
            if kind == "code":
                out.append(block["text"])
            self.runs(block.get("runs", []), out, in_text)

    def runs(self, runs, out, in_text):
        for run in runs:
            kind = run["type"]
            if kind in ("text", "code"):
                out.append(run["text"])
            elif kind in ("soft_break", "hard_break"):
                out.append("\n")
            elif kind == "image" and run["source"] not in assets:
                out.append("[%s]" % (run["alt"] if run["alt"].strip() else "image"))
            elif kind == "footnote_reference" and in_text and run["label"] not in self.mentioned:
                self.mentioned.append(run["label"])
            elif kind == "footnote_reference" and not in_text and run["label"] not in self.mentioned:
                out.append("*")
        out.append("\n")


def paragraph(element):
    return docx.text.paragraph.Paragraph(element, document).text


def same(what, expected, got):
    if expected != got:
        at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        near = slice(max(at - 5, 0), at + 5)
        sys.exit(f"{what}: {len(expected)} words of the source, {len(got)} here; {expected[near]} became {got[near]}")


def check_text():
    chapters, front = [], []
    for block in document.iter_inner_content():
        if isinstance(block, docx.table.Table):
            cells = [cell for row in block._tbl.tr_lst for cell in row.tc_lst]
            chapters[-1].extend(paragraph(p) + "\n" for cell in cells for p in cell.p_lst)
            continue
        style = block.style.style_id
        if style in ("Heading1", "ChapterStart"):
            chapters.append([])
        if not chapters:
            front.append((style, block.text))
        elif not style.startswith("Caption"):
            chapters[-1].append(block.text + "\n")
    source = [Chapter(chapter) for chapter in book["chapters"]]
    if len(source) != len(chapters):
        sys.exit(f"{len(source)} chapters of the source, {len(chapters)} here")
    for number, (chapter, text) in enumerate(zip(source, chapters), 1):
        same(f"chapter {number}", words("".join(chapter.text)), words("".join(text)))
    metadata = book["metadata"]
    lines = lambda name: [text for style, text in front if style == name]
    stripped = lambda texts: [" ".join(text.split()) for text in texts if text.strip()]
    same("authors", stripped(metadata.get("authors", [])), stripped(lines("Author")))
    same("title", words(metadata["title"]), words(lines("Title")[0]))
    same("title property", words(metadata["title"]), words(document.core_properties.title))
    if len(lines("TOC1")) != len(source):
        sys.exit(f"{len(lines('TOC1'))} lines of contents for {len(source)} chapters")
    return source


def note_text(element):
    """Its text, without the marks of other notes."""
    if element.tag == WORD + "fldSimple" and "NOTEREF" in element.get(WORD + "instr"):
        return ""
    if element.tag == WORD + "t":
        return element.text or ""
    text = "".join(note_text(child) for child in element)
    return text + "\n" if element.tag in (WORD + "p", WORD + "br", WORD + "tab") else text


def check_notes(source):
    part = document.part.part_related_by(RELATIONSHIP_TYPE.FOOTNOTES)
    notes = etree.fromstring(part.blob, PARSER).findall(WORD + "footnote")
    got = [words(note_text(note)) for note in notes if int(note.get(WORD + "id")) > 0]
    expected = [note for chapter in source for note in chapter.notes]
    if len(expected) != len(got):
        sys.exit(f"{len(expected)} notes of the source, {len(got)} here")
    for number, (a, b) in enumerate(zip(expected, got), 1):
        same(f"note {number}", a, b)


def check_names():
    archive = zipfile.ZipFile(sys.argv[1])
    names = set(archive.namelist())
    assert len(names) == len(archive.namelist()) and archive.namelist()[0] == "[Content_Types].xml"
    read = lambda name: etree.fromstring(archive.read(name), PARSER)
    styles = {style.get(WORD + "styleId") for style in read("word/styles.xml").iter(WORD + "style")}
    lists = {number.get(WORD + "numId") for number in read("word/numbering.xml").iter(WORD + "num")}
    notes = {note.get(WORD + "id") for note in read("word/footnotes.xml").iter(WORD + "footnote")} - {"-1", "0"}
    ids, marks, anchors, pictures, mentioned = [], [], [], [], []
    for story in ("document", "footnotes"):
        links = {link.get("Id"): link for link in read(f"word/_rels/{story}.xml.rels")}
        for link in links.values():
            if link.get("TargetMode") != "External":
                assert "word/" + link.get("Target") in names, link.get("Target")
        for element in read(f"word/{story}.xml").iter(etree.Element):
            for attribute in ("id", "embed"):
                used = element.get(OFFICE + attribute)
                assert used is None or used in links, used
            value = element.get(WORD + "val")
            match etree.QName(element).localname:
                case "pStyle" | "rStyle" | "tblStyle":
                    assert value in styles, value
                case "numId":
                    assert value in lists, value
                case "bookmarkStart":
                    ids.append(element.get(WORD + "id"))
                    marks.append(element.get(WORD + "name"))
                case "hyperlink" if element.get(WORD + "anchor"):
                    anchors.append(element.get(WORD + "anchor"))
                case "fldSimple" if "NOTEREF" in element.get(WORD + "instr"):
                    anchors.append(element.get(WORD + "instr").split()[1])
                case "docPr":
                    pictures.append(element.get("id"))
                case "footnoteReference":
                    mentioned.append(element.get(WORD + "id"))
    for what in (ids, [mark.lower() for mark in marks], pictures, mentioned):
        assert len(what) == len(set(what)), sorted(name for name in what if what.count(name) > 1)[:5]
    assert all(len(mark) <= 40 for mark in marks)
    assert set(anchors) <= set(marks), set(anchors) - set(marks)
    assert set(mentioned) == notes, set(mentioned) ^ notes
    for shape in document.inline_shapes:
        assert shape.width > 0 and shape.height > 0
    for part in document.part.package.iter_parts():
        assert part.content_type


check_notes(check_text())
check_names()
