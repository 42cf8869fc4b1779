"""What the contract can say of an image."""

import numpy as np

from headrace.media import image


def test_columns_are_those_of_each_image() -> None:
    payload = np.array([[[0, 255], [0, 1]], [[3, 3], [3, 3]]], np.uint8)[
        ..., np.newaxis
    ]

    found = image.columns(payload)

    assert {name: column.tolist() for name, column in found.items()} == {
        "height": [2, 2],
        "width": [2, 2],
        "channels": [1, 1],
        "minimum": [0, 3],
        "maximum": [255, 3],
        "mean": [64.0, 3.0],
        "std": [float(np.std([0, 255, 0, 1])), 0.0],
        "nonzero": [0.5, 1.0],
        "blank": [False, True],
    }


def test_columns_agree_with_numpy_over_many_blocks() -> None:
    payload = np.random.default_rng(0).integers(0, 256, (300, 40, 50, 3), np.uint8)
    flat = payload.reshape(300, -1)

    found = image.columns(payload)

    np.testing.assert_allclose(found["mean"], flat.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["std"], flat.std(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found["maximum"], flat.max(axis=1))
    np.testing.assert_array_equal(found["minimum"], flat.min(axis=1))
    np.testing.assert_array_equal(found["nonzero"], (flat > 0).mean(axis=1))


def test_one_constant_value_deviates_by_nothing_at_all() -> None:
    payload = np.full((256, 7, 11, 3), np.arange(256)[:, None, None, None], np.uint8)

    assert not image.columns(payload)["std"].any()


def test_no_images_have_empty_columns() -> None:
    found = image.columns(np.empty((0, 2, 2, 1), np.uint8))

    assert {len(column) for column in found.values()} == {0}


def test_expectations_name_the_shape_and_only_known_columns() -> None:
    known = image.columns(np.zeros((1, 2, 3, 1), np.uint8))

    expected = image.expectations((2, 3, 1))

    assert {arguments["column"] for _, arguments in expected} <= set(known)
    assert expected[:3] == [
        (
            "expect_column_values_to_be_between",
            {"column": column, "min_value": size, "max_value": size},
        )
        for column, size in (("height", 2), ("width", 3), ("channels", 1))
    ]
