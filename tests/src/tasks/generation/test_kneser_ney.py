"""The n-gram model against a plain implementation with dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from headrace.tasks.generation.data import codes_of
from headrace.tasks.generation.kneser_ney import CODE_POINTS, KneserNey

TEXTS = ["abracadabra", "a cab", "bad card", "abba", "dab", "", "cadabra ab"]


class Plain:
    """The same model by its textbook definition."""

    def __init__(self, texts, order):
        self.order = order
        documents = [f"^{text}$" for text in texts]
        grams = {
            length: Counter(
                one[at : at + length]
                for one in documents
                for at in range(len(one) - length + 1)
            )
            for length in range(1, order + 1)
        }
        self.counts = {}
        for length in range(1, order + 1):
            if length == order:
                counts = Counter(grams[length])
            else:
                counts = Counter(gram[1:] for gram in grams[length + 1])
                begins = {g: n for g, n in grams[length].items() if g[0] == "^"}
                counts |= Counter(begins)
            counts.pop("^", None)
            self.counts[length] = counts

    def discount(self, length):
        values = [*self.counts[length].values()]
        once, twice = values.count(1), values.count(2)
        return once / (once + 2 * twice) if once and twice else 0.5

    def probability(self, context, symbol):
        share = 1 / CODE_POINTS
        for length in range(1, self.order + 1):
            if length - 1 > len(context):
                break
            head = context[len(context) - length + 1 :] if length > 1 else ""
            after = defaultdict(int)
            for gram, count in self.counts[length].items():
                if gram[:-1] == head:
                    after[gram[-1]] += count
            total, less = sum(after.values()), self.discount(length)
            if total:
                rest = less * len(after) * share
                share = (max(after.get(symbol, 0) - less, 0) + rest) / total
        return share

    def nats(self, text):
        whole = f"^{text}$"
        return -sum(
            math.log(self.probability(whole[:at], whole[at]))
            for at in range(1, len(whole))
        )


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_it_is_the_textbook_model(order):
    asked = ["abracadabra", "cab", "zebra", "", "dabba dab"]
    model = KneserNey([codes_of(text) for text in TEXTS], order)
    plain = Plain(TEXTS, order)
    expected = [plain.nats(text) for text in asked]
    got = model.nats([codes_of(text) for text in asked])
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_the_probabilities_of_all_next_characters_sum_to_one(order):
    model = KneserNey([codes_of(text) for text in TEXTS], order)
    known = sorted({*"".join(TEXTS)})
    # With the end, by the difference of the nats of a text and of the longer one.
    whole = model.nats([codes_of(f"ca{c}") for c in [*known, "\u2603"]])
    plain = Plain(TEXTS, order)
    ends = [-math.log(plain.probability(f"^ca{c}", "$")) for c in [*known, "\u2603"]]
    before = -math.log(plain.probability("^", "c") * plain.probability("^c", "a"))
    shares = np.exp(-(whole - ends - before))
    unknown = shares[-1] * (CODE_POINTS - len(known) - 1)
    total = shares[:-1].sum() + unknown + plain.probability("^ca", "$")
    assert total == pytest.approx(1, abs=1e-9)


def test_documents_know_nothing_of_each_other():
    model = KneserNey([codes_of("abcabc"), codes_of("cba")], 4)
    one, other = codes_of("abc"), codes_of("cab")
    both = model.nats([one, other])
    assert both.tolist() == [*model.nats([one]), *model.nats([other])]
    assert model.nats([]).shape == (0,)


def test_what_it_cannot_be_is_refused():
    with pytest.raises(ValueError, match="from 1 to 12, and documents; it got 0"):
        KneserNey([codes_of("a")], 0)
    with pytest.raises(ValueError, match="0 documents"):
        KneserNey([], 2)
