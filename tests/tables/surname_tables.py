"""The surname model's files, and what reads the outputs of `score_table`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
SURNAMES = ROOT / "examples/surnames"
MODEL = SURNAMES / "census2010_ln_lstm.h5"
ROWS = 5000
NAMES = ["api", "black", "hispanic", "white"]


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix in (".arrow", ".feather"):
        return pa.feather.read_table(path)
    floats = {name: pa.float32() for name in NAMES}
    return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=floats))


def values(result, names=NAMES):
    return np.stack([result.column(name).to_numpy() for name in names], axis=1)


def left_in(directory):
    return sorted(path.name for path in directory.iterdir())
