"""The extension modules, and the kernels once per instruction set. The rest: pyproject.toml."""

import compileall
import glob
import platform

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = "pyx/kernels"
HEADERS = sorted(glob.glob(f"{KERNELS}/*.h"))
# What is the same on every ISA.
NAMES = (
    "dispatch",
    "pack",
    "batch",
    "block",
    "sequence",
    "nodes",
    "order",
    "projection",
    "threads",
)
COMMON = [f"{KERNELS}/{name}.c" for name in NAMES]
# What dispatch.c probes for: the parts of the psABI levels that the kernels use.
V3 = ["-mavx2", "-mfma"]
V4 = [*V3, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]
ISA_FLAGS = {
    "x86_64": {"x86_64": [], "x86_64_v3": V3, "x86_64_v4": V4},
    "arm64": {"arm64": []},
}
MACHINE = {"AMD64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
if MACHINE not in ISA_FLAGS:
    raise SystemExit(f"rnn_core has no kernels for {MACHINE}, only for {', '.join(ISA_FLAGS)}")
# gnu11 with contraction: -std=c11 yields no fused multiply-add.
C_FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=fast", "-fPIC", "-fvisibility=hidden"]

libraries = [
    (
        f"rnn_kernels_{isa}",
        {
            "sources": [f"{KERNELS}/{isa}.c"],
            "obj_deps": {"": HEADERS},
            "cflags": [*C_FLAGS, *flags],
        },
    )
    for isa, flags in ISA_FLAGS[MACHINE].items()
]
macros = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]
extensions = [
    Extension(
        "rnn_core._engine",
        ["pyx/_engine.pyx", *COMMON],
        include_dirs=["pyx", numpy.get_include()],
        define_macros=macros,
        extra_compile_args=["-O2"],
        depends=HEADERS,
    ),
    Extension("rnn_core._blas", ["pyx/_blas.pyx"], extra_compile_args=["-O2"]),
]

setup(
    libraries=libraries,
    ext_modules=cythonize(
        extensions,
        include_path=["pyx"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
        },
    ),
)

# pip byte-compiles what it installs, but not what an editable install points to.
compileall.compile_dir("rnn_core", quiet=2)
