"""Files of torch.save, whole and broken. golden/make_torch.py makes those of golden."""

import contextlib
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch_archives import SLACK, archive_of, members_of, write

import rnn_core as rc
from rnn_core import _cli
from rnn_core.formats import budget

GOLDEN = Path(__file__).parent / "golden/torch"
TENSORS = sorted(GOLDEN.glob("tensors_*.pt"))
OLD = sorted(GOLDEN.glob("old_*.pt"))


def names(path):
    return path.name


@pytest.fixture(params=TENSORS, ids=names)
def holding(request):
    return rc.load(request.param)


def test_tensors_of_every_form(holding):
    tensors, _ = holding
    with np.load(GOLDEN / "tensors.npz") as arrays:
        assert list(tensors) == arrays.files
        for name, expected in arrays.items():
            assert tensors[name].dtype == expected.dtype, name
            np.testing.assert_array_equal(tensors[name], expected, err_msg=name, strict=True)


def test_plain_data(holding):
    _, plain = holding
    array, fortran = plain.pop("array"), plain.pop("fortran")
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(2, 3)[:, ::-1])
    np.testing.assert_array_equal(fortran, np.arange(6).reshape(2, 3))
    assert plain == {
        "text": "café",
        "bytes": b"\x00\xff",
        "no_bytes": b"",
        "bytearray": bytearray(b"ab"),
        "numbers": [1, -1, 255, 65536, -(2**31), 2**40, -(2**70), 1.5, True, False, None],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "set": {1, 2},
        "frozenset": frozenset([3]),
        (1, "key"): {2: 3.0},
        "counter": {"a": 2, "b": 1},
        "size": (2, 3),
        "dtype": "float32",
        "device": "cpu",
        "numpy": [0.5, -3, True],
    }
    assert [type(number) for number in plain["numpy"]] == [float, int, bool]
    assert type(plain["counter"]) is dict


def test_tensors_share_their_storage_as_they_did(holding):
    tensors, _ = holding
    assert np.shares_memory(tensors["base"], tensors["offset"])
    assert np.shares_memory(tensors["base"], tensors["transposed"])
    assert tensors["expanded"].strides == (4, 0)


def test_arrays_of_an_archive_are_mapped_and_those_of_old_files_read():
    mapped = rc.load(GOLDEN / "tensors_p2.pt")[0]
    assert not mapped["base"].flags.writeable
    assert not mapped["base"].flags.owndata
    assert rc.load(GOLDEN / "tensors_legacy.pt")[0]["base"].flags.writeable


@pytest.mark.parametrize("path", OLD, ids=names)
def test_checkpoints_of_old_versions(path):
    checkpoint = rc.load(path)
    output, (h, c) = rc.from_torch(checkpoint)(checkpoint["x"])
    for mine, theirs in ((output, "output"), (h, "h"), (c, "c")):
        np.testing.assert_allclose(mine, checkpoint[theirs], atol=2e-6, rtol=0)
    assert (checkpoint["epoch"], checkpoint["large"], checkpoint["best"]) == (3, 2**40, 0.5)
    np.testing.assert_array_equal(checkpoint["array"], np.arange(3.0))
    expected = [[2, 3], [[6, 8], [7, 9]], [0, 1, 2]]
    for view, values in zip(checkpoint["views"], expected, strict=True):
        np.testing.assert_array_equal(view, values)
    (group,) = checkpoint["optimizer"]["param_groups"]
    assert (group["lr"], group["momentum"], len(group["params"])) == (0.1, 0.9, 8)


def test_the_optimizer_beside_the_weights():
    checkpoint = rc.load(GOLDEN / "tagger.pt")
    assert (checkpoint["epoch"], checkpoint["best"]) == (3, 0.25)
    steps = [state["step"] for state in checkpoint["optimizer_state_dict"]["state"].values()]
    np.testing.assert_array_equal(steps, np.ones(len(steps)))


# Other archives of the same


@pytest.mark.parametrize("change", ["deflated", "root", "no root", "unaligned"])
def test_archives_that_others_write(tmp_path, change):
    path = tmp_path / "model.ckpt"
    members = members_of(GOLDEN / "tensors_p2.pt")
    if change == "root":
        members = {name.replace("tensors_p2/", "a/b/"): value for name, value in members.items()}
    elif change == "no root":
        members = {name.replace("tensors_p2/", ""): value for name, value in members.items()}
    deflated = zipfile.ZIP_DEFLATED if change == "deflated" else zipfile.ZIP_STORED
    write(path, members, compression=deflated)
    with np.load(GOLDEN / "tensors.npz") as arrays:
        for name, expected in arrays.items():
            np.testing.assert_array_equal(rc.load(path)[0][name], expected, strict=True)


def test_an_archive_with_sizes_in_64_bits(tmp_path):
    path = tmp_path / "model.pt"
    members = members_of(GOLDEN / "old_1.6.0_python3.pt")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    content = bytearray(path.read_bytes())
    end = content.index(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HII", content, end + 10)
    # The end of the directory in its 64-bit form, and what points there.
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    struct.pack_into("<II", content, end + 12, 0xFFFFFFFF, 0xFFFFFFFF)
    path.write_bytes(content[:end] + wide + locator + content[end:])
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == len(members)
    np.testing.assert_array_equal(rc.load(path)["views"][0], [2, 3])


def test_a_file_of_a_big_endian_machine(tmp_path):
    members = members_of(GOLDEN / "old_1.6.0_python3.pt")
    root = next(iter(members)).partition("/")[0]
    for name, content in members.items():
        if "/data/" in name:
            members[name] = np.frombuffer(content, "<f4").astype(">f4").tobytes()
    members[f"{root}/byteorder"] = b"big"
    checkpoint = rc.load(write(tmp_path / "model.pt", members))
    assert checkpoint["x"].dtype == np.dtype("=f4")
    output, _ = rc.from_torch(checkpoint)(checkpoint["x"])
    np.testing.assert_allclose(output, checkpoint["output"], atol=2e-6)
    members[f"{root}/byteorder"] = b"middle"
    with pytest.raises(ValueError, match="byte order is b'middle', expected little or big"):
        rc.load(write(tmp_path / "model.pt", members))


# What is no data


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("whole.pt", "torch.nn.modules.rnn.GRU"),
        ("whole_legacy.pt", "__main__.Small"),
        ("whole_of_users.pt", "__main__.Tagger"),
        ("script.pt", "TorchScript program"),
    ],
)
def test_a_module_saved_whole_is_named(name, held):
    with pytest.raises(ValueError, match=rf"{name} holds a '{held}'.*save `model.state_dict\(\)`"):
        rc.load(GOLDEN / name)


def test_scoring_needs_a_model(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((1, 2)))
    files = [str(GOLDEN / "tagger.pt"), str(tmp_path / "x.npy"), "-o", str(tmp_path / "y.npy")]
    assert _cli.main(["score", *files]) == 2
    assert "tagger.pt holds weights, expected a model" in capsys.readouterr().err


def test_a_pickle_of_something_else(tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps([1, 2], protocol=4))
    with pytest.raises(ValueError, match="begins with a pickle that is not torch's"):
        rc.load(path)


# Tensors that do not fit their storage


def tensor_code(size, stride, offset=0, count=4, kind="FloatStorage", key="0"):
    """Return the pickle of a tensor of a storage ``data/0``."""
    return b"".join(
        [
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n",
            kind.encode() + b"\n",
            *(code_of(item) for item in (key, "cpu", count)),
            b"tQ",
            code_of(offset),
            code_of(size),
            code_of(stride),
            b"\x89}tR.",
        ]
    )


def code_of(value):
    if isinstance(value, (tuple, list)):
        return b"(" + b"".join(map(code_of, value)) + (b"t" if isinstance(value, tuple) else b"l")
    return pickle.dumps(value, protocol=2)[2:-1].partition(b"q\x00")[0]


def loaded(tmp_path, **changes):
    arguments = {"size": (2, 2), "stride": (2, 1), **changes}
    path = archive_of(tmp_path, tensor_code(**arguments), data_0=np.arange(4, dtype="f4").tobytes())
    return rc.load(path)


def test_a_tensor_that_fits(tmp_path):
    np.testing.assert_array_equal(loaded(tmp_path), [[0, 1], [2, 3]])
    np.testing.assert_array_equal(loaded(tmp_path, size=(0, 9), stride=(9, 1)), np.zeros((0, 9)))
    np.testing.assert_array_equal(loaded(tmp_path, size=(3,), stride=(0,), offset=3), [3, 3, 3])


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (2, 3)},
        {"stride": (3, 1)},
        {"offset": 1},
        {"offset": -1},
        {"size": (-2, 2)},
        {"size": (2, -2), "stride": (2, -1)},
        {"stride": (-2, 1)},
        {"stride": (2,)},
        {"size": (2.0, 2)},
        {"size": [2, 2]},
        {"size": (True, 2)},
        {"size": (2**62, 2**62), "stride": (0, 0)},
        {"size": (10**9,), "stride": (0,)},
        {"size": (2**31, 2**31, 2**31), "stride": (0, 0, 0)},
        {"size": (1,) * 100, "stride": (1,) * 100},
        {"size": (0, 2**62, 2**62), "stride": (1, 1, 1)},
        {"count": 5},
        {"count": 3},
        {"count": -4},
        {"count": 2**70},
        {"count": "4"},
        {"kind": "DoubleStorage"},
        {"kind": "ComplexFloatStorage"},
        {"key": "1"},
        {"key": "../0"},
        {"key": 0},
        {"key": "0" * 1000},
    ],
    ids=str,
)
def test_a_tensor_that_does_not_fit(tmp_path, changes):
    with pytest.raises(ValueError, match=r"model\.pt"):
        loaded(tmp_path, **changes)


def test_many_expanded_tensors_are_too_many(tmp_path):
    code = tensor_code((4_000_000,), (0,))[2:-1]
    path = archive_of(tmp_path, b"\x80\x02(" + code * 6 + b"l.", data_0=bytes(16))
    with pytest.raises(ValueError, match="a tensor would take 16000000 bytes"):
        rc.load(path)


# Archives that are wrong


def test_a_storage_that_unpacks_to_far_more(tmp_path):
    members = {"model/data.pkl": tensor_code((2,), (1,), count=25 << 20)}
    members["model/data/0"] = bytes(100 << 20)
    path = write(tmp_path / "model.pt", members, compression=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(ValueError, match="'model/data/0' would take 10.* bytes"):
        rc.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_directory_of_more_members_than_fit(tmp_path, monkeypatch):
    """Each entry takes many times its 47 bytes."""
    monkeypatch.setattr(budget, "_SLACK", SLACK)
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 5, 0, 0) + bytes(12)
    assert len(entry) == 46
    count = 30_000
    directory = b"".join(entry + b"%05x" % n for n in range(count))
    end = b"PK\x05\x06" + bytes(8) + struct.pack("<IIH", len(directory), 4, 0)
    path = tmp_path / "model.pt"
    path.write_bytes(b"PK\x03\x04" + directory + end)
    with pytest.raises(ValueError, match="the archive's directory would take"):
        rc.load(path)


def test_two_pickles_and_wrong_checksums(tmp_path):
    two = {"a/data.pkl": b"\x80\x02N.", "b/data.pkl": b"\x80\x02N."}
    with pytest.raises(ValueError, match=r"2 members data\.pkl, expected one"):
        rc.load(write(tmp_path / "model.pt", two))
    path = archive_of(tmp_path, b"\x80\x02X\x03\x00\x00\x00abc.")
    path.write_bytes(path.read_bytes().replace(b"abc.", b"abd."))
    with pytest.raises(ValueError, match="its checksum differs"):
        rc.load(path)


# Files that are damaged

DAMAGED = [GOLDEN / "tensors_p2.pt", GOLDEN / "tensors_legacy.pt", GOLDEN / "old_1.0.0_python2.pt"]


def read_all(path):
    """Load a file and use what it holds."""
    with contextlib.suppress(ValueError, FileNotFoundError):
        rc.load(path)
        return True
    return False


@pytest.mark.parametrize("source", DAMAGED, ids=names)
def test_flipped_bytes(tmp_path, rng, source):
    path = tmp_path / "model.pt"
    content = np.frombuffer(source.read_bytes(), np.uint8)
    intact = 0
    for _ in range(700):
        broken = content.copy()
        places = rng.integers(4, len(broken), rng.integers(1, 6))
        broken[places] = rng.integers(0, 256, len(places))
        path.unlink(missing_ok=True)
        path.write_bytes(broken.tobytes())
        intact += read_all(path)
    assert 0 < intact < 700


@pytest.mark.parametrize("source", DAMAGED, ids=names)
def test_cut_off_files(tmp_path, source):
    path = tmp_path / "model.pt"
    content = source.read_bytes()
    for size in [*range(200), *range(200, len(content), 61), len(content) - 1]:
        path.unlink(missing_ok=True)
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"model\.pt"):
            rc.load(path)


@pytest.mark.parametrize("name", ["tensors_p2", "tensors_p5", "old_1.6.0_python3"])
def test_damaged_pickles_in_whole_archives(tmp_path, rng, name):
    """With the archive's checksums right they reach the machine, and their data the importer."""
    members = members_of(GOLDEN / f"{name}.pt")
    key = next(key for key in members if key.endswith("/data.pkl"))
    content = np.frombuffer(members[key], np.uint8)
    intact = 0
    for _ in range(700):
        broken = content.copy()
        places = rng.integers(0, len(broken), rng.integers(1, 4))
        broken[places] = rng.integers(0, 256, len(places))
        (tmp_path / "model.pt").unlink(missing_ok=True)
        path = write(tmp_path / "model.pt", {**members, key: broken.tobytes()})
        with contextlib.suppress(ValueError):
            value = rc.load(path)
            intact += 1
            if isinstance(value, dict):
                rc.from_torch(value)
    assert 0 < intact < 700
