from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from toolset.retrieval import DocumentError
from toolset.retrieval.documents import find_files, read_file


def made_pdf(path: Path, text: str, password: str | None = None) -> Path:
    """A one-page PDF written by hand, with one line of text."""
    from pypdf import PdfReader, PdfWriter

    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    path.write_bytes(data)
    if password:
        writer = PdfWriter(clone_from=PdfReader(path))
        writer.encrypt(password, algorithm="AES-256")
        writer.write(path)
    return path


def made_docx(path: Path) -> Path:
    from docx import Document

    document = Document()
    document.core_properties.title = "Minutes"
    document.add_paragraph("The board met on Monday.")
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Budget", "40 000"
    document.save(str(path))
    return path


def test_every_kind_of_file_becomes_a_document(tmp_path):
    (tmp_path / "a_note.txt").write_text("Plain text.\r\n\r\n\r\n\r\nMore.")
    (tmp_path / "b.md").write_text("---\nlayout: x\n---\n# The *title*\nSee [the docs](http://x.org) and **this**.")
    (tmp_path / "c.html").write_text(
        "<title>A page</title><nav>Menu</nav><script>bad()</script><p>First.</p><p>Se<b>co</b>nd.</p>"
    )
    made_pdf(tmp_path / "d.pdf", "Text of a PDF.")
    made_docx(tmp_path / "e.docx")
    documents = {file.name: read_file(file, tmp_path)[0] for file in find_files(tmp_path)}
    assert {name: (each.title, each.text) for name, each in documents.items()} == {
        "a_note.txt": ("a note", "Plain text.\n\nMore."),
        "b.md": ("The *title*", "The *title*\n\nSee the docs and this."),
        "c.html": ("A page", "First.\n\nSecond."),
        "d.pdf": ("d", "Text of a PDF."),
        "e.docx": ("Minutes", "The board met on Monday.\n\nBudget | 40 000"),
    }
    assert documents["e.docx"].id == "e.docx"


def test_jsonl_holds_a_document_a_line_and_bad_lines_are_named(tmp_path):
    lines = [
        json.dumps({"id": 7, "title": "T", "text": "Seven.", "url": "https://example.org/7"}),
        "{broken",
        json.dumps({"title": "no text"}),
        json.dumps(["not", "an", "object"]),
        json.dumps({"text": "No id."}),
        json.dumps({"id": 0, "text": "Nought."}),
        "",
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    problems: list[str] = []
    documents = read_file(tmp_path / "x.jsonl", tmp_path, problem=problems.append)
    assert [(each.id, each.text, each.url) for each in documents] == [
        ("7", "Seven.", "https://example.org/7"),
        ("x.jsonl#5", "No id.", None),
        ("0", "Nought.", None),
    ]
    assert [line.split(":")[0] for line in problems] == ["x.jsonl, line 2", "x.jsonl, line 3", "x.jsonl, line 4"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "iso-8859-1"])
def test_text_in_another_encoding_is_read_all_the_same(tmp_path, encoding):
    text = "Où est la forêt enchantée? Là-bas, près du château où l'été dure toute l'année, à côté de la rivière gelée."
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert read_file(tmp_path / "a.txt")[0].text == text


def bad_files(folder: Path) -> dict[str, str]:
    """Files that cannot be read, and what the line about each must say."""
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 10)
    (folder / "empty.txt").write_text("  \n ")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing more")
    (folder / "broken.docx").write_bytes(b"PK no archive")
    (folder / "broken.jsonl").write_text("no json\n")
    made_pdf(folder / "locked.pdf", "Secret.", password="hunter2")
    with (folder / "huge.pdf").open("wb") as file:
        file.truncate(50 << 20)
    return {
        "binary.txt": "is binary, not text",
        "empty.txt": "holds no text",
        "broken.pdf": "not a readable pdf file",
        "broken.docx": "not a readable docx file",
        "broken.jsonl": "holds no record",
        "locked.pdf": "is encrypted",
        "huge.pdf": "50 MB is over the limit of 32 MB",
    }


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path):
    for name, expected in bad_files(tmp_path).items():
        with pytest.raises(DocumentError, match=expected) as raised:
            read_file(tmp_path / name)
        assert name in str(raised.value)
        assert "\n" not in str(raised.value)


def test_links_that_go_round_are_followed_once_and_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("x")
    os.symlink(tmp_path, tmp_path / "a" / "up")
    os.symlink(tmp_path / "a", tmp_path / "again")
    os.symlink("self", tmp_path / "self")
    os.symlink("nowhere", tmp_path / "gone.txt")
    told: list[tuple[str, Path | None]] = []
    assert [file.name for file in find_files(tmp_path, lambda *trouble: told.append(trouble))] == ["x.txt"]
    nowhere = "a link that leads nowhere"
    assert sorted(told) == [
        (f"{tmp_path}/a/up: leads to {tmp_path} again, read once. Remove the link.", None),
        (f"{tmp_path}/again: leads to {tmp_path}/a again, read once. Remove the link.", None),
        (f"{tmp_path}/gone.txt: {nowhere}: No such file or directory. Mend or remove it.", tmp_path / "gone.txt"),
        (f"{tmp_path}/self: {nowhere}: Too many levels of symbolic links. Mend or remove it.", tmp_path / "self"),
    ]


def test_a_name_that_is_not_utf_8_is_escaped(tmp_path):
    for name in (b"\xffnote.txt", b"\xffempty.txt"):
        (tmp_path / os.fsdecode(name)).write_text("x" * name.startswith(b"\xffn"))
    (document,) = read_file(tmp_path / os.fsdecode(b"\xffnote.txt"), tmp_path)
    assert (document.id, document.title) == ("\\xffnote.txt", "\\xffnote")
    assert document.origin == f"{tmp_path}/\\xffnote.txt"
    with pytest.raises(DocumentError, match=r"/\\xffempty\.txt: holds no text"):
        read_file(tmp_path / os.fsdecode(b"\xffempty.txt"), tmp_path)


def test_hidden_files_are_left_out_and_a_missing_path_is_named(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text("x")
    assert list(find_files(tmp_path)) == []
    with pytest.raises(DocumentError, match="does not exist"):
        list(find_files(tmp_path / "nowhere"))
