"""What ``type=`` takes, as a type tag (PEP 3118), and values of such a type as bytes and back.

A type is a numpy dtype, a ctypes class, a ``struct`` format, a dataclass whose annotations are such types, ``int``,
``float``, ``bool`` or ``complex``, or the type tag itself. The layout is asked of the type, offset for offset: what
``memoryview.format`` says of ctypes and numpy structs leaves padding out.
"""

import dataclasses
import struct
import sys
import typing

_BUILTIN = {int: ("q", 8), float: ("d", 8), bool: ("?", 1)}


class Type:
    """A type: its ``tag``, the ``size`` of a value, and both ways between values and bytes, ``pack`` and ``unpack``."""

    tag: str
    size: int
    align: int

    def __init__(self, source, tag, size, align, pack, unpack):
        self.source, self.tag, self.size, self.align = source, tag, size, align
        self._pack, self._unpack = pack, unpack

    def unpack(self, data: typing.Any) -> typing.Any:
        """The value of ``data``, bytes or what has them: a numpy scalar or array, a ctypes structure, a tuple, a dataclass."""
        if memoryview(data).nbytes != self.size:
            raise ValueError(f"a value of type {self.tag!r} has {self.size} bytes, not {memoryview(data).nbytes}")
        return self._unpack(bytes(data))

    def pack(self, value: typing.Any) -> bytes:
        """The bytes of ``value``; bytes are taken as they are."""
        data = value if isinstance(value, (bytes, bytearray)) else self._pack(value)
        if len(data) != self.size:
            raise ValueError(f"a value of type {self.tag!r} has {self.size} bytes, {value!r} has {len(data)}")
        return bytes(data)

    def __reduce__(self):
        if isinstance(self.source, struct.Struct):
            return _of_format, (self.source.format,)
        return type_of, (self.source,)


def service_type(pair):
    """The type tag of a service for ``(request, response)``, and the bytes of both."""
    if isinstance(pair, str) or not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"type={pair!r}: a service has two types, (request, response)")
    kinds = [type_of(kind) for kind in pair]
    if None in kinds:
        raise TypeError(f"type={pair!r}: types are needed, not formats; type_tag takes those, as one struct of two members")
    request, response = kinds
    at = -(-request.size // response.align) * response.align
    size = -(-(at + response.size) // max(request.align, response.align)) * max(request.align, response.align)
    members = [
        ("request", 0, request.tag, request.size, request.align),
        ("response", at, response.tag, response.size, response.align),
    ]
    return of_struct(size, members)[0], request.size, response.size


def tag_of(source):
    """The type tag of ``source``; ``""`` for ``None``."""
    return "" if source is None else source if isinstance(source, str) else type_of(source).tag


def type_of(source: typing.Any) -> "Type | None":
    """``source`` as a ``Type``; ``None`` for ``None`` and for text, whose values are bytes."""
    if source is None or isinstance(source, (str, Type)):
        return source if isinstance(source, Type) else None
    if isinstance(source, struct.Struct):
        return _struct(source)
    if source in _BUILTIN if isinstance(source, type) else False:
        letter, size = _BUILTIN[source]
        form = struct.Struct(letter)
        return Type(source, letter, size, size, form.pack, lambda data: form.unpack(data)[0])
    if source is complex:
        form = struct.Struct("dd")
        return Type(source, "Zd", 16, 8, lambda z: form.pack(z.real, z.imag), lambda data: complex(*form.unpack(data)))
    if dataclasses.is_dataclass(source) and isinstance(source, type):
        return _dataclass(source)
    ctypes = sys.modules.get("_ctypes")
    if ctypes and isinstance(source, type) and issubclass(source, (ctypes.Structure, ctypes.Array, ctypes._SimpleCData)):
        return _ctypes(source)
    numpy = sys.modules.get("numpy")
    if numpy and (isinstance(source, numpy.dtype) or isinstance(source, type) and issubclass(source, numpy.generic)):
        return _numpy(numpy.dtype(source))
    raise TypeError(
        f"{source!r} is no type of values in shared memory; give a numpy dtype, a ctypes.Structure class, a struct.Struct, "
        "a dataclass with such annotations, or a PEP 3118 format"
    )


def of_struct(size, members):
    """The tag and alignment of a struct from (name, offset, tag, size, alignment) of its members, padding said in full."""
    members = sorted(members, key=lambda member: member[1])
    mixed = any(">" in member[2] for member in members)
    body, end, align, aligned = "", 0, 1, True
    for name, offset, tag, bytes_, member_align in members:
        if offset < end:
            raise TypeError(f"field {name!r} at {offset} overlaps the one before it; a union has no type of its own")
        body += "x" * (offset - end) if offset - end < 2 else f"{offset - end}x"
        body += _ordered("<", tag) if mixed else tag
        body += f":{name}:" if name else ""
        aligned &= offset % member_align == 0
        align, end = max(align, member_align), offset + bytes_
    if size < end:
        raise TypeError(f"the fields need {end} bytes, the type has {size}")
    body += "x" * (size - end) if size - end < 2 else f"{size - end}x"
    aligned &= size % align == 0 and not mixed
    return f"T{{{body if aligned or mixed else _ordered('=', body)}}}", align if aligned else 1


def _ordered(order, tag):
    """``tag`` with a byte order, unless it has one: behind the shape, where numpy looks for it."""
    at = tag.index(")") + 1 if tag.startswith("(") else 0
    return tag if tag[at] in "<>=" else tag[:at] + order + tag[at:]


def _of_format(text):
    return _struct(struct.Struct(text))


def _struct(form):
    text = form.format if isinstance(form.format, str) else form.format.decode()

    def pack(value):
        return form.pack(*value) if isinstance(value, (tuple, list)) else form.pack(value)

    return Type(form, text, form.size, 1, pack, form.unpack)


def _dataclass(cls):
    hints = typing.get_type_hints(cls)
    members, end, align = [], 0, 1
    for field in dataclasses.fields(cls):
        kind = type_of(hints[field.name])
        if kind is None:
            raise TypeError(f"field {field.name!r} of {cls.__name__}: {hints[field.name]!r} says no type")
        offset = -(-end // kind.align) * kind.align
        members.append((field.name, offset, kind))
        end, align = offset + kind.size, max(align, kind.align)
    size = -(-end // align) * align
    tag, align = of_struct(size, [(name, at, kind.tag, kind.size, kind.align) for name, at, kind in members])

    def pack(value):
        data = bytearray(size)
        for name, at, kind in members:
            data[at : at + kind.size] = kind.pack(getattr(value, name))
        return data

    def unpack(data):
        return cls(**{name: kind.unpack(data[at : at + kind.size]) for name, at, kind in members})

    return Type(cls, tag, size, align, pack, unpack)


def _ctypes(cls):
    import ctypes

    size = ctypes.sizeof(cls)
    tag, align = _ctypes_tag(cls)
    simple = issubclass(cls, ctypes._SimpleCData)

    def pack(value):
        if isinstance(value, cls):
            return bytes(value)
        return bytes(cls(*value) if isinstance(value, (tuple, list)) else cls(value))

    def unpack(data):
        value = cls.from_buffer_copy(data)
        return value.value if simple else value

    return Type(cls, tag, size, align, pack, unpack)


def _ctypes_tag(cls):
    import ctypes

    if issubclass(cls, ctypes.Array):
        inner, align = _ctypes_tag(cls._type_)
        return _array([cls._length_], inner), align
    if issubclass(cls, ctypes._SimpleCData):
        # The format names standard sizes; the letter alone (_type_) native ones.
        letters = memoryview(cls()).format.lstrip("<")
        return letters.replace("u", "w"), ctypes.alignment(cls) if letters[0] != ">" else 1
    if not issubclass(cls, ctypes.Structure):
        raise TypeError(f"{cls.__name__}: only structs, arrays and plain numbers of ctypes can lie in shared memory")
    members = []
    for base in reversed(cls.__mro__):
        for name, kind, *bits in base.__dict__.get("_fields_", ()):
            if bits:
                raise TypeError(f"{cls.__name__}.{name}: bits have no address; describe the integer they lie in")
            tag, align = _ctypes_tag(kind)
            members.append((name, getattr(cls, name).offset, tag, ctypes.sizeof(kind), align))
    return of_struct(ctypes.sizeof(cls), members)


def _numpy(dtype):
    import numpy

    base, shape = dtype.subdtype or (dtype, ())
    tag, align = _numpy_tag(dtype)

    def pack(value):
        if isinstance(value, numpy.ndarray) and value.dtype.itemsize and value.dtype != base:
            value = value.astype(base)
        return numpy.asarray(value, dtype=base).tobytes()

    def unpack(data):
        values = numpy.frombuffer(data, dtype=base)
        return values.reshape(shape) if shape else values[0]

    return Type(dtype, tag, dtype.itemsize, align, pack, unpack)


def _numpy_tag(dtype):
    if dtype.subdtype:
        base, shape = dtype.subdtype
        inner, align = _numpy_tag(base)
        return _array(shape, inner), align
    if dtype.fields:
        members = []
        for name in dtype.names:
            kind, offset = dtype.fields[name][:2]
            tag, align = _numpy_tag(kind)
            members.append((name, offset, tag, kind.itemsize, align))
        return of_struct(dtype.itemsize, members)
    size = dtype.itemsize
    letters = {
        "b": {1: "?"},
        "i": {1: "b", 2: "h", 4: "i", 8: "q"},
        "u": {1: "B", 2: "H", 4: "I", 8: "Q"},
        "f": {2: "e", 4: "f", 8: "d", 16: "g"},
        "c": {8: "Zf", 16: "Zd", 32: "Zg"},
        "S": {size: f"{size}s"},
        "U": {size: f"{size // 4}w"},
        "V": {size: f"{size}x"},
    }.get(dtype.kind, {}).get(size)
    if letters is None:
        raise TypeError(f"{dtype!r} has no meaning in other languages; store numbers (a time as int64 nanoseconds)")
    big = dtype.byteorder == ">" or dtype.byteorder == "=" and sys.byteorder == "big"
    align = {"c": size // 2, "S": 1, "V": 1, "U": 4}.get(dtype.kind, size)
    return (">" + letters, 1) if big else (letters, align)


def _array(shape, inner):
    shape = ",".join(str(n) for n in shape)
    return f"({shape},{inner[1:]}" if inner.startswith("(") else f"({shape}){inner}"


def _reopen_cell(segment, name, type):
    from . import Segment

    return Segment.open(segment).open_cell(name, type=type)
