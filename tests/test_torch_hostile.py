"""Pickles in files of torch.save that want something run, or take time or memory without end."""

import os
import pickle
import pickletools
import struct
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from torch_archives import SLACK, archive_of

import rnn_core as rc
from rnn_core.formats import budget

GOLDEN = Path(__file__).parent / "golden/torch"


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    "system": Calls(os.system, "touch {path}"),
    "eval": Calls(eval, "open('{path}', 'w')"),
    "open": Calls(open, "{path}", "w"),
    "getattr": Calls(getattr, np.ndarray, "tofile"),
    "import": Calls(__import__, "os"),
    "object array": np.array([Calls(os.system, "touch {path}")], object),
    "object dtype": np.dtype("O"),
    "structure": np.zeros(2, [("a", "f4")]),
    "text array": np.array(["a"]),
    "memory map": Calls(np.memmap, "{path}"),
    "slice": slice(1, 2),
    "complex": 1j,
    "module": Calls(__import__("importlib").import_module, "antigravity"),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_run(tmp_path, name, protocol):
    target = tmp_path / "made"
    content = pickle.dumps({"a": HOSTILE[name]}, protocol=protocol)
    longer = content.replace(b"{path}", str(target).encode())
    if longer != content:
        # The text's length comes before it.
        text = next(o[1] for o in pickletools.genops(content) if "{path}" in str(o[1]))
        new = text.replace("{path}", str(target)).encode()
        code = b"X" + struct.pack("<I", len(text))
        code = code if protocol == 2 else b"\x8c" + bytes([len(text)])
        content = content.replace(code + text.encode(), b"X" + struct.pack("<I", len(new)) + new)
    before = set(sys.modules)
    path = archive_of(tmp_path, content)
    with pytest.raises(ValueError, match=r"model\.pt"):
        rc.load(path)
    assert not target.exists()
    assert "antigravity" not in set(sys.modules) - before


def test_the_check_above_can_fail(tmp_path):
    """Python's own reader does what these pickles say."""
    target = tmp_path / "made"
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {target}")))
    assert target.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n",
        b"cbuiltins\ngetattr\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"ctorch._utils\n_rebuild_tensor_v2\n.",
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\nTensor\nNN)NtR.",
        b"ctorch\nFloatStorage\n.",
        b"ctorch\nFloatStorage\n)R.",
        b"ccollections\nOrderedDict\nX\x01\x00\x00\x00aR.",
        b"ccollections\nOrderedDict\nX\x01\x00\x00\x00a\x85R.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00rottR.",
        b"cnumpy\ndtype\nX\x02\x00\x00\x00|O\x85R.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n)C\x01btR(K\x01N\x89\x89C\x00tb.",
        b"X\x02\x00\x00\x00os\x8c\x06system\x93.",
        b"X\x06\x00\x00\x00__doc__K\x01\x93.",
        b"i__main__\nx\n.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\nX\x01\x00\x00\x00ao.",
        b"\x82\x01.",
        b"\x97.",
        b"NQ.",
        b"(X\x07\x00\x00\x00storageNNNNtQ.",
        b"N)\x81.",
        b"Pid\n.",
        b"}}N}bs.",
        b"]K\x01b.",
        b"",
        b".",
        b"(.",
        b"N",
        b"e.",
        b"t.",
        b"\x87.",
        b"h\x00.",
        b"]\x94h\x01.",
        b"X\xff\xff\xff\xffa.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.",
        b"T\xff\xff\xff\xffa.",
        b"X\x01\x00\x00\x00\xff.",
        b"I1e5\n.",
        b"I" + b"1" * 400 + b"\n.",
        b"\x8a\xff" + b"\x01" * 255 + b".",
        b"c" + b"a" * 5000,
        b"}]N\x86Ns.",
        b"}]Ns.",
        b"}((]ttNs.",
        b"\x8f(]\x90.",
        b"K\x01(NNu.",
        b"}(K\x01u.",
    ],
)
def test_pickles_that_are_wrong(tmp_path, code):
    with pytest.raises(ValueError, match=r"model\.pt"):
        rc.load(archive_of(tmp_path, b"\x80\x02" + code))


def same_hash(count):
    """Return tuples whose hashes are all the same, which makes a dict of them slow."""
    prime = 2**61 - 1
    return [(n * prime,) for n in range(1, count + 1)]


def doubled(levels):
    """Return the code of a tuple of twice a tuple of twice a tuple."""
    return b"".join(b"q\x00h\x00\x86" for _ in range(levels))


LARGE = 30_000
# What would take memory without end, or time, if the machine let it.
BOMBS = {
    "dicts": b"}" * 300_000,
    "sets": b"\x8f" * 100_000,
    "marks": b"(" * 500_000,
    "memo": b"N" + b"\x94" * 300_000 + b".",
    "lists in lists": b"]" * LARGE + b"a" * (LARGE - 1) + b".",
    "tuples in tuples": b"N" + b"\x85" * LARGE + b".",
    "a list in itself": b"]q\x00h\x00a.",
    "a dict in itself": b"}q\x00Nh\x00s.",
    "tuples that double, too deep": b"N" + doubled(200) + b".",
    "tuples that double, as a key": b"}N" + doubled(60) + b"Ns.",
    "a deep key": b"}N" + b"\x85" * 200_000 + b"Ns.",
    "keys of one hash": pickle.dumps(dict.fromkeys(same_hash(2000)), protocol=4),
    "members of one hash": pickle.dumps(set(same_hash(2000)), protocol=4),
    "long keys": b"}X\x00\x00\x01\x00" + b"a" * 65536 + b"Ns.",
    "a set again and again": (
        b"c__builtin__\nset\n("
        + b"N" * LARGE
        + b"lq\x00\x85"
        + b"R0c__builtin__\nset\nh\x00\x85" * LARGE
    ),
    "a string again and again": (
        b"c_codecs\nencode\nq\x01(X\x00\x00\x10\x00"
        + b"a" * (1 << 20)
        + b"X\x06\x00\x00\x00latin1tq\x00"
        + b"R0h\x01h\x00" * LARGE
    ),
    "lists in a list": b"(" + b"(Nl" * 100_000 + b"l.",
    "empty lists in a list": b"(" + b"]" * 100_000 + b"l.",
    "items again and again": b"](" + b"N" * LARGE + b"lq\x000" + b"(h\x00h\x00h\x00e" * LARGE,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path, monkeypatch, name):
    monkeypatch.setattr(budget, "_SLACK", SLACK)
    path = archive_of(tmp_path, b"\x80\x02" + BOMBS[name])
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ValueError, match=r"model\.pt"):
        rc.load(path)
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 4 * path.stat().st_size + SLACK
    assert seconds < 60


def test_a_memo_with_gaps(tmp_path):
    """Python 2 begins at 1."""
    path = archive_of(tmp_path, b"\x80\x02]q\x01K\x07q\x030h\x03a.")
    assert rc.load(path) == [7]
    for code in (b"Nq\xff.", b"Nr\xff\xff\xff\xff.", b"Nq\x01h\x00.", b"Nq\x01h\x02."):
        with pytest.raises(ValueError, match="remembered"):
            rc.load(archive_of(tmp_path, b"\x80\x02" + code))


def test_text_is_not_made_if_it_would_be_too_wide(tmp_path, monkeypatch):
    """One character that takes four bytes makes all take four."""
    monkeypatch.setattr(budget, "_SLACK", SLACK)
    size = 3 << 20
    for last, fits in (("\u00e9", True), ("\u0416", True), ("\U0001f600", False)):
        content = b"a" * (size - len(last.encode())) + last.encode()
        code = b"X" + struct.pack("<I", size) + content
        path = archive_of(tmp_path, b"\x80\x02" + code + code + b"\x86.")
        if fits:
            assert rc.load(path) == (content.decode(),) * 2
        else:
            with pytest.raises(ValueError, match="a text would take 12582912 bytes"):
                rc.load(path)


def test_an_array_in_a_pickle_may_be_most_of_a_file(tmp_path):
    values = np.random.default_rng(1).standard_normal(3_000_000)
    for protocol in (2, 4, 5):
        path = archive_of(tmp_path, pickle.dumps({"a": values}, protocol=protocol))
        np.testing.assert_array_equal(rc.load(path)["a"], values)


def test_a_vocabulary_of_300000_words(tmp_path):
    words = {f"word{n}": n for n in range(300_000)}
    path = archive_of(tmp_path, pickle.dumps(words, protocol=2))
    assert rc.load(path) == words


def test_references_that_double_cost_nothing(tmp_path):
    path = archive_of(tmp_path, b"\x80\x02N" + doubled(90) + b".")
    value = rc.load(path)
    for _ in range(90):
        assert value[0] is value[1]
        value = value[0]
    assert value is None
