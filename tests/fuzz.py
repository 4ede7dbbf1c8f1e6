"""Load damaged copies of model files: nothing but ValueError, no hang, no more memory than allowed.

    python tests/fuzz.py FILE... --count 100000

Prints how many copies each file's reader took and refused. Ends with an error if one raises
something else, takes more than a second of the processor, or needs more than four times the file's
size and 64 MB.
Linux only.
"""

import argparse
import resource
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np

import rnn_core

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
SECONDS = 1.0


def damaged(content, rng):
    """Return a copy with a few bytes, integers or stretches changed, or cut off."""
    copy = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(copy)))
        kind = rng.integers(5)
        if kind == 0:
            copy[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            copy[at] = int(rng.integers(256))
        elif kind == 2:
            width = int(rng.choice([1, 2, 4, 8]))
            value = int(rng.choice(len(EXTREMES)))
            copy[at : at + width] = (EXTREMES[value] % 256**width).to_bytes(width, "little")
        elif kind == 3:
            start, size = int(rng.integers(len(copy))), int(rng.integers(1, 65))
            copy[at : at + size] = copy[start : start + size]
        elif rng.integers(10) == 0:
            del copy[at + 1 :]
    return bytes(copy)


def damaged_archive(content, rng):
    """Return a copy of a zip archive of which one member, whose checksum is right, is damaged."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    target = list(members)[rng.integers(len(members))]
    copy = BytesIO()
    with zipfile.ZipFile(copy, "w") as archive:
        for info, data in members.items():
            archive.writestr(info, damaged(data, rng) if info is target and data else data)
    return copy.getvalue()


def ran_out_of_memory(error):
    return isinstance(error, MemoryError) or (
        error is not None and ran_out_of_memory(error.__cause__ or error.__context__)
    )


def virtual_bytes():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def fuzz(source, count, seed=0):
    """Load damaged copies of a file; return how many loaded."""
    content = source.read_bytes()
    rng = np.random.default_rng(seed)
    loaded = 0
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"model{source.suffix}")
        path.write_bytes(content)
        rnn_core.load(path)
        limit = virtual_bytes() + 5 * len(content) + (64 << 20)  # one is the memory map
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        for index in range(count):
            inside = zipfile.is_zipfile(source) and index % 2
            copy = (damaged_archive if inside else damaged)(content, rng)
            path.write_bytes(copy)
            start = time.process_time()
            try:
                rnn_core.load(path)
                loaded += 1
            except ValueError as error:
                if ran_out_of_memory(error):
                    raise RuntimeError(f"copy {index} of {source} takes too much memory") from error
            except BaseException:
                print(f"copy {index} of {source}", file=sys.stderr)
                raise
            if time.process_time() - start > SECONDS:
                raise RuntimeError(f"copy {index} of {source} took more than {SECONDS} s")
    return loaded


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for source in options.files:
        loaded = fuzz(source, options.count, options.seed)
        print(f"{source}: {loaded} copies loaded, {options.count - loaded} refused")


if __name__ == "__main__":
    main()
