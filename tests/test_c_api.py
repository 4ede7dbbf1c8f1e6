"""The C library: against loops of its own, under gcc's sanitizers, and the example."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import _engine

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "pyx/kernels"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = {
    "plain": "-O1",
    "addresses": "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all",
    "threads": "-O1 -g -fsanitize=thread",
}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not (shutil.which("gcc") and shutil.which("make")),
    reason="no gcc and make",
)


def execute(*command, **variables):
    """Return what a command prints in an environment with these too; fail with what it says."""
    environment = {**os.environ, **variables}
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert run.returncode == 0, run.stderr + run.stdout
    return run.stdout


def build(folder, flags):
    jobs = f"-j{os.cpu_count()}"
    execute("make", jobs, "-C", KERNELS, f"BUILD={folder}", "CC=gcc", f"CFLAGS={flags}")
    return folder / "librnn_core.a"


def link(source, library, program, *flags):
    includes = f"-I{rc.get_include()}", f"-I{KERNELS}"
    execute("gcc", *WARNINGS, *flags, *includes, source, library, "-lm", "-lpthread", "-o", program)
    return program


@pytest.fixture(scope="module")
def plain_library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("plain"), SANITIZERS["plain"])


@pytest.fixture(scope="module", params=SANITIZERS)
def library(request, tmp_path_factory, plain_library):
    """The library with each sanitizer, and its flags."""
    flags = SANITIZERS[request.param].split()
    if request.param == "plain":
        return plain_library, flags
    folder = tmp_path_factory.mktemp(request.param)
    source, program = folder / "empty.c", folder / "empty"
    source.write_text("int main(void) { return 0; }\n")
    for command in (["gcc", *flags, source, "-o", program], [program]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("gcc's sanitizer does not run here")
    # The library takes the best instruction set only: instrumenting the others is time lost.
    for isa in plain_library.parent.glob("*_64*.o"):
        if isa.stem != _engine.available_isas()[0]:
            shutil.copy(isa, folder)
    return build(folder, " ".join(flags)), flags


@pytest.mark.parametrize("name", ["check_c_api", "check_pool"])
def test_the_library(name, library, tmp_path):
    """Its checks, in arrays of exactly the size that it is told, with many threads at once."""
    archive, flags = library
    program = link(ROOT / f"tests/{name}.c", archive, tmp_path / name, *flags)
    assert execute(program) == f"checked {_engine.available_isas()[0]}\n"


def example_layer():
    """Return the layer of examples/step.c."""
    layer = rc.LSTM(8)
    layer.build((1, None, 1))
    kernel = 0.03 * (np.arange(32) % 7 - 3)
    recurrent_kernel = 0.05 * (np.arange(8 * 32) % 5 - 2)
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], 8)
    layer.set_weights([kernel.reshape(1, 32), recurrent_kernel.reshape(8, 32), bias])
    return layer


def test_the_example(plain_library, tmp_path):
    example = link(ROOT / "examples/step.c", plain_library, tmp_path / "step")
    printed = execute(example)
    assert printed.startswith(f"{_engine.available_isas()[0]}, after 48000 samples:")
    numbers = [float(text) for text in re.findall(r"-?\d+\.\d{6}", printed)]
    x = (np.arange(48000) % 100 / 100).astype(np.float32).reshape(1, -1, 1)
    np.testing.assert_allclose(numbers, example_layer()(x)[0], atol=2e-6)


def test_the_environment_chooses_the_instruction_set(plain_library, tmp_path):
    program = link(ROOT / "tests/check_c_api.c", plain_library, tmp_path / "check")
    for isa in _engine.available_isas():
        assert execute(program, RNN_CORE_ISA=isa) == f"checked {isa}\n"
    source = tmp_path / "use.c"
    source.write_text(
        "#include <rnn_core.h>\n"
        "int main(void) {\n"
        "    const float w[4] = {0};\n"
        "    rnn_core_config c = {RNN_CORE_SIMPLE_RNN, 1, 1, w, w, w, NULL, NULL, NULL};\n"
        "    return !!rnn_core_isa() + (rnn_core_layer_create(&c) != NULL);\n"
        "}\n"
    )
    program = link(source, plain_library, tmp_path / "use")
    run = subprocess.run(program, env={"RNN_CORE_ISA": "z80"}, check=False)
    assert run.returncode == 0


def test_a_shared_object_takes_the_library(plain_library, tmp_path):
    source, plugin = tmp_path / "plugin.c", tmp_path / "plugin.so"
    source.write_text(
        "#include <rnn_core.h>\n"
        "void run(const rnn_core_layer *layer, const rnn_core_sequences *s, void *memory) {\n"
        "    rnn_core_run(layer, s, memory);\n"
        "}\n"
    )
    link(source, plain_library, plugin, "-shared", "-fPIC")
    isa = ctypes.CDLL(str(plugin)).rnn_core_isa
    isa.restype = ctypes.c_char_p
    assert isa().decode() in _engine.available_isas()


def test_a_cpp_compiler_takes_the_header(plain_library, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("no g++")
    source = tmp_path / "use.cpp"
    source.write_text(
        "#include <rnn_core.h>\n#include <cstdio>\n"
        'int main() { return std::printf("%s", rnn_core_isa()) < 0; }\n'
    )
    program = tmp_path / "use"
    flags = "-Wall", "-Wextra", "-Werror", f"-I{rc.get_include()}"
    execute("g++", *flags, source, plain_library, "-lm", "-lpthread", "-o", program)
    assert execute(program) == _engine.available_isas()[0]
