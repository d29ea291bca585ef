"""Values made in C: calling their class fills its fields, without a frame of Python for each (`sipcore.values`).

CPython calls a class by its `tp_vectorcall` where it has one, and by `__new__` and `__init__` where it has not. Only
calls that fit are done here; the others take the usual way, which knows what to say about them.
"""

from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memset

import dataclasses

cdef extern from *:
    """
    #include "structmember.h"

    static Py_ssize_t slot_offset(PyObject *descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return -1;
        PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        return member->type == T_OBJECT_EX ? member->offset : -1;
    }
    """
    Py_ssize_t slot_offset(object descriptor)

cdef extern from "Python.h":
    ctypedef object (*vectorcallfunc)(PyObject* callable, PyObject** args, size_t count, PyObject* names)
    ctypedef struct PyTypeObject:
        vectorcallfunc tp_vectorcall
        object (*tp_alloc)(PyTypeObject* cls, Py_ssize_t items)
    ctypedef struct PyTupleObject:
        PyObject** ob_item
    Py_ssize_t PyVectorcall_NARGS(size_t count)
    PyObject** PySequence_Fast_ITEMS(object values)

cdef enum:
    MAX_FIELDS = 48

cdef object MISSING = dataclasses.MISSING
cdef object CALL = type.__call__
cdef dict SHAPES = {}


cdef class Shape:
    """How a class is made: the names of its fields, where each is kept, and what it is when nobody says."""

    cdef tuple names
    cdef tuple defaults
    cdef tuple factories
    cdef Py_ssize_t count
    cdef bint is_tuple
    cdef bint has_more_to_do
    cdef Py_ssize_t offsets[MAX_FIELDS]
    # Borrowed from `names` and `defaults`; NULL where there is no default.
    cdef PyObject* words[MAX_FIELDS]
    cdef PyObject* spare[MAX_FIELDS]


def made_in_c(cls):
    """The class, made in C from now on where it can be: a dataclass with slots, or a named tuple."""
    cdef Shape shape = Shape()
    cdef Py_ssize_t i
    if type(cls) is not type:
        return cls
    shape.is_tuple = issubclass(cls, tuple)
    if shape.is_tuple:
        shape.names = cls._fields
        shape.defaults = tuple([cls._field_defaults.get(name, MISSING) for name in cls._fields])
        shape.factories = (MISSING,) * len(cls._fields)
    else:
        fields = [each for each in dataclasses.fields(cls) if each.init or each.default is not MISSING]
        if not all([each.init and not each.kw_only for each in fields]):
            return cls
        shape.names = tuple([each.name for each in fields])
        shape.defaults = tuple([each.default for each in fields])
        shape.factories = tuple([each.default_factory for each in fields])
    shape.count = len(shape.names)
    if shape.count > MAX_FIELDS:
        return cls
    shape.has_more_to_do = hasattr(cls, "__post_init__")
    for i in range(shape.count):
        shape.offsets[i] = 0 if shape.is_tuple else slot_offset(getattr(cls, shape.names[i], None))
        if shape.offsets[i] < 0:
            return cls
        shape.words[i] = PyTuple_GET_ITEM(shape.names, i)
        shape.spare[i] = NULL if shape.defaults[i] is MISSING else PyTuple_GET_ITEM(shape.defaults, i)
    SHAPES[cls] = shape
    if shape.is_tuple:
        cls._replace = _replaced
    (<PyTypeObject*>cls).tp_vectorcall = <vectorcallfunc>make
    return cls


cdef object make(PyObject* cls, PyObject** args, size_t flags, PyObject* names):
    cdef Shape shape = <Shape>PyDict_GetItem(SHAPES, <object>cls)
    cdef PyObject* values[MAX_FIELDS]
    cdef PyObject** slots
    cdef Py_ssize_t given = PyVectorcall_NARGS(flags), i
    cdef list fresh = None
    if not arranged(shape, values, args, given, names):
        return as_usual(cls, args, given, names)
    for i in range(shape.count):
        if values[i] == NULL:
            if shape.factories[i] is MISSING:
                return as_usual(cls, args, given, names)
            if fresh is None:
                fresh = []
            fresh.append(shape.factories[i]())
            values[i] = <PyObject*>fresh[len(fresh) - 1]
    made = (<PyTypeObject*>cls).tp_alloc(<PyTypeObject*>cls, shape.count if shape.is_tuple else 0)
    for i in range(shape.count):
        Py_INCREF(<object>values[i])
        if shape.is_tuple:
            (<PyTupleObject*>made).ob_item[i] = values[i]
        else:
            (<PyObject**>(<char*><PyObject*>made + shape.offsets[i]))[0] = values[i]
    if shape.has_more_to_do:
        made.__post_init__()
    return made


def _replaced(self, /, **changes):
    """The same tuple with other values in some of its fields."""
    cdef object cls = type(self)
    cdef Shape shape = <Shape>SHAPES.get(cls)
    cdef list values = list(self)
    cdef Py_ssize_t at
    for name, value in changes.items():
        at = place_of(shape, <PyObject*>name, 0)
        if at < 0:
            raise ValueError(f"Got unexpected field names: {[name]!r}")
        values[at] = value
    # Not cls(*values), which Cython does by __new__, a function of Python.
    return make(<PyObject*>cls, PySequence_Fast_ITEMS(values), len(values), NULL)


cdef bint arranged(Shape shape, PyObject** values, PyObject** args, Py_ssize_t given, PyObject* names) except -1:
    """Put what was given, borrowed, in the order of the fields, and defaults; False for arguments that do not fit."""
    cdef Py_ssize_t i, at, named = 0 if names == NULL else PyTuple_GET_SIZE(<object>names)
    if given + named > shape.count:
        return False
    memset(values, 0, shape.count * sizeof(PyObject*))
    for i in range(given):
        values[i] = args[i]
    for i in range(named):
        at = place_of(shape, PyTuple_GET_ITEM(<object>names, i), given + i)
        if at < 0 or values[at] != NULL:
            return False
        values[at] = args[given + i]
    for i in range(given, shape.count):
        if values[i] == NULL:
            values[i] = shape.spare[i]
    return True


cdef Py_ssize_t place_of(Shape shape, PyObject* name, Py_ssize_t likely) noexcept:
    """Which field has this name; names in a call are those of the class, the same objects."""
    cdef Py_ssize_t i
    if likely < shape.count and shape.words[likely] == name:
        return likely
    for i in range(shape.count):
        if shape.words[i] == name:
            return i
    return -1


cdef object as_usual(PyObject* cls, PyObject** args, Py_ssize_t given, PyObject* names):
    cdef Py_ssize_t i
    cdef dict named = {}
    cdef list rest = [<object>args[i] for i in range(given)]
    if names != NULL:
        for i in range(PyTuple_GET_SIZE(<object>names)):
            named[<object>PyTuple_GET_ITEM(<object>names, i)] = <object>args[given + i]
    return CALL(<object>cls, *rest, **named)
