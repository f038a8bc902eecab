"""What computed a cell: versions of packages, a hash of the code, the commit."""

import hashlib
import platform
import subprocess
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path


@lru_cache
def provenance() -> dict[str, str]:
    """Versions of packages, a hash of the code, and its commit if the package runs from its own checkout."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted([*root.glob("priors/**/*.py"), *root.glob("nanotabpfn/**/*.py")]):
        digest.update(path.read_bytes())
    found = {name: version(name) for name in ("nanotabpfn-priors", "torch", "schedulefree", "numpy")}
    found |= {"python": platform.python_version(), "machine": platform.platform()}
    found["code"] = digest.hexdigest()[:12]
    if (root / ".git").exists():  # else a repository around the package is somebody else's
        with suppress(OSError):  # git is not installed
            command = ["git", "describe", "--always", "--dirty"]
            git = subprocess.run(command, cwd=root, capture_output=True, check=False)
            if git.returncode == 0:
                found["commit"] = git.stdout.decode().strip()
    return found
