"""Sound files: decoded to mono int16 samples at one sample rate, and their sizes.

libsndfile decides whether a file can be read; the lengths that it declares are compared
with what is there. Only plain WAV files, which hold the samples as they are to be, are
read without it.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from headrace.display.signs import beginning
from headrace.media.audio import headers, samples
from headrace.media.audio.headers import Unfit
from headrace.media.chunks import Chunk
from headrace.media.forms import Decoded, Payload, Problem, Sizes
from headrace.records import Form

FILE_FORMATS = ("WAV", "FLAC", "OGG", "MP3", "AIFF", "AU")
_FRAMES_AT_ONCE = 2**16
# Frames that the resampler needs beyond the end.
_MARGIN = 2_048
_THREADS = min(4, os.cpu_count() or 1)
_FILES_PER_THREAD = 16
# Handing shorter sounds to threads takes longer than decoding them.
_THREADS_FROM_BYTES = 40 * 2**10
# Floats beyond this are 16 bit samples that were not divided by 32,768.
_LOUDEST = 4.0
# The mean of channels of opposite sign has less than this share of their power.
_CANCELLED = 1e-4
KINDS = {b"fLaC": "flac", b"OggS": "ogg", b"FORM": "aiff", b".snd": "au"}
KINDS |= dict.fromkeys((b"RIFF", b"RIFX", b"RF64"), "wav")
# MP3 without a tag begins with a frame of layer III, of MPEG 1, 2 or 2.5.
KINDS |= dict.fromkeys(
    (b"ID3", *(bytes((255, x)) for x in b"\xfb\xfa\xf3\xf2\xe3\xe2")), "mp3"
)
_FORMS = {"wav": (b"WAVE",), "aiff": (b"AIFF", b"AIFC")}
# Damage is found only where they are decoded to their end.
_STREAMS = ("flac", "ogg", "mp3")
# The frames that libsndfile gives a stream that does not declare them.
_UNKNOWN = 2**63 - 1
_DTYPES = {"PCM_16": "int16", "DOUBLE": "float64"}
_DTYPES |= dict.fromkeys(("FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_III"), "float32")
_SAMPLE_BYTES = 2
# A higher rate doubles the work and hardly improves a model.
HIGHEST_RATE = 22_050
LONGEST_SECONDS = 10.0
LOOKED_AT = 5000
# The share of sounds that are not cut.
_UNCUT = 0.98
_STEP_SECONDS = 0.25


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode sound files to int16 ``(samples,)`` at the form's sample rate.

    The first bytes of a file tell its format. Channels are averaged. Where no shape is
    declared, a sound is padded to the next of a few lengths, and cut at the longest
    of them, 10 s. A file that cannot be decoded becomes a `Problem`.
    """
    are_short = sum(map(len, files)) < _THREADS_FROM_BYTES * len(files)
    if are_short or len(files) < 2 * _FILES_PER_THREAD or _THREADS == 1:
        return Decoded.of(*_decode_some(files, form))
    step = max(_FILES_PER_THREAD, -(-len(files) // (4 * _THREADS)))
    parts = [files[start : start + step] for start in range(0, len(files), step)]
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        done = list(pool.map(lambda part: _decode_some(part, form), parts))
    items, notes = zip(*done, strict=True)
    return Decoded.of([*itertools.chain(*items)], sum(notes, Counter()))


def _decode_some(
    files: Sequence[bytes], form: Form
) -> tuple[list[Payload | Problem], Counter[str]]:
    items: list[Payload | Problem] = []
    notes: Counter[str] = Counter()
    for data in files:
        try:
            item, changes = _decode_file(data, form)
            items.append(item)
            notes.update(changes)
        except Unfit as unfit:
            items.append(unfit.problem)
    return items, notes


def _decode_file(data: bytes, form: Form) -> tuple[samples.Samples, list[str]]:
    if (plain := _plain(data, form)) is not None:
        return samples.padded(plain, form), []
    notes: list[str] = []
    limit = samples.longest(form)
    rate, frames, sound = _read(data, limit / form.sample_rate_hz, notes)
    mono = _mono(sound, notes)
    if rate != form.sample_rate_hz:
        import soxr

        notes.append(f"brought from {rate:,} Hz to {form.sample_rate_hz:,} Hz")
        mono = soxr.resample(samples.to_floats(mono), rate, form.sample_rate_hz)
    if frames / rate * form.sample_rate_hz >= limit + 1:
        notes.append(f"cut to {limit / form.sample_rate_hz:g} s")
    return samples.padded(samples.to_samples(mono), form), notes


def _kind(data: bytes) -> str:
    """The kind of a file, by its first bytes."""
    if not data:
        raise Unfit("decode", "the file is empty or not there")
    kind = next((kind for magic, kind in KINDS.items() if data.startswith(magic)), "")
    if not kind or data[8:12] not in _FORMS.get(kind, (data[8:12],)):
        kinds = ", ".join(FILE_FORMATS)
        raise Unfit("decode", f"not one of {kinds}: begins with {beginning(data[:12])}")
    return kind


def _plain(data: bytes, form: Form) -> samples.Samples | None:
    """The samples of a WAV file that are to be as they are, found by one comparison."""
    size, rate = len(data) - headers.PLAIN_HEADER_BYTES, form.sample_rate_hz
    if not 0 < size // 2 <= min(samples.longest(form), headers.SAMPLES_LIMIT):
        return None
    if not data.startswith(headers.plain_header(size, rate)):
        return None
    return np.frombuffer(data, "<i2", size // 2, headers.PLAIN_HEADER_BYTES)


class _Bytes(io.BytesIO):
    """A file that allows a seek to before its start, which libsndfile may try."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return super().seek(0)


def _read(data: bytes, seconds: float, notes: list[str]) -> tuple[int, int, Payload]:
    """The rate, the number of frames, and the first seconds ``(frames, channels)``."""
    import soundfile

    kind = _kind(data)
    data = headers.without_tag(data) if kind == "mp3" else data
    is_known, opened = headers.check_length(kind, data), _Bytes(data)
    try:
        with soundfile.SoundFile(opened) as file:
            rate, channels, declared = file.samplerate, file.channels, file.frames
            is_known &= declared != _UNKNOWN
            headers.check_sizes(rate, channels, declared if is_known else 1)
            last = min(declared, headers.SAMPLES_LIMIT // channels)
            needed = min(last, int(seconds * rate) + _MARGIN)
            last = last if kind in _STREAMS else needed
            blocks, count = [], 0
            for block in _blocks(file, last):
                if count < needed:
                    blocks.append(block[: needed - count].copy())
                count += len(block)
            if kind == "mp3":
                headers.check_mp3_end(data[opened.tell() :])
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        # soundfile's whole message has the address of the opened bytes.
        reason = getattr(error, "error_string", error)
        raise Unfit("damaged", f"damaged or cut short: {reason}") from error
    if is_known and count < last:
        raise Unfit(
            "truncated",
            f"its header declares {declared:,} frames, and {count:,} can be read",
        )
    if not is_known:
        notes.append(headers.UNKNOWN_LENGTH)
        headers.check_sizes(rate, channels, count)
    return rate, declared if is_known else count, np.concatenate(blocks)


def _blocks(file: Any, last: int) -> Iterator[Payload]:
    """The frames of a file, at least up to the last one, in a buffer that is reused."""
    # soundfile seeks after each read, which fails for a FLAC of unknown length.
    file.seekable = lambda: False
    dtype = _DTYPES.get(file.subtype, "int32")
    size = min(_FRAMES_AT_ONCE, last + 1)
    buffer = np.empty((size, file.channels), dtype)
    count = 0
    while count <= last:
        part = file.read(size, dtype, always_2d=True, out=buffer)
        if not len(part):
            break
        yield part
        count += len(part)


def _mono(sound: Payload, notes: list[str]) -> Payload:
    """One channel; changes are added to ``notes``."""
    if sound.dtype == np.int32:
        sound = sound / np.float32(2**31)
    if sound.dtype.kind == "f":
        sound = _in_range(sound, notes)
    channels = sound.shape[1]
    if channels == 1:
        return sound[:, 0]
    notes.append(f"mixed down from {channels} channels")
    floats = samples.to_floats(sound)
    mono = np.asarray(floats.mean(axis=1, dtype=np.float32))
    power = float(np.vdot(floats, floats)) / channels
    if float(np.vdot(mono, mono)) < _CANCELLED * power:
        notes.append("its channels cancel each other out: the first was taken")
        return floats[:, 0]
    return mono


def _in_range(sound: Payload, notes: list[str]) -> Payload:
    low, high = float(sound.min()), float(sound.max())
    if not np.isfinite(low + high):
        bad = ~np.isfinite(sound).all(axis=1)
        raise Unfit(
            "not_finite",
            f"{np.count_nonzero(bad):,} of its samples are NaN or infinite, the first "
            f"at {int(bad.argmax()):,}",
        )
    if max(-low, high) > _LOUDEST:
        if max(-low, high) > 2**15 or (sound != np.rint(sound)).any():
            raise Unfit("scale", f"floats of {low:g} to {high:g}; -1 to 1 is the scale")
        notes.append("floats of the size of 16 bits, divided by 32,768")
        sound = sound / 2**15
    elif max(-low, high) > 1:
        notes.append("floats beyond -1 to 1, clipped")
        sound = np.clip(sound, -1, 1)
    return sound.astype(np.float32, copy=False)


def sizes(files: Sequence[bytes], form: Form) -> Sizes:
    """At most how many bytes each file decodes to, and each sound has."""
    unpacked, items, rate = [], [], form.sample_rate_hz
    for frames, channels, own_rate in map(_length, files):
        count = samples.longest(form)
        if form.shape is None and own_rate:
            # Sounds are padded to one of a few lengths, each a third above the last.
            count = min(count, frames * rate // own_rate * 4 // 3 + rate // 50)
        unpacked.append(frames * channels * _SAMPLE_BYTES)
        items.append(count * _SAMPLE_BYTES)
    return Sizes.of(unpacked, items)


def _length(data: bytes) -> tuple[int, int, int]:
    """The frames, channels and rate in a header; a rate of 0 is unknown."""
    if data.startswith(b"RIFF") and data[12:16] == b"fmt " and len(data) > 28:
        channels, rate = struct.unpack_from("<HI", data, 22)
        return len(data) // max(channels, 1), channels, rate
    frames, channels, rate = _declared(data)
    if headers.is_too_long(rate, channels, frames):  # it is not decoded
        return 0, channels, 0
    return (frames, channels, rate) if frames else (len(data), 1, 0)


def _declared(data: bytes) -> tuple[int, int, int]:
    """The frames, channels and rate that libsndfile tells; zeros where it cannot."""
    import soundfile

    try:
        _kind(data)
        with soundfile.SoundFile(_Bytes(data)) as file:
            return file.frames, file.channels, file.samplerate
    except (Unfit, soundfile.SoundFileError, RuntimeError, OSError, ValueError):
        return 0, 0, 0  # decoding will report it


def suggest(chunks: Iterable[Chunk]) -> dict[str, Any]:
    """The commonest sample rate, and a length that cuts few of the first 5,000."""
    lists = (chunk.items for chunk in chunks if isinstance(chunk.items, list))
    lengths = filter(None, map(_rate_and_seconds, itertools.chain.from_iterable(lists)))
    some = list(itertools.islice(lengths, LOOKED_AT))
    if not some:
        return {}
    rates, seconds = zip(*some, strict=True)
    rate = min(HIGHEST_RATE, Counter(rates).most_common(1)[0][0])
    longest = float(np.quantile(seconds, _UNCUT))
    length = min(LONGEST_SECONDS, math.ceil(longest / _STEP_SECONDS) * _STEP_SECONDS)
    return {"sample_rate_hz": max(1000, rate), "seconds": max(_STEP_SECONDS, length)}


def _rate_and_seconds(data: bytes) -> tuple[int, float] | None:
    frames, _, rate = _declared(data)
    return (rate, frames / rate) if rate > 0 and frames > 0 else None
