"""What the contract can say of an image."""

import numpy as np

from headrace.media.image import MEDIUM as image
from headrace.records import DataDescription

DATA = DataDescription(medium="image", shape=(2, 3, 1), classes=("a", "b"))


def _columns(payload):
    return image.columns(payload, [""] * len(payload), DATA)


def _on_ground(level, ink, count):
    payload = np.full((count, 8, 8, 1), level, np.uint8)
    payload[:, 2:6, 2:6] = ink
    return payload


def test_columns_are_those_of_each_image():
    payload = np.array([[[0, 255], [0, 1]], [[3, 3], [3, 3]]], np.uint8)[..., None]

    found = _columns(payload)

    assert {name: column.tolist() for name, column in found.items()} == {
        "height": [2, 2],
        "width": [2, 2],
        "channels": [1, 1],
        "minimum": [0, 3],
        "maximum": [255, 3],
        "mean": [64.0, 3.0],
        "std": [float(np.std([0, 255, 0, 1])), 0.0],
        "border": [64.0, 3.0],
        "nonzero": [0.5, 1.0],
        # The distances from the border are 64, 191; 64, 63.
        "centre_row": [(0.25 * 255 + 0.75 * 127) / 382, 0.5],
        "centre_column": [(0.25 * 128 + 0.75 * 254) / 382, 0.5],
        "blank": [False, True],
        "inverted": [False, False],
    }


def test_columns_agree_with_numpy_over_many_blocks():
    payload = np.random.default_rng(0).integers(0, 256, (300, 40, 50, 3), np.uint8)
    flat = payload.reshape(300, -1)
    inside = payload[:, 1:-1, 1:-1].reshape(300, -1)

    found = _columns(payload)

    np.testing.assert_allclose(found["mean"], flat.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["std"], flat.std(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found["maximum"], flat.max(axis=1))
    np.testing.assert_array_equal(found["minimum"], flat.min(axis=1))
    np.testing.assert_array_equal(found["nonzero"], (flat > 0).mean(axis=1))
    border = flat.sum(axis=1, dtype=int) - inside.sum(axis=1, dtype=int)
    pixels = flat.shape[1] - inside.shape[1]
    np.testing.assert_allclose(found["border"], border / pixels, rtol=1e-12)


def test_one_constant_value_deviates_by_nothing_at_all():
    payload = np.full((256, 7, 11, 3), np.arange(256)[:, None, None, None], np.uint8)

    assert not _columns(payload)["std"].any()


def test_no_images_have_empty_columns():
    found = _columns(np.empty((0, 2, 2, 1), np.uint8))

    assert {len(column) for column in found.values()} == {0}


def test_images_of_one_pixel_a_side_have_columns():
    found = _columns(np.full((2, 1, 1, 1), 9, np.uint8))

    assert found["border"].tolist() == [9.0, 9.0]


def test_few_negatives_among_many_are_told():
    positives, negatives = _on_ground(0, 200, 36), _on_ground(255, 55, 4)

    for most, few in ((positives, negatives), (negatives, positives)):
        payload = np.concatenate([few[:4], *([most[:4]] * 9)])
        assert np.flatnonzero(_columns(payload)["inverted"]).tolist() == [0, 1, 2, 3]


def test_where_both_grounds_are_usual_no_image_is_a_negative():
    payload = np.concatenate([_on_ground(0, 200, 20), _on_ground(255, 55, 20)])

    assert not _columns(payload)["inverted"].any()


def test_a_white_image_or_a_grey_ground_is_no_negative():
    odd = np.concatenate([_on_ground(255, 255, 2), _on_ground(180, 20, 2)])

    payload = np.concatenate([_on_ground(0, 200, 40), odd])

    assert not _columns(payload)["inverted"].any()


def test_of_few_images_no_ground_is_known():
    payload = np.concatenate([_on_ground(0, 200, 20), _on_ground(255, 55, 1)])

    assert not _columns(payload)["inverted"].any()


def test_expectations_name_the_shape_and_only_known_columns():
    known = _columns(np.zeros((1, 2, 3, 1), np.uint8))

    expected = image.expectations(DATA)

    assert {e.arguments["column"] for e in expected} <= set(known)
    assert [(e.check, e.name, e.arguments) for e in expected[:3]] == [
        (
            column,
            "expect_column_values_to_be_between",
            {"column": column, "min_value": size, "max_value": size},
        )
        for column, size in (("height", 2), ("width", 3), ("channels", 1))
    ]
    assert [e.check for e in expected if e.warns] == ["inverted"]
