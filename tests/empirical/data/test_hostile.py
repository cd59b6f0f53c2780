"""Files made to take memory or time: each is refused in one line, or read right, within bounds.

All are written by the functions below. A process reads each in a child of its own, whose memory and
time are limited and measured.
"""

import io
import json
import os
import socket
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wildmiddle.empirical.data.cifar import BINARY, PYTHON
from wildmiddle.theory.constants import DEFAULT_MEMORY

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits and measures a child as Linux does"
)

REFUSAL = 256 << 20  # bytes that a refusal may take; reading may take DEFAULT_MEMORY
SECONDS = 20.0  # of processor time; all take less than 3, but the machine may be slow
MEGABYTE = bytes(1 << 20)

READ = """
import json, os, resource, signal, sys, warnings
import numpy, PIL.Image, scipy.sparse, tqdm
from wildmiddle.empirical.data import DataError, DataWarning, load

def memory(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

warnings.simplefilter("ignore", DataWarning)  # small files look otherwise than bytes 0..255
limit, seconds = int(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin:
    case = json.loads(line)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + limit
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        signal.alarm(3 * seconds)  # for what waits instead of computing
        before = memory("VmRSS")
        try:
            data = load(case["path"], **case["options"])
            said = {"images": len(data.train) + len(data.test), "sha256": data.sha256}
        except DataError as error:
            said = {"refused": str(error)[:5000]}
        except BaseException as error:
            said = {"raised": repr(error)[:5000]}
        said["peak"] = memory("VmHWM") - before
        os.write(sender, json.dumps(said).encode())
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        content = pipe.read()
    _, status, used = os.wait4(child, 0)
    said = json.loads(content) if content else {"killed": status}
    said["seconds"] = used.ru_utime + used.ru_stime
    print(json.dumps(said), flush=True)
"""

Make = Callable[[Path], Path]
CASES: dict[str, tuple[Make, list[str], dict[str, Any]]] = {}


def case(*fragments: str, **options: Any) -> Callable[[Make], Make]:
    """A source that is refused with these fragments; read where there are none."""

    def register(make: Make) -> Make:
        CASES[make.__name__] = make, list(fragments), options
        return make

    return register


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of every case."""
    lines = []
    for name, (make, _, options) in CASES.items():
        folder = tmp_path_factory.mktemp(name[:30])
        lines.append(json.dumps({"path": str(make(folder)), "options": options}))
    command = [sys.executable, "-c", READ, str(DEFAULT_MEMORY), str(int(SECONDS))]
    run = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, check=True, timeout=400
    )
    assert run.stderr == ""
    found = [json.loads(line) for line in run.stdout.splitlines()]
    return dict(zip(CASES, found, strict=True))


# Tar archives


def header(name: str, size: int, kind: bytes = b"0", field: bytes | None = None) -> bytes:
    """512 bytes of ustar; `field` stands for the size where it is given."""
    content = bytearray(512)
    content[: len(name)] = name.encode()
    content[100:108] = b"0000644\0"
    content[124:136] = field or b"%011o\0" % size
    content[156:157] = kind
    content[257:265] = b"ustar\x0000"
    content[148:156] = b"%06o\0 " % (sum(content) + 8 * 32)
    return bytes(content)


def packed_zeros(megabytes: int, front: bytes = b"", back: bytes = b"") -> bytes:
    """`front`, zeros and `back` as a raw deflate stream, without packing every megabyte anew."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(front) + packer.flush(zlib.Z_FULL_FLUSH)
    one = packer.compress(MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + one * megabytes + packer.compress(back) + packer.flush()


def save_tar(folder: Path, front: bytes, megabytes: int = 0, back: bytes = b"") -> Path:
    crc = zlib.crc32(front)
    for _ in range(megabytes):
        crc = zlib.crc32(MEGABYTE, crc)
    crc = zlib.crc32(back, crc)
    size = (len(front) + (megabytes << 20) + len(back)) % 2**32
    content = packed_zeros(megabytes, front, back)
    path = folder / "a.tar.gz"
    path.write_bytes(b"\x1f\x8b\x08" + bytes(7) + content + struct.pack("<II", crc, size))
    return path


def batches() -> dict[str, bytes]:
    """Six batches of two images."""
    images = np.random.default_rng(0).integers(0, 10, (6, 2, 3073), dtype=np.uint8)
    return {name: images[i].tobytes() for i, name in enumerate(BINARY.batches)}


def honest_tar(path: Path, format: int, folder: str = BINARY.folder) -> Path:
    with tarfile.open(path, "w:gz", format=format) as archive:
        for name, content in batches().items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mtime = len(content), 1234567890.5  # pax keeps the fraction
            archive.addfile(member, io.BytesIO(content))
        long = tarfile.TarInfo("x" * 300)
        archive.addfile(long)
    return path


@case("holds no data_batch_1.bin")
def pax_record_of_300_megabytes(folder: Path) -> Path:
    return save_tar(folder, header("x", 300 << 20, b"x"), 300, header("x", 0) + bytes(1024))


@case("holds no data_batch_1.bin")
def long_name_of_300_megabytes(folder: Path) -> Path:
    return save_tar(folder, header("x", 300 << 20, b"L"), 300, header("x", 0) + bytes(1024))


@case("more than", "bytes when unpacked")
def pax_record_of_6_gigabytes(folder: Path) -> Path:
    return save_tar(folder, header("x", 6 << 30, b"x"), 8)


@case("holds no data_batch_1.bin")
def pax_record_that_is_slow_to_parse(folder: Path) -> Path:  # CVE-2024-6232
    return save_tar(folder, header("x", 1 << 20, b"x") + b"1" * (1 << 20) + header("x", 0))


@case("more than", "bytes when unpacked")
def zeros_behind_an_archive(folder: Path) -> Path:
    return save_tar(folder, header(f"{BINARY.folder}/readme", 0) + bytes(1024), 512)


@case("more than 10000 files")
def archive_of_many_files(folder: Path) -> Path:
    return save_tar(folder, header("x", 0) * 20_000 + bytes(1024))


@case("not a tar archive")
def archive_with_a_negative_size(folder: Path) -> Path:
    return save_tar(folder, header("x", 0, field=b"-0000000001\0"))


@case("8 GB")
def archive_with_a_binary_size(folder: Path) -> Path:
    return save_tar(folder, header("x", 0, field=b"\x80" + bytes(6) + b"\xff" * 5))


@case("cut inside a file")
def archive_that_is_cut(folder: Path) -> Path:
    return save_tar(folder, header(f"{BINARY.folder}/test_batch.bin", 3073) + bytes(100))


@case()
def honest_pax(folder: Path) -> Path:
    return honest_tar(folder / "a.tar.gz", tarfile.PAX_FORMAT)


@case()
def honest_gnu(folder: Path) -> Path:
    return honest_tar(folder / "a.tar.gz", tarfile.GNU_FORMAT, f"./{BINARY.folder}")


@case("more than 1073741824 bytes")
def batch_of_a_terabyte_of_holes(folder: Path) -> Path:
    path = folder / "a.bin"
    path.touch()
    os.truncate(path, 1 << 40)
    return path


# Pickles


def save_batch(folder: Path, body: bytes) -> Path:
    path = folder / PYTHON.train[0]
    path.write_bytes(b"\x80\x02" + body)
    return path


def array_of_shape(shape: bytes) -> bytes:
    """The opcodes of an array without bytes, of any shape."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U\x00tb"
    )


@case("do not fit")
def pickle_with_200_000_dimensions(folder: Path) -> Path:
    shape = b"(" + b"J\xff\xff\xff\x7f" * 200_000 + b"t"
    return save_batch(folder, b"}(U\x04data" + array_of_shape(shape) + b"u.")


@case("more than 1000000 opcodes")
def pickle_of_many_lists(folder: Path) -> Path:
    return save_batch(folder, b"]" * 20_000_000 + b".")


@case("left behind its end")
def pickle_of_deep_lists(folder: Path) -> Path:
    return save_batch(folder, b"]" * 400_000 + b"a" * 399_998 + b".")


# NumPy files


def npy(shape: str, descr: str = "'|u1'", version: int = 1, pad: int = 0) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * pad + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text


def save_npy(folder: Path, content: bytes) -> Path:
    path = folder / "a.npy"
    path.write_bytes(content)
    return path


def save_member(folder: Path, start: bytes, megabytes: int, claimed: int | None = None) -> Path:
    """An .npz file of one member, `images`: `start`, then zeros; it says `claimed` bytes."""
    packed = packed_zeros(megabytes, start)
    size = len(start) + (megabytes << 20) if claimed is None else claimed
    crc = zlib.crc32(start)
    for _ in range(megabytes):
        crc = zlib.crc32(MEGABYTE, crc)
    name = b"images.npy"
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + fields + name + packed
    central = b"PK\x01\x02\x14\0" + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path = folder / "a.npz"
    path.write_bytes(local + central + end)
    return path


@case("would take", "limit")
def npz_of_2_gigabytes(folder: Path) -> Path:
    return save_member(folder, npy("(2300, 1024, 1024)"), 2300)


@case()
def npz_of_20_megabytes_of_zeros(folder: Path) -> Path:
    return save_member(folder, npy("(20, 1024, 1024)"), 20)


@case("would take 1677721600 in memory", "limit")
def npz_of_200_megabytes_that_become_floats(folder: Path) -> Path:
    return save_member(folder, npy("(200, 1024, 1024)"), 200)


@case("would take", "limit")
def npz_of_many_images_of_a_pixel(folder: Path) -> Path:
    return save_member(folder, npy("(268435456, 1)"), 256)


@case("not what the file holds")
def npz_that_claims_4_gigabytes(folder: Path) -> Path:
    start = npy("(3072, 1024, 1024)")
    return save_member(folder, start, 1, len(start) + (3 << 30))


@case("not what the file holds")
def npz_that_says_less_than_it_holds(folder: Path) -> Path:
    return save_member(folder, npy("(1, 1024, 1024)"), 2)


@case("header")
def npz_with_a_header_of_a_gigabyte(folder: Path) -> Path:
    return save_member(folder, b"\x93NUMPY\x02\0" + struct.pack("<I", 1 << 30), 1024)


@case("20000 arrays", "one images")
def npz_of_many_arrays(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        for i in range(20_000):
            archive.writestr(f"{i}.npy", b"")
    return folder / "a.npz"


@case("packed in no way of NumPy")
def npz_packed_by_bzip2(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("images.npy", npy("(64, 1024, 1024)") + bytes(64 << 20))
    return folder / "a.npz"


@case("a.npz", "cannot be read")
def zip_that_names_itself_a_zip(folder: Path) -> Path:
    (folder / "a.npz").write_bytes(b"PK\x05\x06" + b"\xff" * 18)
    return folder / "a.npz"


@case("2600000000 bytes of pixels, but it holds 0")
def npy_of_200_bytes(folder: Path) -> Path:
    return save_npy(folder, npy("(325000000,)", "'<f8'"))


@case("bytes of pixels, but it holds 0")
def npy_of_more_than_64_bits(folder: Path) -> Path:
    return save_npy(folder, npy(f"({'9' * 60}, {'9' * 60})"))


@case("a.npy")
def npy_of_more_digits_than_python_prints(folder: Path) -> Path:
    return save_npy(folder, npy(f"({'9' * 4000}, {'9' * 4000})"))


@case("shape (-1, 4)")
def npy_of_a_negative_shape(folder: Path) -> Path:
    return save_npy(folder, npy("(-1, 4)"))


@case("but it holds 0")
def npy_of_empty_strings(folder: Path) -> Path:
    return save_npy(folder, npy("(1000000000000, 4)", "'|S0'"))


@case("a.npy", "cannot be read")
def npy_with_a_deep_header(folder: Path) -> Path:
    return save_npy(folder, npy("(" * 4000))


@case("a.npy", "cannot be read")
def npy_with_a_long_header(folder: Path) -> Path:
    return save_npy(folder, npy("(1, 1)", version=2, pad=1 << 20) + b"\0")


@case("but it holds 16")
def npy_that_holds_more_than_it_says(folder: Path) -> Path:
    return save_npy(folder, npy("(3, 4)") + bytes(16))


# What is no regular file


def image_folder(folder: Path) -> Path:
    for i in range(3):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(folder / f"{i}.png")
    return folder


@case("9.png: a pipe, a device")
def pipe_among_images(folder: Path) -> Path:
    os.mkfifo(image_folder(folder) / "9.png")
    return folder


@case("9.png: a pipe, a device, a socket")
def socket_among_images(folder: Path) -> Path:
    here = os.open(".", os.O_RDONLY)
    os.chdir(image_folder(folder))  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("9.png")
    finally:
        os.fchdir(here)
        os.close(here)
    return folder


@case("9.png: a pipe, a device")
def link_to_endless_zeros_among_images(folder: Path) -> Path:
    (image_folder(folder) / "9.png").symlink_to("/dev/zero")
    return folder


@case("9.png: a pipe", "broken link")
def link_to_itself_among_images(folder: Path) -> Path:
    (image_folder(folder) / "9.png").symlink_to("9.png")
    return folder


@case("9: a subfolder")
def link_to_the_folder_itself(folder: Path) -> Path:
    (image_folder(folder) / "9").symlink_to(".")
    return folder


@case("subfolder")
def parts_that_are_the_folder_itself(folder: Path) -> Path:
    (image_folder(folder) / "train").symlink_to(".")
    (folder / "test").symlink_to(".")
    return folder


@case()
def links_to_images(folder: Path) -> Path:
    (folder / "links").mkdir()
    (folder / "images").mkdir()
    for path in image_folder(folder / "images").iterdir():
        (folder / "links" / path.name).symlink_to(path)
    return folder / "links"


def pipe_of_the_name(name: str) -> Make:
    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


for its_name in ("a.npy", "a.npz", "a.tar.gz", "a.bin", "data_batch_1"):
    CASES[f"pipe {its_name}"] = pipe_of_the_name(its_name), [f"{its_name}: a pipe"], {}


@case("a.bin: a pipe, a device")
def link_to_endless_zeros(folder: Path) -> Path:
    (folder / "a.bin").symlink_to("/dev/zero")
    return folder / "a.bin"


# Images


def png(width: int, height: int, lines: bytes = b"", before: bytes = b"") -> bytes:
    """A gray PNG of zeros, or of what `lines` unpack to."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = lines or zlib.compress(bytes((width + 1) * height), 1)
    text = chunk(b"zTXt", before) if before else b""
    parts = chunk(b"IHDR", head) + text + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def repeat(folder: Path, content: bytes, count: int, suffix: str = ".png") -> Path:
    """A folder of the same image many times, which takes the place of one on the disk."""
    (folder / f"0{suffix}").write_bytes(content)
    for i in range(1, count):
        os.link(folder / f"0{suffix}", folder / f"{i}{suffix}")
    return folder


@case("0.png", "pixels")
def png_of_a_billion_pixels(folder: Path) -> Path:
    return repeat(folder, png(32_000, 32_000, b"x"), 3)


@case("0.png", "pixels")
def png_of_100_million_pixels(folder: Path) -> Path:  # of which Pillow warns
    return repeat(folder, png(10_000, 10_000, b"x"), 3)


@case("0.png", "8193x8193 pixels", "67108864")
def png_of_a_few_too_many_pixels(folder: Path) -> Path:
    return repeat(folder, png(8193, 8193, b"x"), 3)


@case("would take", "limit")
def images_that_do_not_fit_together(folder: Path) -> Path:
    return repeat(folder, png(4000, 4000), 100)


@case(size=8)
def large_images_made_small(folder: Path) -> Path:
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 6000), (1, 2, 3)).save(buffer, "PNG", compress_level=1)
    return repeat(folder, buffer.getvalue(), 3)


@case("0.png", "cannot be read")
def png_with_a_text_of_100_megabytes(folder: Path) -> Path:
    return repeat(folder, png(4, 4, before=b"k\0\0" + zlib.compress(bytes(100 << 20), 1)), 3)


@case("0.jpg", "scans", "baseline")
def jpeg_of_a_thousand_scans(folder: Path) -> Path:
    buffer = io.BytesIO()
    Image.new("L", (2048, 2048)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    at = content.rindex(b"\xff\xda")
    return repeat(folder, content[:at] + content[at:-2] * 1000 + content[-2:], 3, ".jpg")


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line_or_read(readings: dict[str, dict[str, Any]], name: str) -> None:
    _, fragments, _ = CASES[name]
    found = readings[name]
    assert found["seconds"] < SECONDS, found
    if not fragments:
        assert found.get("images", 0) >= 3, found
        assert found["peak"] < DEFAULT_MEMORY, found
        return
    message = found.get("refused", "")
    assert message, found
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    assert [part for part in fragments if part not in message] == [], message
    assert "MemoryError" not in message  # it was not asked for
    assert found["peak"] < REFUSAL, found
