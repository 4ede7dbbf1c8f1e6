# The rows of users' cells that a mask holds back; part of _engine.pyx.


cdef class Kept:
    """A step's output and states in arrays of their own, for a cell may use its arrays again.

    Args:
        output: arrays ``(batch, ...)``, alone or in lists, tuples and dicts; None stands for zeros.
        states: a list of such.
    """

    cdef object output
    cdef list states

    def __init__(self, output, list states not None):
        self.output = None if output is None else copies(output, False)
        self.states = copies(states, False)

    def merge(self, cnp.ndarray mask not None, output, list states not None, bint zero):
        """Take over the rows of a step that count; return its output, and states to go on with.

        Args:
            mask: boolean ``(batch,)``, C-contiguous.
            output, states: of the step, in the structure and shapes of those kept.
            zero: whether the output of the other rows is zero.

        Raises:
            ValueError: another structure or other shapes.
        """
        if zero or self.output is None:
            self.output = copies(output, True)
        take_rows(mask, self.output, output)
        take_rows(mask, self.states, states)
        return self.output, copies(self.states, False)


cdef object copies(structure, bint zeros):
    """Return C-contiguous copies of all arrays, or zeros like them."""
    cdef cnp.ndarray copy
    if isinstance(structure, cnp.ndarray):
        copy = cnp.PyArray_NewCopy(structure, cnp.NPY_CORDER)
        if zeros:
            cnp.PyArray_FILLWBYTE(copy, 0)
        return copy
    if type(structure) is list:
        return [copies(value, zeros) for value in <list> structure]
    if isinstance(structure, dict):
        return {key: copies(value, zeros) for key, value in structure.items()}
    if not isinstance(structure, tuple):
        raise ValueError(f"the cell returned {structure!r}, expected an array (batch, ...)")
    values = [copies(value, zeros) for value in structure]
    return type(structure)(*values) if hasattr(structure, "_fields") else tuple(values)


cdef int take_rows(cnp.ndarray mask, kept, new) except -1:
    """Copy the rows of `new` where the mask is true over those of `kept`."""
    cdef Py_ssize_t i, n
    if isinstance(kept, cnp.ndarray):
        return take_rows_of(mask, kept, new)
    olds = list(kept.values()) if isinstance(kept, dict) else kept
    news = list(new.values()) if isinstance(new, dict) else new
    n = len(olds)
    if not isinstance(news, (list, tuple)) or len(news) != n:
        raise ValueError(f"the cell returned {new!r}, expected {n} values as in the step before")
    for i in range(n):
        take_rows(mask, olds[i], news[i])
    return 0


cdef int take_rows_of(cnp.ndarray mask, cnp.ndarray kept, new) except -1:
    cdef cnp.ndarray source
    cdef Py_ssize_t first, row = 0, rows = mask.shape[0], size
    cdef const unsigned char *counts = <unsigned char *> cnp.PyArray_DATA(mask)
    if not cnp.PyArray_Check(new) or not cnp.PyArray_SAMESHAPE(kept, <cnp.ndarray> new):
        raise ValueError(f"the cell returned an array of shape {np.shape(new)}, "
                         f"expected {(<object> kept).shape} as in the step before")
    source = new
    if not cnp.PyArray_EquivTypes(kept.descr, source.descr):
        source = source.astype(kept.dtype, casting="same_kind")
    source = cnp.PyArray_GETCONTIGUOUS(source)
    size = cnp.PyArray_NBYTES(kept) // rows if rows else 0
    while row < rows:
        first = row
        while row < rows and counts[row]:
            row += 1
        if row > first:
            memcpy(
                cnp.PyArray_BYTES(kept) + first * size,
                cnp.PyArray_BYTES(source) + first * size,
                (row - first) * size,
            )
        row += 1
    return 0
