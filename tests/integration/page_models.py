"""A home with a small model of each kind, for the page that tries them."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

RATE_HZ = 8000
PITCHES_HZ = {"low": 220.0, "high": 1500.0}
MODELS = ("digits", "tones", "reviews")
TONES = """
description = "A low or a high tone"
medium = "audio"
data = { source = "tones.parquet", sample_rate_hz = 8000, seconds = 0.5 }
training = { epochs = 8, seed = 1 }
gates = [{ name = "accuracy", threshold = 0.9 }]
"""
REVIEWS = """
description = "Short reviews, good or bad"
medium = "text"
data.source = "reviews.csv"
model.builder = "bag_of_ngrams"
training = { epochs = 8, seed = 1 }
gates = [{ name = "accuracy", threshold = 0.9 }]
"""


def tone(label, seconds=0.5, seed=0):
    """A tone of about the pitch that a label stands for, with a little noise."""
    chance = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    pitch = PITCHES_HZ[label] * chance.uniform(0.9, 1.1)
    wave = chance.uniform(0.3, 0.8) * np.sin(
        2 * np.pi * pitch * times + chance.random()
    )
    return (wave + chance.normal(0, 0.01, len(times))).astype(np.float32)


def as_wav(sound, kind="WAV"):
    """A sound as a file."""
    file = io.BytesIO()
    soundfile.write(file, sound, RATE_HZ, format=kind)
    return file.getvalue()


def write_data(pipelines):
    """Write the pipelines and their data."""
    chance = np.random.default_rng(0)
    for name, text in (("tones", TONES), ("reviews", REVIEWS)):
        (pipelines / name).mkdir(parents=True)
        (pipelines / name / "pipeline.toml").write_text(text)
    labels = ["low", "high"] * 100
    sounds = [as_wav(tone(label, seed=seed)) for seed, label in enumerate(labels)]
    table = pa.table({"audio": sounds, "label": labels})
    pq.write_table(table, pipelines / "tones" / "tones.parquet")
    words = {"good": "great lovely friendly warm", "bad": "rude broken dirty noisy"}
    nouns = "room food staff place bed view price garden".split()
    lines = ["text,label"]
    for number in range(400):
        label = ("good", "bad")[number % 2]
        said = [
            f"the {chance.choice(nouns)} was {chance.choice(words[label].split())}"
            for _ in range(int(chance.integers(2, 5)))
        ]
        lines.append(f"visit {number}: {' and '.join(said)},{label}")
    (pipelines / "reviews" / "reviews.csv").write_text("\n".join(lines) + "\n")


def train(home):
    """Train and promote one model of each kind."""
    write_data(home.project / "pipelines")
    for name in MODELS:
        process = home.start("run", name, "--json")
        out, err = process.communicate(timeout=600)
        assert json.loads(out or "{}").get("status") == "promoted", out + err
