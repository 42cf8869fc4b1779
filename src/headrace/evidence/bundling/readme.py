"""The README of a bundle."""

from __future__ import annotations

from collections.abc import Collection

TEXT = """\
{name}: a model with all that proves it

manifest.json   what this is, and the sha256 and size of every other file
model/          the model (Keras) and its golden answers
engines/        the same model for other runtimes; each has a README.txt
card.html       the page of its training: data, recipe, metrics, gates
bom.cdx.json    bill of materials, CycloneDX 1.6: libraries, data, licences
evidence.json   the rows of the ledger: the version, its evidence, its promotions
reproduction/   the record from which Headrace trains it again
check.py        replays the golden answers: python check.py

Check this archive before it is unpacked, with Headrace and without a network:

    headrace verify FILE --key PUBLIC.pem
{signatures}
To replay the golden answers, check.py needs numpy and tensorflow, and Headrace if the
model has layers of its own; engines/*/check.py only numpy and that engine's library.
"""
_SIGNED = """
The signatures are in the format of OpenSSF Model Signing. After unpacking, they can be
checked with its command line (pip install model-signing pyOpenSSL):
"""
_COMMAND = (
    "    model_signing verify key {folder} --signature {file} {more}--public_key KEY"
)


def readme(name: str, signatures: Collection[str]) -> str:
    """The text of the README.

    Args:
        name: ``MODEL/VERSION``.
        signatures: those that the bundle has, of `MODEL_SIGNATURE` and `SIGNATURE`.
    """
    lines = []
    if "model.sig" in signatures:
        lines.append(_COMMAND.format(folder="model", file="model.sig", more=""))
    if "bundle.sig" in signatures:
        more = "--ignore-paths bundle.sig "
        lines.append(_COMMAND.format(folder=".", file="bundle.sig", more=more))
    text = f"{_SIGNED}\n" + "\n".join(lines) + "\n" if lines else ""
    return TEXT.format(name=name, signatures=text)
