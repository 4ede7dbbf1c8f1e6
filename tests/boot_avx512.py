"""Runs the C tests with AVX-512 on a machine that has none: in Linux in the emulator Bochs.

    apt-get install bochs bochsbios vgabios isolinux syslinux-common genisoimage busybox-static
    apt-get download linux-image-cloud-amd64       # or the package it names: dpkg -x makes VMLINUZ
    PYTHONPATH=. python tests/boot_avx512.py VMLINUZ /bin/busybox

Takes a minute or two; the ISAs that ran and the largest errors are printed.
"""

import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from test_cross import build, execute, judge, link, write_cases

PROGRAMS = ["check_c_api", "check_kernels", "check_values"]

BOOT_FILES = ["/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32"]
# Bochs reports the size of the compacted XSAVE area wrongly, so that Linux would do without AVX.
ISOLINUX = """default linux
prompt 0
label linux
kernel vmlinuz
append initrd=initrd console=ttyS0,115200 clearcpuid=xsaves,xsavec mitigations=off panic=-1 quiet
"""
BOCHS = """config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=corei7_skylake_x, ips=100000000, reset_on_triple_fault=0
memory: guest=512, host=512
boot: cdrom
ata0-master: type=cdrom, path={folder}/boot.iso, status=inserted
com1: enabled=1, mode=file, dev={folder}/serial
log: {folder}/log
panic: action=fatal
"""
INIT = "\n".join(
    [
        "#!/busybox sh",
        *(f"/{name} || echo FAILED {name}" for name in PROGRAMS[:-1]),
        "echo VALUES; /check_values /cases; echo END; /busybox poweroff -f",
    ]
)
TIMEOUT = 1200


def archive_entry(name, mode, data=b"", device=(0, 0)):
    """Return an entry of a cpio archive, format newc."""
    fields = [1, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return b"".join(part + bytes(-len(part) % 4) for part in (head, data))


def first_files(folder, busybox):
    """Return the files that Linux begins with, which it runs /init of."""
    library = build(folder, ["gcc"])
    programs = {name: link(name, library, ["gcc"], "-static").read_bytes() for name in PROGRAMS}
    files = {"init": INIT.encode(), "busybox": busybox.read_bytes(), **programs}
    files["cases"] = (folder / "cases").read_bytes()
    entries = [archive_entry(name, 0o100755, data) for name, data in files.items()]
    console = [archive_entry("dev", 0o40755), archive_entry("dev/console", 0o20600, b"", (5, 1))]
    return gzip.compress(b"".join([*console, *entries, archive_entry("TRAILER!!!", 0)]), 1)


def boot(folder, kernel, initrd):
    """Return what the emulated machine writes to its serial port, by the time it says END."""
    disc = folder / "disc"
    disc.mkdir()
    for name, data in {"vmlinuz": kernel, "initrd": initrd, "isolinux.cfg": ISOLINUX}.items():
        (disc / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    for file in BOOT_FILES:
        shutil.copy(file, disc)
    flags = "-no-emul-boot -boot-load-size 4 -boot-info-table -b isolinux.bin -c catalog"
    execute("genisoimage", "-quiet", "-o", folder / "boot.iso", *flags.split(), disc)
    (folder / "bochsrc").write_text(BOCHS.format(folder=folder))
    (folder / "debugger").write_text("c\n")
    command = "bochs", "-q", "-f", folder / "bochsrc", "-rc", folder / "debugger"
    nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    bochs = subprocess.Popen(command, **nowhere)
    try:
        for _ in range(TIMEOUT):
            time.sleep(1)
            serial = folder / "serial"
            text = serial.read_text(errors="replace") if serial.exists() else ""
            if "\nEND" in text or bochs.poll() is not None:
                return text.replace("\r", "")
        raise TimeoutError(f"no END after {TIMEOUT} seconds:\n{text[-2000:]}")
    finally:
        bochs.kill()


def main(kernel, busybox):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = write_cases(folder / "cases")
        printed = boot(folder, Path(kernel).read_bytes(), first_files(folder, Path(busybox)))
    checks, _, values = printed.partition("VALUES\n")
    print(checks)
    lines = [line for line in values.partition("END")[0].splitlines() if line.startswith("x86_64")]
    isas, largest = judge("\n".join(lines), count)
    assert "x86_64_v4" in isas, f"the emulator ran {isas} only"
    assert "FAILED" not in checks
    print(sorted(isas), largest)


if __name__ == "__main__":
    main(*sys.argv[1:])
