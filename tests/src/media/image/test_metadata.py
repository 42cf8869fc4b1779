"""Positions in image files: counted, and nowhere in the pixels."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from headrace.media.image.files import decode_files
from headrace.pipeline import DataSpec
from headrace.records import Form
from headrace.stages.ingestion import ingest
from headrace.state.store import Store

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,12.5N"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def encoded(kind, *, exif=False, gps=False, xmp=b""):
    """An image file with some metadata."""
    image = Image.fromarray(np.full((8, 8, 3), (200, 10, 90), np.uint8))
    tags = Image.Exif()
    if exif:
        tags[315] = "Ada"  # the artist
        tags.get_ifd(34665)[36867] = "2026:11:27 12:00:00"
    if gps:
        place = (IFDRational(48), IFDRational(12), IFDRational(30))
        tags.get_ifd(34853).update({1: "N", 2: place, 3: "E", 4: place})
    options = {"xmp": xmp} if xmp else {}
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=tags, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_file_is_counted_once(kind):
    files = [
        encoded(kind),
        encoded(kind, exif=True),
        encoded(kind, exif=True, gps=True),
    ]
    decoded = decode_files(files, Form(shape=None))
    assert not decoded.notes
    assert decoded.file_counts["positions"] == 1
    assert all(np.array_equal(item, decoded.items[0]) for item in decoded.items)


def test_a_position_in_the_tags_of_a_tiff_counts():
    buffer, place = io.BytesIO(), (IFDRational(48), IFDRational(12), IFDRational(30))
    tags = ImageFileDirectory_v2()
    tags[34853] = {1: "N", 2: place}
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    image.save(buffer, "TIFF", tiffinfo=tags)
    decoded = decode_files([encoded("TIFF"), buffer.getvalue()], Form(shape=None))
    assert decoded.file_counts["positions"] == 1


def test_a_position_may_be_in_xmp_alone():
    decoded = decode_files([encoded("JPEG", xmp=XMP)], Form(shape=None))
    assert decoded.file_counts["positions"] == 1


def test_exif_that_cannot_be_read_is_not_counted():
    data = encoded("JPEG", gps=True).replace(b"MM\0*", b"MM\xff\xff")
    decoded = decode_files([data], Form(shape=None))
    assert decoded.file_counts["positions"] == 0
    assert isinstance(decoded.items[0], np.ndarray)


def test_the_ingestion_warns_of_positions(settings, tmp_path):
    for number in range(12):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        tags = Image.Exif()
        if number < 3:
            place = (IFDRational(48), IFDRational(12), IFDRational(30))
            tags.get_ifd(34853).update({1: "N", 2: place})
        Image.fromarray(pixels).save(folder / f"{number}.jpg", exif=tags)
    data = DataSpec(source=str(tmp_path / "images"))
    snapshot = ingest(data, "image", Store(settings.store), settings)
    [finding] = [f for f in snapshot.findings if f.check == "personal_data"]
    assert finding.count == 3
    assert finding.message.startswith("3 files say where they were made (GPS).")
