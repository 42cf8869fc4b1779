"""Files that are small and decode to far more than a machine has."""

import io
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


def _png(pixels):
    from PIL import Image

    is_size = isinstance(pixels, tuple)
    image = Image.new("L", pixels) if is_size else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def images(folder):
    """150 images of 7,000 x 7,000 behind 60 small ones: 7 MB, decoded 7.4 GB."""
    chance = np.random.default_rng(0)
    for row in range(60):
        path = folder / "data" / "ab"[row % 2] / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(chance.integers(0, 255, (8, 8), np.uint8)))
    large = _png((7000, 7000))
    for row in range(150):
        (folder / "data" / "b" / f"z{row:03}.png").write_bytes(large)
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


def members(folder):
    """A zip of which a member unpacks to a gigabyte."""
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("a/huge.png", "w", force_zip64=True) as file:
            for _ in range(1024):
                file.write(bytes(2**20))
    return path
