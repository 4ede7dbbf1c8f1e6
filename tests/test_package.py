"""What holds for the package as a whole."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rnn_core as rc
from rnn_core._registry import LAYERS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rnn_core"

# Imports go downward only: a module sees those of the rows above its own.
FLOORS = [
    ["_typing", "_version", "_engine", "_blas"],
    [
        "_files",
        "_names",
        "_nest",
        "_numbers",
        "_progress",
        "_ragged",
        "_signatures",
        "_dtypes",
        "_dropout",
        "_threads",
        "formats",
    ],
    [
        "_graph",
        "_activations",
        "_initializers",
        "_convolution",
        "_arguments",
        "_kept",
        "_outputs",
        "_states",
        "_windows",
    ],
    ["_registry", "_weights", "backend"],
    ["_layer"],
    ["_input", "_protocol", "_recurrent"],
    ["_cells", "_stack", "_steps", "_stateful"],
    ["_rnn", "_layers", "_graph_config"],
    ["_rnn_layers", "_bidirectional", "_weight_paths", "_keras_config"],
    ["_saving"],
    ["_folding", "_conv_lstm", "_torch"],
    ["_padding", "_walk", "_network"],
    ["_duplicates"],
    ["_beginnings"],
    ["_sharing"],
    ["_predict"],
    ["_keras_weights"],
    ["_model", "layers"],
    ["_sequential", "_onnx"],
    ["importers", "_tables"],
    ["_scoring"],
    ["__init__"],
    ["_cli_models", "_cli_score"],
    ["_cli"],
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def imported(path):
    """Yield the modules of the package that a file imports when it is imported itself."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rnn_core"):
            parts = node.module.split(".")
            yield from parts[1:2] or [alias.name for alias in node.names]


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_go_downward(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imported(path):
        name = module if module in FLOOR_OF else "__init__"
        assert name == own or FLOOR_OF[name] < FLOOR_OF[own], f"{own} imports {module}"
        assert own != "formats" or name in ("formats", "_typing")


def test_importing_leaves_other_packages_alone():
    others = ("scipy", "h5py", "tqdm", "pyarrow")
    code = f"import sys, rnn_core; print([m for m in sys.modules if m in {others}])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_all_is_what_is_public():
    assert sorted(set(rc.__all__)) == sorted(rc.__all__)
    assert all(hasattr(rc, name) for name in rc.__all__)


def first_definitions(cls):
    """Yield the public methods and properties of a class, each from the base that begins it."""
    first = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("rnn_core"):
            for name, value in vars(base).items():
                first.setdefault(name, (base, getattr(value, "__func__", value)))
    for name, (base, value) in first.items():
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield f"{base.__name__}.{name}", value


def documented():
    """Return all public classes, functions and first definitions of methods, by name."""
    found = {name: getattr(rc, name) for name in [*rc.__all__, *rc.layers.__all__]}
    found |= {f"backend.{name}": getattr(rc.backend, name) for name in rc.backend.__all__}
    ours = {
        name: value
        for name, value in found.items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("rnn_core")
    }
    for cls in filter(inspect.isclass, [*ours.values()]):
        ours |= first_definitions(cls)
    return ours


@pytest.mark.parametrize(("name", "value"), sorted(documented().items()))
def test_public_docstrings(name, value):
    text = value.__doc__ or ""
    assert ">>> " in text, f"{name}: no doctest"
    if inspect.isclass(value) and issubclass(value, rc.Layer):
        assert re.search(r"``\([^`]*,[^`]*\)``", text), f"{name}: no shape"


def test_the_c_library_is_compiled_as_the_extension_is():
    flags = [
        re.findall(r"-m[a-z0-9]+", (ROOT / path).read_text())
        for path in ("setup.py", "pyx/kernels/Makefile")
    ]
    assert flags[0] == flags[1] != []


def test_a_c_program_compiles_against_the_header(tmp_path):
    source = tmp_path / "use.c"
    source.write_text(
        "#include <rnn_core.h>\n"
        "#include <stdio.h>\n"
        'int main(void) { return printf("%d.%d.%d", RNN_CORE_VERSION_MAJOR, '
        "RNN_CORE_VERSION_MINOR, RNN_CORE_VERSION_PATCH) < 0; }\n"
    )
    program = tmp_path / "use"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run(
        [*compiler, "-Wall", "-Werror", f"-I{rc.get_include()}", source, "-o", program], check=True
    )
    version = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert version == rc.__version__


@pytest.mark.skipif(sys.platform != "linux", reason="gcc's sanitizers")
def test_kernels_under_the_sanitizers(tmp_path):
    """Every activation and gate at every size around a vector, in arrays of exactly that size."""
    kernels = ROOT / "pyx/kernels"
    flags = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    objects = []
    x86 = os.uname().machine == "x86_64"
    v3 = ["-mavx2", "-mfma"]
    v4 = [*v3, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]
    isas = {"x86_64": [], "x86_64_v3": v3, "x86_64_v4": v4}
    for isa, registers in (isas if x86 else {"arm64": []}).items():
        objects.append(tmp_path / f"{isa}.o")
        source = kernels / f"{isa}.c"
        subprocess.run(["cc", *flags, *registers, "-c", source, "-o", objects[-1]], check=True)
    program = tmp_path / "check"
    sources = [ROOT / "tests/check_kernels.c", kernels / "dispatch.c"]
    subprocess.run(
        ["cc", *flags, f"-I{kernels}", *sources, *objects, "-lm", "-o", program], check=True
    )
    run = subprocess.run([program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "checked" in run.stdout


def test_files_can_name_public_layers_only():
    models = {"Model", "Sequential", "Functional"}
    named_in_files = {"Operation"}
    assert set(LAYERS) - models - named_in_files <= set(rc.layers.__all__)
