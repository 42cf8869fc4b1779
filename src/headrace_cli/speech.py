"""``headrace say``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from headrace_cli.answers import answer, begin
from headrace_cli.pipelines import complete_pipelines


def say(  # noqa: PLR0913
    text: Annotated[
        str, Argument(help="Texts that the model knows, separated by spaces.")
    ],
    output: Annotated[Path, Option(help="The sound file: .wav, .flac or .ogg.")] = Path(
        "speech.wav"
    ),
    model: Annotated[
        str,
        Option(
            metavar="MODEL",
            help="A model, MODEL@champion or MODEL/VERSION; by default the only one "
            "that speaks.",
            autocompletion=complete_pipelines,
        ),
    ] = "",
    speaker: Annotated[
        str, Option(help="One of the model's speakers; by default the first.")
    ] = "",
    seed: Annotated[int, Option(min=0, help="Another seed is another take.")] = 0,
    variation: Annotated[
        float | None,
        Option(min=0, max=2, help="How far takes differ; 0 is the most typical one."),
    ] = None,
    seconds: Annotated[
        float, Option(min=0, help="The length of each text; 0: the model's own.")
    ] = 0.0,
) -> None:
    """Speak a text with a speech-synthesis model.

    The same arguments give the same sound.
    """
    from headrace.models.logged.loading import load
    from headrace.use.speaking import find_speaker, say

    settings = begin()
    name = model or find_speaker(settings)
    loaded = load(name, settings)
    fields: dict[str, object] = {"seed": seed, "seconds": seconds}
    if speaker:
        fields["speaker"] = speaker
    if variation is not None:
        fields["variation"] = variation
    speech = say(loaded, text, **fields)
    speech.save(output)
    value = {
        "model": name,
        "version": loaded.version,
        "texts": list(speech.texts),
        "speaker": speaker or loaded.speakers[0],
        "seconds": round(speech.seconds, 3),
        "sample_rate_hz": speech.sample_rate_hz,
        "output": str(output),
    }
    said = " ".join(speech.texts)
    answer(value, f"{output}: {said!r}, {speech.seconds:.1f} s, by {name}.")
