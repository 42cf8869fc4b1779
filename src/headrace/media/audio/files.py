"""Sound files: decoded to mono int16 samples at one sample rate, and their sizes.

This module decodes WAV and AU itself. libsndfile decodes FLAC, Ogg, AIFF and ADPCM, and
only after their headers and checksums were checked.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from headrace.media.audio import headers, samples, streams
from headrace.media.audio.headers import Header, Unfit
from headrace.media.chunks import Chunk
from headrace.media.forms import Decoded, Payload, Problem, Sizes
from headrace.records import Form
from headrace.signs import beginning

FILE_FORMATS = ("WAV", "FLAC", "OGG", "AIFF", "AU")
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
_KINDS = {b"fLaC": "flac", b"OggS": "ogg", b"FORM": "aiff", b".snd": "au"}
_KINDS |= dict.fromkeys((b"RIFF", b"RIFX", b"RF64"), "wav")
_FORMS = {"wav": (b"WAVE",), "aiff": (b"AIFF", b"AIFC")}
# Each checks a file; those of files that are decoded here return the header.
_CHECKS: dict[str, Callable[[bytes], Header | None]] = {
    "wav": headers.wav_header,
    "au": headers.au_header,
    "ogg": streams.check_ogg,
    "flac": streams.check_flac_rate,
    "aiff": streams.check_aiff,
}
_SAMPLE_BYTES = 2
_OPUS_RATE = 48_000
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
    if not data:
        raise Unfit("decode", "the file is empty or not there")
    kind = _KINDS.get(data[:4], "")
    if not kind or data[8:12] not in _FORMS.get(kind, (data[8:12],)):
        kinds = ", ".join(FILE_FORMATS)
        raise Unfit("decode", f"not one of {kinds}: begins with {beginning(data[:12])}")
    limit = samples.longest(form)
    header, sound = _read(kind, data, limit / form.sample_rate_hz)
    notes = [*header.notes]
    mono = _mono(sound, notes)
    if header.rate != form.sample_rate_hz:
        import soxr

        notes.append(f"brought from {header.rate:,} Hz to {form.sample_rate_hz:,} Hz")
        mono = soxr.resample(samples.to_floats(mono), header.rate, form.sample_rate_hz)
    if header.frames / header.rate * form.sample_rate_hz >= limit + 1:
        notes.append(f"cut to {limit / form.sample_rate_hz:g} s")
    return samples.padded(samples.to_samples(mono), form), notes


def _plain(data: bytes, form: Form) -> samples.Samples | None:
    """The samples of a WAV file that are to be as they are, found by one comparison."""
    size, rate = len(data) - headers.PLAIN_HEADER_BYTES, form.sample_rate_hz
    if not 0 < size // 2 <= min(samples.longest(form), headers.SAMPLES_LIMIT):
        return None
    if not data.startswith(headers.plain_header(size, rate)):
        return None
    return np.frombuffer(data, "<i2", size // 2, headers.PLAIN_HEADER_BYTES)


def _read(kind: str, data: bytes, seconds: float) -> tuple[Header, Payload]:
    """The samples ``(frames, channels)`` of the first seconds, int16 or float."""
    header = _CHECKS[kind](data)
    if header is None or header.codec == "adpcm":
        return _by_libsndfile(kind, data, seconds)
    frames = min(header.frames, int(seconds * header.rate) + _MARGIN)
    return header, _decode_wav(data, header, frames)


def _decode_wav(data: bytes, header: Header, frames: int) -> Payload:
    width, count = header.width, frames * header.channels
    raw = np.frombuffer(data, np.uint8, count * width, header.start)
    values: Payload
    if header.codec in ("mulaw", "alaw"):
        values = samples.companded(header.codec.replace("mu", "u").upper())[raw]
    elif header.codec == "float":
        values = raw.view(f"{header.order}f{width}")
    elif width == 1:
        signed = raw ^ np.uint8(128 if header.codec == "unsigned" else 0)
        values = signed.view(np.int8).astype(np.int16) << 8
    elif width == 2:
        values = raw.view(f"{header.order}i2")
    else:
        wide = np.zeros((count, 4), np.uint8)
        first = 0 if header.order == ">" else 4 - width
        wide[:, first : first + width] = raw.reshape(-1, width)
        values = wide.view(f"{header.order}i4")[:, 0] / np.float32(2**31)
    return values.reshape(-1, header.channels)


class _Bytes(io.BytesIO):
    """A file that allows a seek to before its start, which libsndfile may try."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return super().seek(0)


def _by_libsndfile(kind: str, data: bytes, seconds: float) -> tuple[Header, Payload]:
    """The header and the first seconds; all samples are decoded, to check them."""
    import soundfile

    checksum = streams.FlacChecksum(data)
    try:
        with soundfile.SoundFile(_Bytes(data)) as file:
            has_no_length = kind == "flac" and not streams.flac_frames(data)
            declared = headers.SAMPLES_LIMIT if has_no_length else file.frames
            notes = (headers.UNKNOWN_LENGTH,) if has_no_length else ()
            header = Header("float", file.samplerate, file.channels, 4, notes=notes)
            known = 1 if has_no_length else declared
            headers.check_sizes(header.rate, header.channels, known)
            limit = min(declared, headers.SAMPLES_LIMIT // header.channels)
            blocks, count = [], 0
            needed = int(seconds * header.rate) + _MARGIN
            is_float = file.subtype.startswith(("FLOAT", "DOUBLE", "VORBIS", "OPUS"))
            dtype = "float32" if is_float else "int32"
            if kind == "flac" and streams.flac_bits(data) == 16:
                dtype = "int16"
            for block in _blocks(file, dtype, limit):
                if count < needed:
                    blocks.append(block[: needed - count].copy())
                count += len(block)
                checksum.add(block)
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        # soundfile's whole message has the address of the opened bytes.
        reason = getattr(error, "error_string", error)
        raise Unfit("damaged", f"damaged or cut short: {reason}") from error
    if count != declared and not has_no_length:
        raise Unfit(
            "truncated",
            f"its header declares {declared:,} frames, and {count:,} can be read",
        )
    headers.check_sizes(header.rate, header.channels, count)
    checksum.check()
    sound = np.concatenate(blocks)
    if sound.dtype.kind == "i":
        sound = sound / np.float32(2 ** (8 * sound.itemsize - 1))
    return replace(header, frames=count), sound


def _blocks(file: Any, dtype: str, limit: int) -> Iterator[Payload]:
    """The frames of a file, up to about a limit, in a buffer that is reused."""
    # soundfile seeks after each read, which fails for a FLAC of unknown length.
    file.seekable = lambda: False
    buffer = np.empty((_FRAMES_AT_ONCE, file.channels), dtype)
    count = 0
    while count <= limit:
        part = file.read(_FRAMES_AT_ONCE, dtype, always_2d=True, out=buffer)
        if not len(part):
            break
        yield part
        count += len(part)


def _mono(sound: Payload, notes: list[str]) -> Payload:
    """One channel; changes are added to ``notes``."""
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
    with contextlib.suppress(struct.error, IndexError):
        if data.startswith(b"fLaC"):
            rate = int.from_bytes(data[18:21]) >> 4
            return streams.flac_frames(data), (data[20] >> 1 & 7) + 1, rate
        if data.startswith(b"OggS"):
            return _ogg(data)
        if data.startswith((b"RIFF", b"RIFX")) and data[12:16] == b"fmt ":
            order = "<" if data.startswith(b"RIFF") else ">"
            channels, rate = struct.unpack_from(f"{order}HI", data, 22)
            return len(data) // max(channels, 1), channels, rate
    return len(data), 1, 0


def _ogg(data: bytes) -> tuple[int, int, int]:
    """From the position in the last page, and the header of the stream."""
    (frames,) = struct.unpack_from("<q", data, data.rfind(b"OggS") + 6)
    body = data[27 + data[26] :][:20]
    if body.startswith(b"OpusHead"):
        return max(frames, 0), body[9], _OPUS_RATE
    channels, rate = struct.unpack_from("<BI", body, 11)
    return max(frames, 0), channels, rate


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
    import soundfile

    try:
        info = soundfile.info(io.BytesIO(data))
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError):
        return None  # decoding will report it
    is_sound = info.samplerate > 0 and info.frames > 0
    return (info.samplerate, info.frames / info.samplerate) if is_sound else None
