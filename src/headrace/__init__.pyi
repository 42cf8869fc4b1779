from headrace.models.logged.loading import LoadedModel as LoadedModel
from headrace.models.logged.loading import load as load
from headrace.models.logged.loading import load_champion as load_champion
from headrace_flows.calling import run as run

__version__: str
