"""What `headrace new` finds out from the texts of recordings, and writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from headrace.errors import Refusal
from headrace.records import Finding
from headrace.signs import as_markdown
from headrace.tasks import Surveyor
from headrace.tasks.forms import Counts, Survey, some
from headrace.tasks.synthesis.contract import FEW_TAKES
from headrace.tasks.synthesis.defaults import DEFAULT_GATES

MOST_TEXTS = 1_000
_NAMED = 10
_LISTED = 20
_DIVERSITY = "diversity"  # the gate


class TextSurvey(Surveyor):
    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The texts, and how many recordings there are of each."""
        texts = sorted({label for _, label in labels} - {""})
        rows = {
            split: sum(labels[split, text] for text in texts)
            for split in ("train", "test")
        }
        train = {text: labels["train", text] for text in texts}
        enough = [text for text in texts if train[text] >= FEW_TAKES]
        if not enough or 2 * len(enough) < len(texts) or len(texts) > MOST_TEXTS:
            raise Refusal(
                f"{source} has {rows['train']:,} recordings of {len(texts):,} texts in "
                f"train: of {len(enough):,} there are {FEW_TAKES} or more.",
                f"Give several recordings of each text, of {MOST_TEXTS:,} texts at "
                "most, and name the column of the texts with --label.",
            )
        few = [f"{text!r} has {train[text]:,}" for text in texts if text not in enough]
        findings = []
        if few:
            message = (
                f"these texts have less than {FEW_TAKES} recordings in train: "
                f"{some(few, _NAMED)}"
            )
            findings.append(Finding(check="takes", count=len(few), message=message))
        least, most = min(train.values()), max(train.values())
        listed = some([repr(text) for text in texts], _NAMED)
        table = [f"| {as_markdown(t)} | {train[t]:,} |" for t in texts[:_LISTED]]
        more = len(texts) - _LISTED
        return Survey(
            rows=rows,
            fields={},
            head=[
                f"# {rows['train']:,} recordings to learn from and {rows['test']:,} to "
                f"test on, of {len(texts):,} texts.",
            ],
            gates=[{"name": n, "threshold": at} for n, at in DEFAULT_GATES.items()],
            summary="Speaks texts.",
            readme=[
                "| text | recordings in train |",
                "|---|---|",
                *table,
                "",
                *([f"{more:,} more texts are not shown.", ""] if more > 0 else []),
                "A recogniser that learned from the same recordings judges whether "
                "texts and speakers are heard. Raise the gates after the first run.",
            ],
            limits="It speaks the texts and in the voices of its data, and no others.",
            facts={
                "texts": texts,
                "recordings": {"least": least, "most": most},
                "gates": DEFAULT_GATES,
            },
            lines=[
                f"{len(texts):,} texts, {least:,} to {most:,} recordings of each in "
                f"train: {listed}",
                "the gates ask for little: raise them after the first run",
            ],
            findings=findings,
        )

    def count_groups(
        self, survey: Survey, rows: Counter[tuple[str, str, str]]
    ) -> Survey:
        """No gate on the diversity of takes where test has no two to compare."""
        if any(count > 1 for (split, *_), count in rows.items() if split == "test"):
            return survey
        message = (
            f"no speaker has two recordings of one text in test, so {_DIVERSITY!r}, "
            "how far takes are apart, cannot be measured and is no gate here"
        )
        finding = Finding(check=_DIVERSITY, message=message)
        left = {n: at for n, at in DEFAULT_GATES.items() if n != _DIVERSITY}
        return replace(
            survey,
            gates=[gate for gate in survey.gates if gate["name"] != _DIVERSITY],
            facts={**survey.facts, "gates": left},
            findings=[*survey.findings, finding],
        )


PART = TextSurvey()
