"""``[training]``: how the network is fitted, with objects of Keras or of your own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import field_validator, model_validator

from headrace.pipeline.augment import AugmentSpec
from headrace.pipeline.fields import added, share
from headrace.pipeline.keras_names import OFFERED, Named, check_choice, is_own, named
from headrace.pipeline.privacy import CONFLICTS, PrivacySpec
from headrace.pipeline.tables import SpecTable
from headrace.settings import option

# The times of checkpoints do not change the result.
CHECKPOINT_FIELDS = {"checkpoint_seconds", "checkpoint_steps"}


class TrainingSpec(SpecTable):
    """``[training]``: how the network is fitted.

    A family of models brings values of its own; the defaults here are for any other
    builder. What names an object of Keras is a name such as ``"adamw"``, or a table
    with a name and arguments such as ``{ name = "adamw", beta_1 = 0.8 }``; a function
    of one's own is ``"module:function"``, in the pipeline's folder or installed.
    """

    epochs: int = option(10, "passes over the train split", ge=1, le=10_000)
    patience: int = added(
        0,
        "early stopping: end after so many epochs without a lower validation loss, "
        "with the best epoch's weights; 0: never",
        ge=0,
    )
    batch_size: int = option(128, "items in one training step", ge=1, le=65_536)
    optimizer: str | Named = option(
        "sgd",
        "sgd, adam, any other of keras.optimizers, or a module:function that takes "
        "learning_rate and returns one",
    )
    learning_rate: float = option(0.01, "of the first step", gt=0, le=10)
    momentum: float = share(0.9, "sgd only")
    nesterov: bool = option(True, "sgd only: Nesterov momentum")
    decay: float = option(
        1e-6, "of the constant schedule: learning_rate / (1 + decay * step)", ge=0
    )
    schedule: str | Named = option(
        "constant",
        "of the learning rate: constant apart from decay; cosine, falling to zero "
        "over all epochs; one of keras.optimizers.schedules with its arguments, "
        "beginning at learning_rate; or a module:function that takes learning_rate "
        "and returns one",
    )
    loss: str | Named | None = added(
        None,
        "one of keras.losses, or a module:function of (targets, outputs); by default "
        "the task's own",
    )
    metrics: tuple[str | Named, ...] = added(
        (),
        "measured on the validation split after each epoch, beside the task's own: of "
        "keras.metrics, or a module:function of (targets, outputs)",
    )
    callbacks: tuple[str | Named, ...] = added(
        (),
        "called before and after each epoch: LearningRateScheduler, "
        "ReduceLROnPlateau, or a module:function that returns a "
        "keras.callbacks.Callback; for early stopping set patience",
    )
    label_smoothing: float = share(
        0.0, "share of each target that is spread over all classes", below=0.5
    )
    calibrate: bool = option(
        False,
        "temperature scaling: after training, divide the logits by the temperature "
        "with the lowest loss on the validation split",
    )
    weight_decay: float = share(0.0, "of any optimizer but sgd; adam is adamw")
    canaries: int = added(
        0,
        "random texts that are planted in train, to measure what a language model "
        "remembers of a text that it saw once; 0: none",
        ge=0,
        le=1_000,
    )
    ngrams: int = added(
        0,
        "the longest n-grams, in characters, of a Kneser-Ney model that a language "
        "model is mixed with after the fit, by the shares that are best on the "
        "validation split; 0: none",
        ge=0,
        le=8,
    )
    privacy: PrivacySpec | None = added(
        None,
        "differentially private training; by default none",
    )
    augment: AugmentSpec | None = added(
        None,
        "augmentation: how items are changed anew in each epoch; by default not at "
        "all, beyond what the family does by itself",
    )
    precision: Literal["auto", "float32", "mixed_bfloat16"] = added(
        "auto",
        "of the products in a training step: float32; mixed_bfloat16, in which layers "
        "that multiply by a kernel compute in bfloat16, and all else in float32; auto, "
        "which is mixed_bfloat16 on a GPU that has it, and float32 elsewhere",
    )
    seed: int = option(
        1,
        "of initial weights, the order of items, dropout and augmentation",
        ge=0,
        lt=2**32,
    )
    devices: int = option(1, "GPUs of one machine that share each batch", ge=1, le=64)
    checkpoint_seconds: float = option(
        10, "time between two checkpoints; 0: none by time", ge=0
    )
    checkpoint_steps: int = option(
        0, "training steps between two checkpoints; 0: none by steps", ge=0
    )

    @property
    def keeps_best_epoch(self) -> bool:
        """Whether the epoch with the lowest validation loss is kept, not the last one.

        A cosine schedule ends with a rate of zero, so its last epoch is kept, unless
        early stopping may cut it short. A private training keeps the last one as well,
        so that its weights do not depend on the validation rows.
        """
        if self.privacy is not None:
            return False
        return self.schedule != "cosine" or self.patience > 0

    @property
    def own_functions(self) -> tuple[str, ...]:
        """The user's functions that it names, such as ``losses:focal``."""
        return tuple(name for name in self._named() if name and is_own(name))

    @property
    def is_plain(self) -> bool:
        """Whether all objects that it names can surely be made."""
        return (
            not any((self.loss, *self.metrics, *self.callbacks))
            and self.optimizer in ("sgd", "adam")
            and self.schedule in OFFERED["schedule"]
        )

    def _named(self) -> Iterator[str]:
        single = [self.optimizer, self.schedule, *([self.loss] if self.loss else ())]
        for choice in map(named, (*single, *self.metrics, *self.callbacks)):
            yield choice.name
            if choice.name == "LearningRateScheduler":
                yield str(choice.arguments.get("schedule", ""))

    @field_validator("augment")
    @classmethod
    def _changes_something(cls, augment: AugmentSpec | None) -> AugmentSpec | None:
        return augment if augment is not None and augment.model_dump() else None

    @field_validator("ngrams")
    @classmethod
    def _are_of_two_or_more(cls, length: int) -> int:
        if length == 1:
            raise ValueError("n-grams have 2 to 8 characters; 0: none")
        return length

    @field_validator("optimizer", "schedule", "loss", mode="before")
    @classmethod
    def _is_known(cls, choice: Any, info: Any) -> Any:
        return choice if choice is None else check_choice(info.field_name, choice)

    @field_validator("metrics", "callbacks", mode="before")
    @classmethod
    def _are_known(cls, choices: Any, info: Any) -> Any:
        if not isinstance(choices, list | tuple):
            raise ValueError("write a list of names, or of tables with a name")
        return [check_choice(info.field_name, choice) for choice in choices]

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingSpec:
        if self.loss is not None and self.label_smoothing:
            raise ValueError(
                "label_smoothing is of the task's own loss; give it to the loss as an "
                "argument, and leave it out"
            )
        for callback in map(named, self.callbacks):
            sets_rate = callback.name in ("LearningRateScheduler", "ReduceLROnPlateau")
            if sets_rate and (self.decay or self.schedule != "constant"):
                raise ValueError(
                    f"{callback.name} sets the learning rate, and so does a schedule; "
                    'add decay = 0 and schedule = "constant"'
                )
        for field, why in CONFLICTS.items() if self.privacy is not None else ():
            plain = (type(self).model_fields[field].default, "float32")
            if getattr(self, field) not in plain:
                raise ValueError(
                    f"privacy and {field} exclude each other: {why}; leave out {field}"
                )
        return self
