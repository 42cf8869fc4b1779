"""Each row of a contract holds once and breaks once."""

import pytest
from tests.src.stages.validation.conftest import (
    SPLITS,
    Data,
    expectation,
    quarantine,
)

from headrace.errors import ContractError, SpecError


def test_a_failing_row_of_the_contract_is_set_aside_under_its_name(check):
    data = Data()
    data.pixels[5] = 255
    data.pixels[5, 0, 0] = 254
    rule = expectation("column_values_to_be_between", column="mean", max_value=250)

    record = check(data, rule)

    assert quarantine(record) == {
        "5.png": (
            "expect_column_values_to_be_between",
            "contract[0]: max_value=250 (mean 254.9375)",
        )
    }


def test_mostly_is_honoured(check):
    data = Data()
    data.pixels[5, :, :] = 255
    data.pixels[5, 0, 0] = 254
    rule = {"column": "mean", "max_value": 250}

    record = check(data, expectation("column_values_to_be_between", mostly=0.9, **rule))

    assert record.quarantined == 0
    assert (record.results[-1].passed, record.results[-1].unexpected) == (True, 1)


def test_a_split_of_the_contract_is_all_that_is_looked_at(check):
    data = Data()
    data.pixels[5] = 255
    data.pixels[5, 0, 0] = 254
    rule = {"column": "mean", "max_value": 250}

    record = check(
        data, expectation("column_values_to_be_between", split="test", **rule)
    )

    assert record.quarantined == 0
    assert record.results[-1].observed == "test: 0 of 32 rows"


def test_a_failing_aggregate_of_the_contract_is_refused(check):
    rule = expectation("column_mean_to_be_between", column="mean", max_value=3)

    with pytest.raises(ContractError, match=r"contract\[0\].*mean.*: observed 12"):
        check(Data(), rule)


def test_a_holding_aggregate_of_the_contract_passes(check):
    rule = expectation("column_mean_to_be_between", column="mean", max_value=200)

    assert check(Data(), rule).results[-1].passed


def test_a_contract_row_of_low_severity_only_warns(check):
    mean = {"column": "mean", "max_value": 3, "severity": "warning"}

    record = check(Data(), expectation("column_mean_to_be_between", **mean))

    (finding,) = record.findings
    assert finding.check == "expect_column_mean_to_be_between"
    assert "observed 12" in finding.message


def test_a_contract_row_that_sees_no_values_is_refused(check):
    data = Data(split=["train" if split == "val" else split for split in SPLITS])
    rule = {"column": "mean", "min_value": 0, "split": "val"}

    with pytest.raises(ContractError, match="on val: observed no values"):
        check(data, expectation("column_values_to_be_between", **rule))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {"expectation": "expect_column_mean_to_be_betwen", "column": "mean"},
            r"contract\[0\]: there is no expectation 'expect_column_mean_to_be_betwen'"
            r"\. Did you mean expect_column_mean_to_be_between\?",
        ),
        (
            {"expectation": "expect_column_values_to_be_unique", "column": "men"},
            r"there is no column 'men'\. Known columns: row, name, split, label",
        ),
        (
            {"expectation": "expect_column_mean_to_be_between", "column": "mean"}
            | {"max_value": "high", "minimum": 3},
            "max_value: value is not a valid float; minimum: extra fields not",
        ),
        (
            {"expectation": "expect_column_values_to_be_between", "column": "mean"},
            "min_value and max_value cannot both be None",
        ),
        (
            {"expectation": "expect_column_values_to_be_unique", "column": "item"}
            | {"row_condition": 'split == "train"', "condition_parser": "pandas"},
            "row_condition cannot be given here. Use `split`",
        ),
        (
            {"expectation": "expect_column_to_exist", "column": "mean", "split": "val"},
            "expect_column_to_exist cannot be asked of one split",
        ),
        (
            {"expectation": "expect_column_mean_to_be_between", "column": "name"}
            | {"max_value": 3},
            r"contract\[0\].* cannot be answered: Cannot perform reduction 'mean'",
        ),
    ],
)
def test_a_contract_row_that_cannot_be_asked_is_a_spec_error(check, rule, message):
    with pytest.raises(SpecError, match=message):
        check(Data(), [rule])
