"""A decision resumes the runs of its own model and ledger only."""

from types import SimpleNamespace

from headrace.state.ledger import Approval
from headrace_flows.approval import resume_waiting
from headrace_flows.events import ledger_tag

KEYS = (
    "approval-digits-1-1-0",
    "approval-digits-1-1-1-0",  # of digits-1, version 1
    "approval-digits-1-12-0",
    "approval-digits-1-1-10",
    "",
)


class Client:
    """What is asked of Prefect's client, and what it was told."""

    def __init__(self):
        self.resumed = []
        self.asked = None

    def read_flow_runs(self, flow_run_filter, **_):
        self.asked = flow_run_filter
        details = [SimpleNamespace(pause_key=key) for key in KEYS]
        states = [SimpleNamespace(state_details=one) for one in details]
        pairs = zip(KEYS, states, strict=True)
        return [SimpleNamespace(id=key, state=state) for key, state in pairs]

    def resume_flow_run(self, flow_run_id):
        self.resumed.append(flow_run_id)


def test_a_name_that_ends_in_numbers_is_not_another_models(settings):
    client = Client()
    request = Approval(
        model="digits", version=1, step=1, action="request", who="ada", evidence_id=1
    )
    resume_waiting(client, request, settings)
    assert client.resumed == [KEYS[0], KEYS[3]]
    assert client.asked.tags.all_ == [ledger_tag(settings)]
