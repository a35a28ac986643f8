"""Texts of Parquet files, in bounded memory whatever a file unpacks to.

A file's pages say how large they are unpacked, and pyarrow makes room for what they say, and again
for each row that has the same value of a dictionary. So the pages are looked at first.
"""

import sys

from csrc.files import LARGEST, LARGEST_PACKED, ChatError

PIECE = 1 << 20        # bytes read at a time
ROWS = 100             # in memory at a time, fewer where they may be large
BROKEN = (IndexError, KeyError, OverflowError, RecursionError)   # what headers of pages may raise


def rows(file):
    """Yield the text of each row of a file's column "text", without empty ones; ChatError names
    the row that cannot be read."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ChatError(f"{file}: to read Parquet, {sys.executable} -m pip install "
                        f"pyarrow") from error
    row = 0
    try:
        with parquet.ParquetFile(file, buffer_size=PIECE, pre_buffer=False) as table:
            if "text" not in table.schema_arrow.names:
                raise ChatError(f'{file}: no column "text", but '
                                f'{", ".join(table.schema_arrow.names) or "none at all"}')
            size = largest_page(file, table.metadata)
            if size > LARGEST:
                raise ChatError(f"{file}: a page that unpacks to {size >> 20} MB; at most "
                                f"{LARGEST >> 20} MB are read: write it with smaller row groups")
            for batch in table.iter_batches(max(1, min(ROWS, LARGEST_PACKED // max(1, size))),
                                            columns=["text"], use_threads=False):
                if len(batch) == 1 and batch.nbytes > LARGEST_PACKED:
                    raise ChatError(f"{file}: row {row + 1}: over {LARGEST_PACKED >> 20} MB in one "
                                    f"text")
                for row, text in enumerate(batch.column("text").to_pylist(), row + 1):
                    if not isinstance(text, str | None):
                        raise ChatError(f'{file}: row {row}: "text" is not a string')
                    if text:
                        yield text
    except (ArrowException, OSError, UnicodeDecodeError, *BROKEN) as error:
        reason = " ".join(str(error).split())
        raise ChatError(f"{file}: broken Parquet after row {row} ({reason})") from error


def largest_page(file, about) -> int:
    """The most bytes to which a page of the texts unpacks; `about`: the file's metadata."""
    most = 0
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    with open(file, "rb") as stream:
        for column in (group.column(i) for group in groups for i in range(group.num_columns)):
            if column.path_in_schema.split(".")[0] == "text":
                begins = column.data_page_offset, column.dictionary_page_offset     # 0, None: none
                end = stream.seek(min(filter(None, begins), default=4)) \
                    + column.total_compressed_size
                while stream.tell() < end:
                    page = numbers(stream)
                    stream.seek(page[3], 1)      # 2: bytes unpacked, 3: bytes in the file
                    most = max(most, page[2])
    return most


def numbers(stream) -> dict[int, int]:
    """{field: whole number} of a structure in Thrift's compact protocol, read to its end."""
    found, field = {}, 0
    while head := stream.read(1)[0]:
        field, kind = field + (head >> 4), head & 15
        if kind in (4, 5, 6):                    # whole numbers; the lowest bit is the sign
            found[field] = unsigned(stream) >> 1
        elif kind == 8:                          # bytes
            stream.seek(unsigned(stream), 1)
        elif kind == 12:
            numbers(stream)
        elif kind not in (1, 2):                 # true and false
            raise KeyError(f"a page's header has a field of type {kind}")
    return found


def unsigned(stream) -> int:
    """A number of seven bits a byte."""
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return value
    raise OverflowError("a number of more than 10 bytes")
