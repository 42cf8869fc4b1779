import pyarrow as pa
import pytest

from headrace.media.text import MEDIUM as text
from headrace.media.text.texts import from_column
from headrace.records import DataDescription

WIDTH = 256
DATA = DataDescription(medium="text", shape=(WIDTH,), classes=("ham", "spam"))


@pytest.fixture
def told():
    """What the columns say of some texts."""

    def tell(texts, labels=None, width=WIDTH):
        payload = from_column(pa.array(texts, pa.string()), (width,))
        return text.columns(payload, labels or [""] * len(texts), DATA)

    return tell


@pytest.fixture
def printed():
    """The fingerprints of some texts."""

    def take(texts):
        return text.fingerprints(from_column(pa.array(texts), (WIDTH,)), DATA)

    return take
