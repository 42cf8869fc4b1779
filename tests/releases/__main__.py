"""``make release``: builds what would be released, tries it, and says how to tag it."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from tests.releases.bill import bill_of_release
from tests.releases.building import build_twice, check, seconds_of_commit
from tests.releases.trying import install, use
from typer import echo

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"


def main():
    """All of it; what is in ``dist`` has been tried."""
    version = check(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wheel, sdist = build_twice(ROOT, place / "builds")
        echo("Built twice; both builds have the same bytes.")
        bill = wheel.with_name(f"headrace-{version}.cdx.json")
        made = bill_of_release(ROOT, wheel, seconds_of_commit(ROOT))
        bill.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        echo(f"The bill of materials has {len(made['components'])} packages.")
        python = install(wheel, ROOT / "requirements.lock", place / "environment")
        echo("Installed from the lock into an empty environment.")
        _, ran, answered, verified = use(python, place)
        accuracy = ran["metrics"]["test_accuracy"]
        echo(f"Ran digits: {ran['status']}, test accuracy {accuracy:.4f}.")
        echo(f"Served it: an empty image is {answered['label']}.")
        echo(f"Verified it: {verified['reason']}.")
        shutil.rmtree(DIST, ignore_errors=True)
        DIST.mkdir()
        for path in (sdist, wheel, bill):
            shutil.copy(path, DIST)
    echo("\nIn dist/:")
    for path in sorted(DIST.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        echo(f"  {path.name}  {path.stat().st_size:,} bytes\n    sha256 {digest}")
    echo(f"\nTo release it:\n  git tag v{version}")


if __name__ == "__main__":
    main()
