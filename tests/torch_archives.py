"""Zip archives as torch.save makes them, from their members."""

import zipfile

# Memory beside four times the file, where a test would take too long with 64 MB.
SLACK = 4 << 20


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def archive_of(tmp_path, content, **members):
    path = tmp_path / "model.pt"
    members = {name.replace("_", "/"): value for name, value in members.items()}
    all_members = {"data.pkl": content, "version": b"3\n", **members}
    return write(path, {f"model/{name}": value for name, value in all_members.items()})
