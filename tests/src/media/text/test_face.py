"""Texts as people read them."""

import pyarrow as pa

from headrace.media.text import MEDIUM as text
from headrace.records import DataDescription

DATA = DataDescription(medium="text", shape=(512,), classes=("a", "b"))


def shown(words):
    (sample,) = text.from_column(pa.array([words]), (8192,))
    return text.as_html(sample, DATA)


def test_a_text_is_shown_as_it_is():
    assert shown("时间") == "<bdi>时间</bdi>"


def test_a_text_is_safe_to_open():
    page = shown("<script>alert('&')</script>\x1b\u202e")

    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in page
    assert "\\x1b\\u202e" in page


def test_a_long_text_is_shown_in_part():
    page = shown("a" * 5000)

    assert f"{'a' * 1000}</bdi> … (5,000 in all)" in page
    assert "a" * 1001 not in page


def test_one_text_is_shown_escaped():
    (sample,) = text.from_column(pa.array(["a < b\n时间"]), (32,))

    assert text.as_html(sample, DATA) == "<bdi>a &lt; b\n时间</bdi>"
