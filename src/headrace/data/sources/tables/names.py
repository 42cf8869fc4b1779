"""Usual names of the columns of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ITEMS = (
    *("text", "sentence", "message", "content", "review", "body", "comment", "title"),
    *("texts", "tweet", "utterance", "query", "question", "document", "description"),
    *("review_body", "review_text", "sms", "email", "post", "headline", "abstract"),
    *("文本", "内容", "评论", "句子", "正文", "标题"),
)
LABELS = (
    *("label", "class", "category", "target", "intent", "topic", "sentiment"),
    *("genre", "y", "tag", "labels", "classes", "label_text", "label_name"),
    *("class_name", "class_label", "emotion", "polarity", "rating", "stars"),
    *("标签", "类别", "分类", "情感", "主题"),
)
SPLITS = ("split", "set", "partition", "subset", "fold")
_KNOWN = frozenset((*ITEMS, *LABELS, *SPLITS))


def plain_name(name: str) -> str:
    """A column's name without case, spaces and hyphens."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def is_known_name(name: str) -> bool:
    """Whether a plain name is a usual one."""
    return name in _KNOWN


def find_named(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The column with the first of some usual names that a column has."""
    plain = {plain_name(name): name for name in columns}
    return next((plain[name] for name in names if name in plain), None)
