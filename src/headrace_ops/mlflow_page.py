"""MLflow's page, with what a browser is told before it starts.

MLflow remembers in the browser which columns and charts an experiment shows, whether
its assistant has opened itself, and whether usage is collected. None of it can be
chosen by the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

ASSISTANT = "/ajax-api/3.0/mlflow/assistant/"
_CHOICES = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.settings.telemetry.enabled_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
# A view is set once, so that what people change in it stays.
_SCRIPT = """
<style>[data-assistant-ui] { display: none !important }</style>
<script>
for (const [name, value] of Object.entries(%s)) localStorage.setItem(name, value);
localStorage["mlflow.workflowType_v1"] ??= '"machine_learning"';
for (const [id, view] of Object.entries(%s)) {
  const scope = `MLflowLocalStorage-1.1-ExperimentPage-["${id}"]`;
  if (localStorage.getItem(`headrace.view.${id}`) === view) continue;
  localStorage.setItem(`${scope}-ReactComponentState`, view);
  localStorage.setItem(`headrace.view.${id}`, view);
}
</script>
"""


def start_page(page: str, views: Mapping[str, str]) -> str:
    """MLflow's page, which chooses before it starts.

    Args:
        page: as MLflow has it.
        views: by the id of an experiment, the view that it opens with.
    """
    script = _SCRIPT % (_as_script(_CHOICES), _as_script(views))
    return page.replace("<head>", f"<head>{script}", 1)


def _as_script(values: Mapping[str, str]) -> str:
    """JSON that cannot end the script that it is in."""
    return json.dumps(values).replace("<", "\\u003c")
