"""The finished parts of a result, on disk, from which an interrupted run goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from rnn_core._scoring.journal import csv_line, difference, on_one_line

_JOURNAL = "journal.json"
_REPORT = ".errors.csv"


class Parts:
    """A directory ``OUTPUT.parts`` of whole files, each a part of the rows, and a journal.

    The journal says which run they are of. A part is there under its name once it is on the disk.

    Args:
        output: what they are joined to.
        suffix: of the parts' names.
    """

    def __init__(self, output: Path, suffix: str) -> None:
        self.output, self._suffix = output, suffix
        self.directory = output.with_name(output.name + ".parts")
        self.report = output.with_name(output.name + _REPORT)

    @contextmanager
    def held(self, run: dict[str, Any], resume: bool, overwrite: bool) -> Iterator[None]:
        """Be ready for a run, or to go on with one, and keep other processes out.

        Args:
            run: what decides the result, as plain data.
            resume: go on from the finished parts, if there are any.
            overwrite: begin anew if there are some.

        Raises:
            ValueError: there are finished parts and neither is asked for; they are of another run.
        """
        if self.directory.exists() and not overwrite:
            if not resume and self.finished():
                raise ValueError(
                    f"{self.directory} holds {len(self.finished())} finished parts of an "
                    "interrupted run: go on with resume, or start over with overwrite"
                )
            self._check(run)
        self.directory.mkdir(exist_ok=True)
        with open(self.directory / "lock", "wb") as lock:
            self._take(lock)
            if overwrite:
                for part in reversed(self.finished()):
                    part.unlink()
            with self._placing(self.directory / _JOURNAL) as file:
                file.write(json.dumps(run, indent=1).encode())
            yield

    def _take(self, lock: BinaryIO) -> None:
        """Lock a file until it is closed, also by the process's end."""
        try:
            import fcntl
        except ImportError:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"another process is writing to {self.directory}") from None

    def _check(self, run: dict[str, Any]) -> None:
        """Raise ValueError if the finished parts are those of another run."""
        if not self.finished():
            return
        try:
            found = difference(json.loads((self.directory / _JOURNAL).read_text()), run)
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"cannot resume: {self.directory / _JOURNAL} is broken") from error
        if found is not None:
            key, was, now = found
            raise ValueError(
                f"cannot resume: {key} differs from that of {self.directory}: "
                f"it was {was!r}, it is {now!r}; start over with overwrite"
            )

    def path(self, index: int) -> Path:
        """Return the place of a part."""
        return self.directory / f"part-{index:06}{self._suffix}"

    def finished(self) -> list[Path]:
        """Return the parts that are there, from the first without a gap."""
        found: list[Path] = []
        while self.path(len(found)).exists():
            found.append(self.path(len(found)))
        return found

    def rows(self) -> list[int]:
        """Return the numbers of rows of the parts that are there."""
        return [note["rows"] for note in self._notes()]

    def _notes(self) -> list[dict[str, Any]]:
        count = len(self.finished())
        return [json.loads(self._note(index).read_text()) for index in range(count)]

    def add(
        self,
        index: int,
        rows: int,
        faults: Iterable[Sequence[Any]],
        write: Callable[[BinaryIO], None],
    ) -> None:
        """Write a part, its number of rows, and which of them have no scores."""
        with self._placing(self._note(index)) as file:
            note = {"rows": rows, "faults": [list(map(str, fault)) for fault in faults]}
            file.write(json.dumps(note).encode())
        with self._placing(self.path(index)) as file:
            write(file)

    def _note(self, index: int) -> Path:
        return self.directory / f"part-{index:06}.json"

    def join(
        self, write: Callable[[Sequence[Path], BinaryIO], None], head: Sequence[str] | None
    ) -> tuple[int, int]:
        """Make the output of the parts, which go then.

        Args:
            write: writes the rows of parts to a file.
            head: the first line of the report of rows without scores, or None for no report.

        Returns the numbers of all rows and of those without scores.
        """
        parts = self.finished()
        notes = self._notes()
        if head is not None:
            with self._placing(self.report) as file:
                file.write(csv_line(head))
                faults = (fault for note in notes for fault in note["faults"])
                file.writelines(csv_line(map(on_one_line, fault)) for fault in faults)
        with self._placing(self.output) as file:
            write(parts, file)
        self.drop()
        return sum(note["rows"] for note in notes), sum(len(note["faults"]) for note in notes)

    def drop(self) -> None:
        """Remove the parts, the last first, so that what is left can be resumed at any moment."""
        for part in reversed(self.finished()):
            part.unlink()
        shutil.rmtree(self.directory)

    @contextmanager
    def _placing(self, path: Path) -> Iterator[BinaryIO]:
        """Yield a file that is under its name once it is whole and on the disk."""
        temporary = self.directory / "unfinished"
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
