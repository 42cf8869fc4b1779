"""What tests with namespaces and containers must leave as they found it."""

from pathlib import Path

import psutil
from tests.engine.daemon import ask


def state_of_the_machine():
    """Its packet filter, links, namespaces, mounts and forwarding."""
    rules = ask("iptables-save").stdout.splitlines()
    links = ask("ip", "-brief", "link").stdout.splitlines()
    return {
        "iptables": [line for line in rules if not line.startswith(("#", ":"))],
        "chains": [line.split()[0] for line in rules if line.startswith(":")],
        "links": sorted(line.split()[0] for line in links),
        "namespaces": ask("ip", "netns").stdout.split(),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "mounts": Path("/proc/mounts").read_text().splitlines(),
    }


def processes_of(folder):
    """The command lines of what a daemon with a folder has started."""
    said = psutil.process_iter(["cmdline"])
    lines = (" ".join(process.info["cmdline"] or []) for process in said)
    return [line for line in lines if str(folder) in line]
