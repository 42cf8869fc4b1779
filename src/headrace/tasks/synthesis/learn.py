"""Examples for the training network, and the model that is saved.

The network of a family is fitted to questions joined with the spectra of their
recordings, and gives its loss and a distance. Its layer ``voice`` gives spectra for
questions alone; the saved model makes sounds of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import SpecError
from headrace.media import medium
from headrace.media.audio.spectra import HOPS, Framing, magnitudes, sounds_of
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import Head
from headrace.tasks.forms import Example, Lazy, Outputs, Targets
from headrace.tasks.learn import Fitting
from headrace.tasks.synthesis.distances import lengths, pairwise, profiles
from headrace.tasks.synthesis.questions import Layout

VOICE = "voice"  # a layer of the network
LEVEL = 0.08  # the root mean square to which all recordings are brought
_QUIETEST = 1e-6
_FADE_SECONDS = 0.005
Floats = npt.NDArray[np.float32]


class Voice(Head):
    HAS_EXAMPLES = True

    def output_shape(self, data: DataDescription) -> tuple[int, ...]:
        """The number of samples."""
        return data.shape

    def head(
        self, data: DataDescription, targets: Lazy, options: Mapping[str, Any]
    ) -> list[Any]:
        """None: a family gives the whole network."""
        return []

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Refuse a network without the layer ``voice``, or with other shapes."""
        layers = {layer.name: layer for layer in network.layers}
        framing = Framing.of(data)
        outputs = getattr(layers.get(VOICE), "outputs", [])
        shapes = [tuple(output.shape) for output in outputs]
        wanted = [(None, framing.frames, framing.bins), (None, 1)]
        if shapes != wanted:
            raise SpecError(
                f"The builder {builder} gives a network whose layer {VOICE!r} answers "
                f"with {shapes or 'nothing, as there is none'}; a synthesis needs "
                f"frames and their length in seconds, {wanted}.",
                "See headrace.models.speech_vae.",
            )
        taken = network.inputs[0].shape[1:]
        size = Layout.of(data).size + framing.frames * framing.bins
        if tuple(taken) != (size,) or network.outputs[0].shape != (None, 2):
            raise SpecError(
                f"The builder {builder} gives a network from {tuple(taken)} to "
                f"{tuple(network.outputs[0].shape)}; it takes a question joined with "
                f"its frames, ({size},), and gives loss and distance, (batch, 2).",
                "See headrace.models.speech_vae.",
            )

    def check_training(self, network: Any, training: TrainingSpec) -> None:
        """Refuse a loss of the user: the network computes its own."""
        if training.loss is not None or training.metrics:
            raise SpecError(
                "training.loss and training.metrics mean nothing to a synthesis: its "
                "network computes the loss.",
                "Leave them out; weigh its terms by model.arguments.",
            )

    def examples(self, part: Example, fitting: Fitting) -> tuple[Floats, Floats]:
        """Questions with the lengths of their recordings, joined with their spectra.

        Returns:
            float32 ``(n, question + frames * bins)``, and zeros ``(n,)``.
        """
        data = fitting.data
        framing = Framing.of(data)
        sounds = np.asarray(medium(data.medium).raw(part.items), np.float32)
        ends = lengths(sounds)
        power = np.square(sounds, dtype=np.float64).sum(axis=1) / ends
        gain = LEVEL / np.sqrt(np.maximum(power, _QUIETEST))
        levelled = sounds * gain[:, np.newaxis].astype(np.float32)
        questions = np.array(part.questions, np.float32)
        questions[:, Layout.of(data).seconds] = ends / data.sample_rate_hz
        spectra = magnitudes(levelled, framing).reshape(len(sounds), -1)
        joined = np.concatenate([questions, spectra], axis=1, dtype=np.float32)
        return joined, np.zeros(len(sounds), np.float32)

    def compose(self, preprocessing: Any, network: Any, data: DataDescription) -> Any:
        """From a question to a sound ``(batch, samples)``, zero after its length."""
        import keras
        from keras import ops

        voice = network.get_layer(VOICE)
        layout = Layout.of(data)
        question = keras.Input((layout.size,), name="question")
        spectra, own_seconds = voice(preprocessing(question))
        asked = question[:, layout.seconds : layout.seconds + 1]
        seconds = ops.where(asked > 0, asked, own_seconds)
        framing = Framing.of(data)
        sound = sounds_of(spectra, framing)
        times = np.arange(framing.samples, dtype=np.float32) / framing.rate_hz
        fade = ops.clip((seconds - times) / _FADE_SECONDS, 0.0, 1.0)
        return keras.Model(question, ops.clip(sound * fade, -1.0, 1.0), name="model")

    def losses(
        self, network: Any, targets: Any, outputs: Any, training: TrainingSpec
    ) -> Any:
        """The first output of the network."""
        return outputs[:, 0]

    def row_losses(
        self, model: Any, outputs: Outputs, targets: Targets, training: TrainingSpec
    ) -> None:
        """Sounds alone do not show the loss of the training network."""
        return None

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """The second output of the network: the distance to the recording, dB."""
        return outputs[:, 1]

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """The mean distance to the recording of each row, in decibels."""
        frames, bins = network.get_layer(VOICE).outputs[0].shape[1:]
        window = 2 * (bins - 1)
        framing = Framing(outputs.shape[1], 1, window, window // HOPS, frames)
        own = profiles(np.nan_to_num(outputs), framing)
        real = targets[:, 2:].reshape(own.shape)
        mean = float(pairwise(own, real).mean())
        return {"val_loss": mean, "val_distance_db": mean}


HEAD = Voice()
