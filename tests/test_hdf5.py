"""The HDF5 reader against h5py's, on files that h5py writes."""

import h5py
import numpy as np
import pytest

from rnn_core.formats import hdf5

ROOMY = 1 << 30

ARRAYS = {
    "float32": np.linspace(-1, 1, 15, dtype="f4").reshape(3, 5),
    "float16": np.linspace(-1, 1, 7, dtype="f2"),
    "float64": np.linspace(-1, 1, 8).reshape(2, 2, 2),
    "big-endian": np.linspace(-1, 1, 6, dtype=">f4").reshape(2, 3),
    "int8": np.arange(-3, 4, dtype="i1"),
    "uint64": np.array([0, 2**63, 2**64 - 1], "u8"),
    "bool": np.array([True, False, True]),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 4), "f4"),
}
STORAGE = {
    "contiguous": {},
    "chunked": {"chunks": True},
    "gzip": {"chunks": True, "compression": "gzip"},
    "shuffled": {"chunks": True, "compression": "gzip", "shuffle": True, "fletcher32": True},
    "checked": {"chunks": True, "fletcher32": True},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(path, name, libver):
    with h5py.File(path, "w", libver=libver) as file:
        file["group/array"] = ARRAYS[name]
    with hdf5.open_file(path, "it") as file:
        array = hdf5.read(hdf5.child(file, "group/array"), hdf5.Budget(ROOMY))
    np.testing.assert_array_equal(array, ARRAYS[name])
    assert array.dtype == (np.int8 if name == "bool" else ARRAYS[name].dtype)


@pytest.mark.parametrize("shape", [(1,), (7,), (1000,), (33, 65), (3, 1, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("storage", STORAGE)
def test_storage(path, storage, shape, rng):
    values = rng.standard_normal(shape).astype("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **STORAGE[storage])
    with hdf5.open_file(path, "it") as file:
        np.testing.assert_array_equal(hdf5.read(file.open("x"), hdf5.Budget(ROOMY)), values)


def test_chunks_over_the_edge_and_chunks_never_written(path, rng):
    values = rng.standard_normal((10, 7)).astype("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("whole", data=values, chunks=(4, 3))
        file.create_dataset("part", (10, 7), "f4", chunks=(4, 3))[:4, :3] = 1
        file.create_dataset("none", (10, 7), "f4", chunks=(4, 3))
        part = file["part"][()]
    with hdf5.open_file(path, "it") as file:
        for name, expected in (("whole", values), ("part", part), ("none", 0 * values)):
            array = hdf5.read(file.open(name), hdf5.Budget(ROOMY))
            np.testing.assert_array_equal(array, expected)


def test_a_compact_dataset(path):
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, plist)
        file["x"][...] = [1, 2, 3]
    with hdf5.open_file(path, "it") as file:
        assert hdf5.read(file.open("x"), hdf5.Budget(ROOMY)).tolist() == [1, 2, 3]


def test_bfloat16_becomes_float32(path):
    """Keras stores bfloat16 as opaque values of two bytes."""
    values = np.array([1.0, -2.5, 3e38, 1e-30], "f4")
    stored = (values.view("u4") >> 16).astype("u2")
    with h5py.File(path, "w") as file:
        file["x"] = stored.view("V2")
    with hdf5.open_file(path, "it") as file:
        array = hdf5.read(file.open("x"), hdf5.Budget(ROOMY))
    np.testing.assert_array_equal(array, (stored.astype("u4") << 16).view("f4"))


@pytest.mark.parametrize("count", [0, 1, 8, 9, 40, 1500])
def test_groups_of_any_size(path, count):
    """Beyond 8 members a symbol table has several nodes, and many make its tree deeper."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        for index in range(count):
            group[f"weight_{index}"] = index
    with hdf5.open_file(path, "it") as file:
        datasets = list(hdf5.walk(file))
        found = {d.name: int(hdf5.read(d, hdf5.Budget(ROOMY))) for d in datasets}
    assert found == {f"/layers/weight_{index}": index for index in range(count)}
    assert list(found) == sorted(found)


def test_a_dataset_with_two_names_is_walked_once(path):
    with h5py.File(path, "w") as file:
        file["a"] = 1.0
        file["b"] = file["a"]
        file["group/up"] = file["/"]
    with hdf5.open_file(path, "it") as file:
        assert [dataset.name for dataset in hdf5.walk(file)] == ["/a"]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_attributes(path, libver):
    long = "x" * 100_000
    with h5py.File(path, "w", libver=libver) as file:
        file.attrs["text"] = "naïve"
        file.attrs["bytes"] = np.bytes_(b"fixed")
        file.attrs["long"] = long
        file.attrs["number"] = 2.5
        file.attrs["names"] = ["kernel", "bias", ""]
        file.attrs["fixed_names"] = np.array([b"kernel", b"bias"])
        file.attrs["none"] = np.zeros(0, "f4")
    with hdf5.open_file(path, "it") as file:
        read = {name: hdf5.attribute(file, name) for name in [*file.attributes, "missing"]}
    assert read == {
        "text": "naïve",
        "bytes": "fixed",
        "long": long,
        "number": 2.5,
        "names": ["kernel", "bias", ""],
        "fixed_names": ["kernel", "bias"],
        "none": [],
        "missing": None,
    }


def test_names_in_several_attributes(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names0"] = ["a", "b"]
        file.attrs["layer_names1"] = ["c"]
    with hdf5.open_file(path, "it") as file:
        assert hdf5.names(file, "layer_names") == ["a", "b", "c"]


def test_what_only_the_newer_format_has_is_named(path):
    with h5py.File(path, "w", libver="latest") as file:
        for index in range(20):
            file.attrs[f"a{index}"] = index
            file[f"layers/{index}"] = index
        file.create_dataset("chunked", data=np.ones(10), chunks=(3,))
    with hdf5.open_file(path, "it") as file:
        with pytest.raises(ValueError, match="'/' keeps its attributes in a newer way"):
            hdf5.attribute(file, "a0")
        with pytest.raises(ValueError, match="'/layers' keeps its links in a newer way"):
            hdf5.child(file, "layers/0")
        with pytest.raises(ValueError, match="'/chunked' has layout 4.2"):
            hdf5.read(file.open("chunked"), hdf5.Budget(ROOMY))


def test_other_filters_are_refused(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(1000), chunks=(10,), compression="lzf")
    with (
        pytest.raises(ValueError, match="a chunk has filter 32000"),
        hdf5.open_file(path, "it") as file,
    ):
        hdf5.read(file.open("x"), hdf5.Budget(ROOMY))


def test_groups_too_deep(path):
    with h5py.File(path, "w") as file:
        file["/".join("a" * 100)] = 1
    with (
        pytest.raises(ValueError, match="groups deep"),
        hdf5.open_file(path, "it") as file,
    ):
        list(hdf5.walk(file))
