"""Which code measured a row, and where."""

import subprocess
from pathlib import Path
from typing import Any

from purify_cli.inputs.identity import versions
from purify_cli.runtime import Compute

__all__ = ["provenance"]


def provenance(compute: Compute) -> dict[str, Any]:
    """Return versions, device, and the commit of the code where it lies in a repository (``+``: with changes)."""
    device = compute.device.type
    if device == "cuda":
        import torch

        device = torch.cuda.get_device_name(compute.device)
    return {"versions": versions(), "device": device, "commit": _commit(Path(__file__).resolve().parents[2])}


def _commit(root: Path) -> str | None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.strip()

    if not (root / ".git").exists():
        return None
    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "purify_cli")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
