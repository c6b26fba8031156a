"""LiteLLM's proxy as the peer: an environment of its own, and how it is started.

It is set up as sparingly as it can be: one worker, no database (so nothing is metered), no logging
of calls, no prices fetched. The environment is kept below ``FAREBOX_HOME``; what it is measured
with is written with the figures.
"""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.programs import Failed
from devtools import bootstrap
from devtools.home import Home

REQUIREMENT = "litellm[proxy]>=1.106,<1.107"
KEY = "sk-bench-peer"
START_SECONDS = 180


def environment(say: Callable[[str], None]) -> Path:
    """The folder of LiteLLM's programs, made when it is missing. Raises ``Failed``."""
    folder = Home.locate(os.environ).path / "peers"
    stamp = folder / "farebox-peer.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENT:
        say(f"installing {REQUIREMENT} below {folder} (once)")
        bootstrap.make_venv(folder)
        python = str(folder / "bin" / "python")
        command = [*bootstrap.installer(python), REQUIREMENT]
        if subprocess.run(command, env=bootstrap.install_env(python)).returncode:
            raise Failed(f"could not install {REQUIREMENT}; the reason stands above")
        stamp.write_text(REQUIREMENT)
    return folder / "bin"


def version(programs: Path) -> str:
    told = "from importlib.metadata import version; print(version('litellm'))"
    shown = subprocess.run(
        [str(programs / "python"), "-c", told], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def command(programs: Path, folder: Path, port: int, upstream: str, key: str) -> list[str]:
    """Write the configuration below ``folder``; answers how to start it. ``upstream`` ends in
    ``/v1``, and ``key`` is the upstream's."""
    folder.mkdir(parents=True, exist_ok=True)
    params = {"model": "openai/gpt-4o-mini", "api_base": upstream, "api_key": key}
    told = {
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": params}],
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(told, indent=1))  # JSON is YAML
    return [
        str(programs / "litellm"), "--config", str(folder / "config.yaml"),
        "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False",
    ]  # fmt: skip


def variables(folder: Path) -> Mapping[str, str]:
    """Its environment: none of Farebox's, and nothing that is fetched or told over the network."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "DO_NOT_TRACK": "1",
    }
