"""From the bytes of a text file to its text."""

import codecs
from typing import Final

from purify_cli.data.rows import and_more
from purify_cli.errors import DataError

__all__ = ["decoded"]

MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
"""Byte order marks, which tell an encoding for certain; "Unicode text" of a spreadsheet is UTF-16."""


def decoded(content: bytes, given: str) -> str:
    """Decode a text file: by its byte order mark, else as UTF-8.

    Other encodings are not guessed: every byte is a letter of Latin-1, so that a wrong guess would go unnoticed.

    Raises:
        DataError: If it is not such text; names the first line that is not.
    """
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content[:4096]:
        raise DataError(
            f"{given} is not UTF-8 text: there are zero bytes in it",
            hint="If it is UTF-16 without a byte order mark: iconv -f UTF-16LE -t UTF-8 FILE > NEW.",
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            raise DataError(
                f"{given} begins as {encoding.upper()} text and is not at byte {error.start + 1}",
                hint="Save the file again, as UTF-8.",
            ) from error
    problems: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            problems.append(f"line {number}: not UTF-8 text at byte {error.start + 1} of the line")
    raise DataError(
        f"{given}, {problems[0]}{and_more(len(problems) - 1)}",
        hint="Save the file as UTF-8; a file of Windows or in Latin-1: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW.",
    )
