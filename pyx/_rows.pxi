# The rows of users' cells under a mask; part of _engine.pyx.


cpdef select_rows(cnp.ndarray masks, Py_ssize_t position, new, old):
    """Return leaf by leaf the rows of `new` where the mask is true, those of `old` elsewhere.

    Args:
        masks: boolean ``(timesteps, batch)``, C-contiguous.
        position: which step's mask to take.
        new: ``(batch, ...)``, or lists, tuples and dicts of such.
        old: of as many leaves; None stands for zeros.

    Raises:
        ValueError: `old` has other leaves than `new`.
    """
    if not isinstance(new, (list, tuple, dict)):
        return _select_leaf(masks, position, new, old)
    if isinstance(new, dict):
        values = select_rows(masks, position, list(new.values()), old)
        return dict(zip(new, values))
    cdef Py_ssize_t i, n = len(new)
    if isinstance(old, dict):
        old = list(old.values())
    if old is not None and len(old) != n:
        raise ValueError(f"{n} values, expected {len(old)} as in the step before")
    cdef list chosen = []
    for i in range(n):
        chosen.append(select_rows(masks, position, new[i], None if old is None else old[i]))
    if type(new) is list:
        return chosen
    return type(new)(*chosen) if hasattr(new, "_fields") else type(new)(chosen)


cdef object _select_leaf(cnp.ndarray masks, Py_ssize_t position, new, old):
    cdef cnp.ndarray result
    cdef Py_ssize_t row, rows = masks.shape[1], size
    cdef const unsigned char *mask = <unsigned char *> cnp.PyArray_DATA(masks) + position * rows
    cdef char *to
    cdef char *kept
    if not _plain(new, rows) or (old is not None and not _same(new, old)):
        shape = (rows,) + (1,) * (np.ndim(new) - 1)
        return np.where((<object> masks)[position].reshape(shape), new, 0 if old is None else old)
    result = cnp.PyArray_NewCopy(new, cnp.NPY_CORDER)
    if rows == 0:
        return result
    size = cnp.PyArray_NBYTES(result) // rows
    to = cnp.PyArray_BYTES(result)
    kept = NULL if old is None else cnp.PyArray_BYTES(old)
    for row in range(rows):
        if not mask[row]:
            if kept == NULL:
                memset(to + row * size, 0, size)
            else:
                memcpy(to + row * size, kept + row * size, size)
    return result


cdef bint _plain(array, Py_ssize_t rows):
    """Whether `array` is one of numbers whose rows lie one after the other."""
    return (
        cnp.PyArray_CheckExact(array)
        and cnp.PyArray_IS_C_CONTIGUOUS(array)
        and cnp.PyArray_NDIM(array) > 0
        and cnp.PyArray_DIM(array, 0) == rows
        and cnp.PyArray_ISNUMBER(array)
    )


cdef bint _same(cnp.ndarray a, b):
    """Whether `b` is an array like `a`."""
    return (
        cnp.PyArray_CheckExact(b)
        and cnp.PyArray_IS_C_CONTIGUOUS(b)
        and cnp.PyArray_EquivTypes(a.descr, (<cnp.ndarray> b).descr)
        and cnp.PyArray_SAMESHAPE(a, <cnp.ndarray> b)
    )
