"""What the README shows must run as it stands, from the root of a clone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_python(block, tmp_path):
    for name in ("examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    run = subprocess.run(
        [sys.executable, "-c", BLOCKS[block]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_surname_command_names_files_and_options_that_exist(tmp_path):
    line = re.search(r"rnn-core score .*", (ROOT / "README.md").read_text())[0]
    words = line.replace("surnames.csv --columns", f"{tmp_path}/surnames.csv --columns").split()
    run = subprocess.run(
        [sys.executable, "-m", "rnn_core._cli", *words[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "162,254 rows in " in run.stdout
    with open(tmp_path / "surnames.csv") as file:
        assert file.readline() == "name,api,black,hispanic,white\n"
        assert file.readline().startswith("SMITH,0.0083")
        assert sum(1 for _ in file) == 162_253
