"""Files that are small and decode to far more than a machine has."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def _write(folder, table):
    path = folder / "data.parquet"
    options = {"compression": "zstd", "write_statistics": False, "store_schema": False}
    pq.write_table(table, path, row_group_size=2**30, data_page_size=2**30, **options)
    return path


def _same(value, rows):
    """One value in all rows, which is stored once."""
    places = pa.array(np.zeros(rows, np.int8))
    return pa.DictionaryArray.from_arrays(places, pa.array([value]))


def _labels(rows):
    return pa.array(["a", "b"] * (rows // 2))


def long_value(folder):
    """5 kB: one text of 50 MB in 100 rows, 5 GB."""
    text = _same("ab " * (50_000_000 // 3), 100)
    return _write(folder, pa.table({"text": text, "label": _labels(100)}))


def long_image(folder):
    """5 kB: one image of 50 MB in 100 rows, 5 GB."""
    image = _same(b"\x89PNG" * (50_000_000 // 4), 100)
    return _write(folder, pa.table({"image": image, "label": _labels(100)}))


def lists(folder):
    """460 bytes: one row of 200 million zeros."""
    count = 200_000_000
    values = pa.array(np.zeros(count, np.uint8))
    image = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), values)
    return _write(folder, pa.table({"image": image, "label": ["a"]}))


def many_rows(folder):
    """60 kB: 16 million rows of one short text."""
    text, label = (_same(value, 2**24) for value in ("hello", "a"))
    return _write(folder, pa.table({"text": text, "label": label}))


def rows_after_rows(folder):
    """Short texts, and behind them 300 that take 8 MB each."""
    path = folder / "data.parquet"
    schema = pa.schema({"text": pa.string(), "label": pa.string()})
    long = "a word " * (8 * 2**20 // 7)
    options = {"compression": "zstd", "use_dictionary": False, "data_page_size": 2**30}
    with pq.ParquetWriter(path, schema, write_statistics=False, **options) as writer:
        few = [f"text {row}" for row in range(3000)]
        writer.write_table(pa.table({"text": few, "label": _labels(3000)}, schema))
        for _ in range(10):
            some = [f"{row} {long}" for row in range(30)]
            writer.write_table(pa.table({"text": some, "label": _labels(30)}, schema))
    return path


def wide_parquet(folder):
    """20,000 columns."""
    names = [f"c{number}" for number in range(19_998)]
    cells = pa.array(["some text", "another"])
    columns = {**dict.fromkeys(names, cells), "text": cells, "label": _labels(2)}
    return _write(folder, pa.table(columns))


def wide_csv(folder):
    """20,000 columns."""
    path = folder / "data.csv"
    header = ",".join([*(f"c{number}" for number in range(19_998)), "text", "label"])
    row = "x," * 19_998
    path.write_text("\n".join([header, *(f"{row}hello {n},a" for n in range(9))]))
    return path


def many_keys(folder):
    """JSON lines, each with a key of its own."""
    path = folder / "data.jsonl"
    objects = ({"text": "a", "label": "b", f"k{row}": row} for row in range(30_000))
    path.write_text("\n".join(map(json.dumps, objects)))
    return path


def _png(pixels):
    from PIL import Image

    is_size = isinstance(pixels, tuple)
    image = Image.new("L", pixels) if is_size else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _behind_small(folder, side, count):
    chance = np.random.default_rng(0)
    for row in range(60):
        path = folder / "data" / "ab"[row % 2] / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(chance.integers(0, 255, (8, 8), np.uint8)))
    large = _png((side, side))
    for row in range(count):
        (folder / "data" / "b" / f"z{row:03}.png").write_bytes(large)
    return folder / "data"


def images(folder):
    """150 images of 7,000 x 7,000 behind 60 small ones: 7 MB, decoded 7.4 GB."""
    return _behind_small(folder, 7000, 150)


def smaller_images(folder):
    """The same, of a size of which single ones are taken: 3.8 GB."""
    return _behind_small(folder, 5700, 120)


def equal_images(folder):
    """60 equal images of 5,700 x 5,700, each of which could be taken."""
    rows, columns = np.ogrid[:5700, :5700]
    pixels = ((rows // 3 + columns // 5) % 251).astype(np.uint8)
    data = _png(pixels)
    for row in range(60):
        path = folder / "data" / "ab"[row % 2] / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "data"


def sounds(folder):
    """48 FLAC files of silence: 3 MB, decoded 3.2 GB."""
    import soundfile

    buffer = io.BytesIO()
    silence = np.zeros((2**24, 2), np.int16)
    soundfile.write(buffer, silence, 48_000, format="FLAC", subtype="PCM_16")
    for row in range(48):
        path = folder / "data" / "ab"[row % 2] / f"{row}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    return folder / "data"


def _npz(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def wide_row(folder):
    """One image of 40 MB in a row."""
    return _npz(folder, x=np.zeros((1, 4000, 10_000), np.uint8), y=np.zeros(1))


def wide_labels(folder):
    """Labels of ten million characters each."""
    labels = np.array(["a" * 10_000_000, "b"])
    return _npz(folder, x=np.zeros((2, 4, 4), np.uint8), y=labels)


def quotes(folder):
    """One row of a CSV that goes on for 8 million lines, packed."""
    path = folder / "data.csv.gz"
    text = 'text,label\nhello,a\nyou,b\n"' + '","\n' * 8_000_000
    path.write_bytes(gzip.compress(text.encode(), 1))
    return path


def packed(folder):
    """A hundred megabytes of CSV in a few bytes."""
    path = folder / "data.csv.bz2"
    path.write_bytes(bz2.compress(b"text,label\n" + b"hello you,a\n" * 2**23, 1))
    return path


def dictionary_of_xz(folder):
    """An xz file that asks for a dictionary of 1.5 GB."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1536 * 2**20}]
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=filters)
    data = packer.compress(b"text,label\n" + b"hello,a\nyou,b\n" * 1000)
    path = folder / "data.csv.xz"
    path.write_bytes(data + packer.flush())
    return path


def long_name(folder):
    """A tar whose one member has a name of 600 MB, packed."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 600 * 2**20
    noise = np.random.default_rng(0).bytes(7 * 2**20)
    path = folder / "data.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        member = tarfile.TarInfo("noise")
        member.size = len(noise)
        file.write(member.tobuf(tarfile.GNU_FORMAT) + noise)
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(600):
            file.write(b"a" * 2**20)
        file.write(bytes(1024))
    return path


def members(folder):
    """A zip of which a member unpacks to a gigabyte."""
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("a/huge.png", "w", force_zip64=True) as file:
            for _ in range(1024):
                file.write(bytes(2**20))
    return path


def _promising_less(folder, method):
    """A zip of one member of 1.9 GB that is said to have 100,000 bytes."""
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        with archive.open("a/huge.png", "w") as file:
            for _ in range(1900):
                file.write(bytes(2**20))
    data = bytearray(path.read_bytes())
    promised = struct.pack("<I", 100_000)
    entry = data.rindex(b"PK\x01\x02")
    data[22:26] = data[entry + 24 : entry + 28] = promised
    path.write_bytes(data)
    return path


def zip_of_bzip2(folder):
    """1.5 kB, which are unpacked in one piece."""
    return _promising_less(folder, zipfile.ZIP_BZIP2)


def idx(folder):
    """An IDX file whose header promises 65,535 x 65,535."""
    for split in ("train", "t10k"):
        header = struct.pack(">BBBB3I", 0, 0, 8, 3, 1, 65_535, 65_535)
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header))
        label = struct.pack(">BBBBI", 0, 0, 8, 1, 1) + b"\0"
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(label))
    return folder


def scans(folder):
    """JPEG files of 5,000 scans each over 12 million pixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (4000, 3000)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    data = data[:start] + scan * 2000 + data[-2:]
    for row in range(4):
        path = folder / "data" / "ab"[row % 2] / f"{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "data"


def texts(folder):
    """Texts of 200 MB, empty but for their size."""
    for row in range(6):
        path = folder / "data" / "ab"[row % 2] / f"{row}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(b"text")
            file.truncate(200 * 2**20)
    return folder / "data"
