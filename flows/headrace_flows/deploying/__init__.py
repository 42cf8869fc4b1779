"""``[deploy]`` tables as Prefect deployments.

`wanted` says what there should be, without a server; `applying` makes it so on one,
`automations` the part that events start.
"""

from headrace_flows.deploying.applying import Applied, apply
from headrace_flows.deploying.wanted import Wanted, wanted_of

__all__ = ["Applied", "Wanted", "apply", "wanted_of"]
