"""pyarrow, imported when it is first needed, and the kinds of columns that are read."""

from __future__ import annotations

from typing import Any


def pyarrow() -> Any:
    """Return the module pyarrow, or raise ImportError that says how to install it."""
    try:
        import pyarrow
    except ImportError:
        raise ImportError("tables need pyarrow: pip install 'rnn_core[table]'") from None
    return pyarrow


def is_text(kind: Any) -> bool:
    """Return whether a type is text."""
    types = pyarrow().types
    return bool(types.is_string(kind) or types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Return whether a type is that of a number."""
    types = pyarrow().types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(test(kind) for test in tests)


def is_list(kind: Any) -> bool:
    """Return whether a type is a list, of any lengths or of one."""
    types = pyarrow().types
    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def column_of(table: Any, name: str) -> Any:
    """Return a column of a batch or table as one array, a dictionary's values looked up.

    Raises:
        ValueError: there is none of this name, or there are several.
    """
    pa = pyarrow()
    check_columns(table.schema, [name])
    column = table.column(name)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def check_columns(schema: Any, names: Any) -> None:
    """Raise ValueError if a schema has no column, or several, of one of these names."""
    for name in names:
        if schema.names.count(name) != 1:
            found = "several columns" if name in schema.names else "no column"
            raise ValueError(f"the table has {found} {name!r}; it has {', '.join(schema.names)}")
