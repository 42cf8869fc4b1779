"""Rows of the ledger are put back before anything is read from it."""

from tests.attacks.test_ledger import without_triggers

from headrace.evidence.restoring import Restoring
from headrace.state.home import Home
from headrace.state.ledger import Mismatch


def test_what_checks_have_found_is_put_back_where_it_cannot_be_read(settings):
    home = Home(settings)
    found = Mismatch(where="ledger", what="row 1", message="It was changed.")
    home.ledger.add_tampering(found.as_step("ada"), {})
    home.copy.keep()
    edit = "UPDATE events SET body = 'no JSON' WHERE kind = 'tampering'"
    without_triggers(settings.database_url, edit)
    (done,) = Restoring(home).done
    assert "row 1 (tampering row 1/1) was changed" in done
    assert [step.why for step in home.ledger.tamperings()] == ["It was changed."]
